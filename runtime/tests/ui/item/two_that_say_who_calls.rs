use service_only::{Caller, Denial, service_only, claims::ServiceClaims};

#[service_only(services("orchestrator"))]
fn audit(_: &ServiceClaims, _: &Caller) -> Result<(), Denial> {
    Ok(())
}

struct Orders;

#[service_only(services("orchestrator"))]
impl Orders {
    fn forward(&self, _on_behalf_of: &Caller, _caller: &Caller) -> Result<(), Denial> {
        Ok(())
    }
}

fn main() {}
