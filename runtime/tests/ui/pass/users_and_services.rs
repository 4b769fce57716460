//! Each form of handler for users, and for users and services.

use std::time::Duration;

use service_only::{
    Denial, Identity, Policy, User, callers, routes::policy_of, users_only,
};

const MANAGER: &str = "manager";
const READ: &str = "tenants:read";

#[users_only]
async fn any_user(_: User) {}

#[users_only(
    roles(MANAGER, "owner"),
    any_scope(READ, "tenants:write"),
    claims(tenant_id = "{tenant}", "https://id.example/region" = "eu"),
    issuers("https://id.example"),
    max_age = "1h",
    crate = ::service_only,
)]
async fn every_key<T: Send>(_: T, _: User) {}

#[callers(users, services)]
async fn any(_: Identity) {}

#[callers(services("billing", roles("admin"), max_age = "24h"), users(roles(MANAGER), scopes(READ)))]
#[tracing::instrument(skip_all)]
async fn both(_: String, _: Identity) {}

#[users_only(roles("manager"))]
fn job(user: &User) -> Result<Option<&str>, Denial> {
    Ok(user.id())
}

#[callers(users, services)]
async fn mixed_job(_: u8, _: &Identity) -> Result<(), Denial> {
    Ok(())
}

struct Tenants;

#[callers(users(roles("manager")), services)]
impl Tenants {
    async fn handler(_: Identity) {}

    fn checked(&self, _: &Identity) -> Result<(), Denial> {
        Ok(())
    }

    #[users_only]
    fn of_users(&self, _: &User) -> Result<(), Denial> {
        Ok(())
    }

    #[service_only(services("billing"))]
    async fn of_services() {}

    #[public(reason = "a test")]
    fn open(&self) {}
}

fn main() {
    const USERS: Policy<'static> = Policy::any_user().roles(&["manager"]).scopes(&["tenants:read"]);
    let services = Policy::any_service().services(&["billing"]).roles(&["admin"]);
    assert_eq!(policy_of(both), services.max_age(Duration::from_secs(86_400)).or_users(&USERS));
    assert_eq!(policy_of(any_user), Policy::any_user());
    let every = Policy::any_user()
        .roles(&["manager", "owner"])
        .any_scope(&["tenants:read", "tenants:write"])
        .claims(&[("tenant_id", "{tenant}"), ("https://id.example/region", "eu")])
        .issuers(&["https://id.example"])
        .max_age(Duration::from_secs(3600));
    assert_eq!(policy_of(every_key::<u8>), every);
    let _ = (any, job, mixed_job, Tenants::handler, Tenants::checked, Tenants::of_users, Tenants::of_services);
    Tenants.open();
}
