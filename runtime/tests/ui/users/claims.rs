use service_only::{Caller, Denial, claims::ServiceClaims, service_only};

#[service_only(claims(tenant = "{tenant"), scopes("orders:*"))]
async fn values() {}

#[service_only(claims(), any_scope())]
async fn empty() {}

#[service_only(claims(tenant("a"), region = eu, region = "a b", "a=b" = "c"))]
async fn entries() {}

#[service_only(claims(tenant = "{tenant}"))]
fn job(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

#[service_only(claims(tenant = "a"))]
fn data(_: &ServiceClaims) -> Result<(), Denial> {
    Ok(())
}

fn main() {}
