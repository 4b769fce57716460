//! All keys, in any order, with trailing commas and raw strings.

use service_only::{RequiredProof, service_only, routes::policy_of};

#[service_only(
    max_age = "24h",
    proof = r"mtls",
    scopes("tenants:read", r"tenants:delete",),
    services("a", r#"b"#),
    actors("gateway"),
    roles("admin"),
    crate = ::service_only,
)]
async fn delete() {}

fn main() {
    let policy = policy_of(delete);
    assert_eq!(policy.allowed_services(), Some(&["a", "b"][..]));
    assert_eq!(policy.required_proof(), Some(RequiredProof::Mtls));
    assert_eq!(policy.allowed_actors(), Some(&["gateway"][..]));
    assert_eq!(policy.required_scopes(), ["tenants:read", "tenants:delete"]);
}
