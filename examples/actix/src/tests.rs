use actix_web::{
    App,
    http::header::AUTHORIZATION,
    test::{TestRequest, call_service, init_service},
};
use service_only_testkit::{Fixture, TestAuthority, assert_audited};

fn request(fixture: &Fixture) -> TestRequest {
    let request = TestRequest::delete().uri("/tenants/7");
    let authorization = fixture.authorization().into_iter();
    authorization.fold(request, |request, value| request.append_header((AUTHORIZATION, value)))
}

#[actix_web::test]
async fn only_the_orchestrator_may_delete_a_tenant() {
    let authority = TestAuthority::new();
    let app = init_service(App::new().configure(crate::service(authority.verifier()))).await;
    let valid = authority.service("tenant-deletion-orchestrator").scope("tenants:delete");

    // A valid token; none, expired, a user's, another service's, forged, `alg: none`, and thirty more.
    for fixture in valid.fixtures() {
        let response = call_service(&app, request(&fixture).to_request()).await;
        assert_eq!(response.status(), fixture.status(), "{}\n{}", fixture.name(), authority.audit());
        assert_eq!(authority.audit().only().code, fixture.code(), "{}", fixture.name());
        authority.audit().clear();
    }

    let response = call_service(&app, TestRequest::delete().uri("/tenants/7").to_request()).await;
    assert_eq!(response.status(), 401);
    assert_audited!(authority.audit(), deny, code = "missing_token", route = "/tenants/{tenant}");
}
