use actix_web::App;
use service_only_testkit::{TestAuthority, attack_actix};

#[actix_web::test]
async fn only_the_orchestrator_may_delete_a_tenant() {
    let authority = TestAuthority::new();
    let service = crate::service(authority.verifier());
    // A valid token, then none, an expired one, a user's, another service's, a forged one, `alg: none`, and
    // many more.
    attack_actix(move || App::new().configure(service))
        .as_caller(authority.service("tenant-deletion-orchestrator").scope("tenants:delete"))
        .audit(authority.audit())
        .endpoint("DELETE".parse().unwrap(), "/tenants/7")
        .run()
        .await;
}
