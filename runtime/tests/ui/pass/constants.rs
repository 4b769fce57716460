//! Constants in lists, beside literals and by every kind of path.

#[path = "../support.rs"]
mod support;

use service_only::{Caller, Denial, service_only, routes::{endpoints, policy_of}};
use support::Request;

const ORDERS: &str = "orders";
const LONGEST: &str = "a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-a23456789-abc";

mod names {
    pub const BILLING: &str = concat!("bill", "ing");
    pub static GATEWAYS: [&str; 1] = ["gateway"];
    pub const ADMIN: &'static str = "admin";

    pub mod scopes {
        pub const READ: &str = "orders:read";
    }
}

struct Gateway;

impl Gateway {
    const NAME: &'static str = "gateway";
}

#[service_only(services(ORDERS))]
async fn one() {}

#[service_only(
    services("first", names::BILLING, crate::ORDERS, self::Gateway::NAME, "last"),
    roles(names::ADMIN, "operator"),
    scopes("orders:list", names::scopes::READ),
    max_age = "1h"
)]
async fn mixed(_: String) {}

#[service_only(services(LONGEST))]
async fn longest() {}

#[service_only(services(ORDERS))]
fn job(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

#[service_only(roles(names::ADMIN))]
impl Gateway {
    async fn list(&self, _: Request<()>) -> Result<(), Denial> {
        Ok(())
    }

    #[service_only(services(Gateway::NAME))]
    async fn own() {}
}

macro_rules! handler {
    ($name:ident, $service:path, $role:expr) => {
        #[service_only(services($service), roles($role))]
        async fn $name() {}
    };
}

handler!(by_a_macro, names::BILLING, names::ADMIN);

fn main() {
    assert_eq!(policy_of(one).allowed_services(), Some(&["orders"][..]));
    let policy = policy_of(mixed);
    assert_eq!(policy.allowed_services(), Some(&["first", "billing", "orders", "gateway", "last"][..]));
    assert_eq!(policy.allowed_roles(), Some(&["admin", "operator"][..]));
    assert_eq!(policy.required_scopes(), ["orders:list", "orders:read"]);
    assert_eq!(policy_of(longest).allowed_services(), Some(&[LONGEST][..]));
    assert_eq!(policy_of(Gateway::own).allowed_services(), Some(&["gateway"][..]));
    assert_eq!(policy_of(by_a_macro).allowed_roles(), Some(&["admin"][..]));
    assert_eq!(names::GATEWAYS, ["gateway"]);
    for guarded in endpoints() {
        let same = match guarded.endpoint().function() {
            "one" => policy_of(one),
            "mixed" => policy,
            "longest" => policy_of(longest),
            "Gateway::own" => policy_of(Gateway::own),
            "by_a_macro" => policy_of(by_a_macro),
            _ => continue,
        };
        assert_eq!(*guarded.policy(), same);
    }
    let _ = (job as fn(&_) -> _, Gateway::list);
}
