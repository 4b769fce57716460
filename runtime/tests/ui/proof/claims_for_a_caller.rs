use service_only::{Caller, Denial, service_only, claims::ServiceClaims};

#[service_only]
fn delete(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

fn act(claims: &ServiceClaims) -> Result<(), Denial> {
    delete(claims)
}

fn main() {}
