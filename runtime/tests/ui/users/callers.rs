use service_only::{Caller, Denial, Identity, User, callers, service_only, users_only};

#[users_only]
fn a_service(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

#[callers(users, services)]
fn two(_: &Identity, _: &Identity) -> Result<(), Denial> {
    Ok(())
}

#[users_only]
#[service_only]
async fn both() {}

struct Tenants;

#[users_only(roles("manager"))]
impl Tenants {
    fn count(&self) -> usize {
        7
    }

    #[service_only]
    #[callers(users, services)]
    fn list(&self, _: &User) -> Result<(), Denial> {
        Ok(())
    }
}

fn main() {}
