use actix_web::{
    App,
    http::Method,
    test::{TestRequest, call_service, init_service},
};
use service_only_testkit::{Expectation, Fixture, TestAuthority, assert_audited};

fn request(fixture: &Fixture) -> TestRequest {
    let outgoing = fixture.outgoing("DELETE".parse().unwrap(), "/tenants/7");
    let method = Method::from_bytes(outgoing.method.as_str().as_bytes()).unwrap();
    let request = TestRequest::with_uri(&outgoing.target).method(method);
    let request = request.set_payload(outgoing.body.unwrap_or_default());
    outgoing.headers.into_iter().fold(request, TestRequest::append_header)
}

#[actix_web::test]
async fn only_the_orchestrator_may_delete_a_tenant() {
    let authority = TestAuthority::new();
    let app = init_service(App::new().configure(crate::service(authority.verifier()))).await;
    let valid = authority.service("tenant-deletion-orchestrator").scope("tenants:delete");

    // A valid token, then none, an expired one, a user's, another service's, a forged one, `alg: none`, and
    // many more.
    for fixture in valid.fixtures() {
        let response = call_service(&app, request(&fixture).to_request()).await;
        let name = fixture.name();
        match fixture.defect().map(|defect| defect.expectation()) {
            // Another path or method: the guard or the router may answer, so the test accepts any refusal.
            Some(Expectation::NotRun) => assert!(!response.status().is_success(), "{name}"),
            _ => {
                assert_eq!(response.status(), fixture.status(), "{name}\n{}", authority.audit());
                assert_eq!(authority.audit().only().code, fixture.code(), "{name}");
            }
        }
        authority.audit().clear();
    }

    let response = call_service(&app, TestRequest::delete().uri("/tenants/7").to_request()).await;
    assert_eq!(response.status(), 401);
    assert_audited!(authority.audit(), deny, code = "missing_token", route = "/tenants/{tenant}");
}
