use service_only::routes::{endpoints, policy_of};
use service_only_testkit::{TestAuthority, assert_allowed, assert_denied, call};

#[tokio::test]
async fn named_policy_requires_the_role_and_scope_behind_its_name() {
    let authority = TestAuthority::new();
    let app = call(crate::app(authority.verifier())).audit(authority.audit());
    let admin = authority.service("orchestrator").role("admin").scope("tenants:delete");

    assert_allowed!(app.delete("/tenants/7").bearer(admin.token()).await);
    for refused in [
        authority.service("orchestrator").role("admin"),
        authority.service("orchestrator").role("operator").scope("tenants:delete"),
        admin.issued_ago(std::time::Duration::from_secs(2 * 60 * 60)),
        authority.service("billing").role("admin").scope("tenants:delete"),
    ] {
        assert_denied!(app.delete("/tenants/7").bearer(refused.token()).await, 403);
    }
}

#[test]
fn list_of_endpoints_shows_the_policy_behind_the_name() {
    let policy = policy_of(crate::delete_tenant);
    assert_eq!(policy.allowed_roles(), Some(&["admin"][..]));
    let listed = endpoints();
    let [records, tenant] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((records.endpoint().function(), tenant.policy()), ("delete_records", &policy));
    assert_eq!(records.policy().allowed_services(), Some(&["orchestrator"][..]));
}
