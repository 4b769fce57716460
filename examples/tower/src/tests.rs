use service_only_testkit::{TestAuthority, assert_allowed, assert_audited, assert_denied, call};

#[tokio::test]
async fn only_the_auditor_may_read_a_report() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("march.csv"), "bread,12").unwrap();
    let authority = TestAuthority::new();
    let app = call(crate::app(authority.verifier(), folder.path())).audit(authority.audit());
    let valid = authority.service("auditor").scope("reports:read");

    let response = app.get("/reports/march.csv").bearer(valid.token()).await;
    assert_allowed!(response);
    assert_eq!(response.text(), "bread,12");
    assert_audited!(authority.audit(), allow, service = "auditor", path = "/reports/march.csv");

    // No token, an expired one, a user's, another service's, a forged one, `alg: none`, and many more.
    for fixture in valid.fixtures() {
        let response = app.get("/reports/march.csv").fixture(&fixture).await;
        fixture.assert_met(&response, authority.audit());
    }

    // A stranger does not learn which reports exist.
    assert_denied!(app.get("/reports/april.csv").await, 401);
}
