use service_only_testkit::{TestAuthority, assert_allowed, assert_audited, call};

#[tokio::test]
async fn only_the_orchestrator_may_delete_a_tenant() {
    let authority = TestAuthority::new();
    let app = call(crate::app(authority.verifier())).audit(authority.audit());
    let valid = authority.service("tenant-deletion-orchestrator").scope("tenants:delete");

    let response = app.delete("/tenants/7").bearer(valid.token()).await;
    assert_allowed!(response);
    assert_audited!(authority.audit(), allow, service = "tenant-deletion-orchestrator");

    // No token, expired, a user's, another service's, forged, `alg: none`, and thirty more.
    for fixture in valid.fixtures() {
        let response = app.delete("/tenants/7").fixture(&fixture).await;
        fixture.assert_met(&response, authority.audit());
    }
}
