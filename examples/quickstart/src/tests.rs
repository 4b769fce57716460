use axum::http::Method;
use service_only_testkit::{TestAuthority, assert_allowed, assert_audited, attack, call};

#[tokio::test]
async fn only_the_orchestrator_may_delete_a_tenant() {
    let authority = TestAuthority::new();
    let app = call(crate::app(authority.verifier())).audit(authority.audit());
    let valid = authority.service("tenant-deletion-orchestrator").scope("tenants:delete");

    let response = app.delete("/tenants/7").bearer(valid.token()).await;
    assert_allowed!(response);
    assert_audited!(authority.audit(), allow, service = "tenant-deletion-orchestrator");

    // No token, expired, a user's, another service's, forged, `alg: none`, and hundreds more.
    attack(crate::app(authority.verifier()))
        .as_caller(valid)
        .audit(authority.audit())
        .endpoint(Method::DELETE, "/tenants/7")
        .run()
        .await;
}
