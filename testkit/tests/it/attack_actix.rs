//! The attack on an app of actix-web, without a port.

use actix_web::{
    App, HttpRequest, HttpResponse, Responder, delete, get,
    middleware::Logger,
    web::{Data, Path},
};
use http::Method;
use service_only::{
    Policy, Verifier,
    routes::{Access, Route, RouteTable},
    service_only,
};
use service_only_testkit::{Control, Defect, Outcome, TestAuthority, attack_actix};

const DELETION: Policy<'static> =
    Policy::any_service().services(&["orchestrator"]).scopes(&["tenants:delete"]);

#[service_only(services("orchestrator"), scopes("tenants:delete"))]
#[delete("/tenants/{tenant}")]
async fn delete_tenant(tenant: Path<String>) -> String {
    format!("{tenant} deleted")
}

#[actix_web::test]
async fn a_guarded_app_is_clean_to_the_exact_code_and_record() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let table =
        RouteTable::new("orders").route(Route::new(["DELETE"], "/tenants/{tenant}", Access::from(&DELETION)));
    let app = move || App::new().wrap(Logger::default()).app_data(Data::new(verifier)).service(delete_tenant);
    let report = attack_actix(app)
        .as_caller(authority.service("orders"))
        .audit(authority.audit())
        .routes(&table)
        .run()
        .await;
    assert!(report.requests() > 1000, "{}", report.requests());
}

/// The attack may move between threads, although a service of actix-web may not.
#[tokio::test(flavor = "multi_thread")]
async fn an_attack_on_actix_runs_on_any_runtime() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let attack = attack_actix(move || App::new().app_data(Data::new(verifier)).service(delete_tenant))
        .as_caller(authority.service("orchestrator").scope("tenants:delete"))
        .endpoint(Method::DELETE, "/tenants/7");
    let report = tokio::spawn(attack.run()).await.unwrap();
    assert!(report.is_clean());
}

/// Compares the service and forgets the scope and the type of the token.
#[get("/stock")]
async fn careless(request: HttpRequest, verifier: Data<Verifier>) -> impl Responder {
    let token =
        request.headers().get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match token.map(|token| verifier.authenticate(token)) {
        Some(Ok(_)) => HttpResponse::Ok().body("12 loaves"),
        Some(Err(_)) => HttpResponse::Forbidden().finish(),
        None if request.query_string().contains("token") => panic!("it must be a header"),
        None => HttpResponse::Unauthorized().finish(),
    }
}

#[actix_web::test]
async fn a_careless_handler_is_found() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let report = attack_actix(move || App::new().app_data(Data::new(verifier)).service(careless))
        .as_caller(authority.service("orchestrator").scope("stock:read"))
        .endpoint(Method::GET, "/stock")
        .report()
        .await;
    let outcome = |defect| report.findings().find(|finding| finding.defect() == defect).unwrap().outcome();
    for defect in [Defect::UserToken, Defect::OtherService, Defect::WithoutScope] {
        assert!(matches!(outcome(defect), Outcome::GotIn(_)), "{defect}: {}", outcome(defect));
    }
    assert!(
        matches!(outcome(Defect::TokenInQuery), Outcome::Broke(why) if why.contains("it must be a header"))
    );
    // The service answers an expired token, and refuses it with another status.
    assert!(matches!(outcome(Defect::Expired), Outcome::Refused(_)));
    assert!(!report.is_clean());
}

#[actix_web::test]
async fn an_app_that_does_not_start_proves_nothing() {
    let authority = TestAuthority::new();
    let report = attack_actix(|| if true { panic!("no database") } else { App::new() })
        .as_caller(authority.service("orders"))
        .endpoint(Method::GET, "/stock")
        .report()
        .await;
    let control = report.endpoints().first().unwrap().control();
    assert!(matches!(control, Control::ProvesNothing(why) if why.contains("did not start")), "{control:?}");
}
