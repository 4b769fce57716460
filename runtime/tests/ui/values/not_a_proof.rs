use service_only::{Denial, callers, claims::ServiceClaims, service_only};

#[service_only(proof = "mtsl")]
async fn misspelt() {}

#[callers(users(proof = "none"), services(proof("dpop")))]
async fn each_kind() {}

#[service_only(proof = any)]
async fn without_quotes() {}

#[service_only(proof = "mtls")]
fn data(_: &ServiceClaims) -> Result<(), Denial> {
    Ok(())
}

fn main() {}
