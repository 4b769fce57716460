//! Claims that this crate does not know: read by name, as a type, and as an argument of a handler.

use std::sync::Arc;

use actix_web::{
    App,
    test::{TestRequest, call_service, init_service},
    web,
};
use axum::{Router, routing::get};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use service_only::{
    Caller, Claims, Denial, Identity, TrustedIssuer, Verifier, audit::Decision, error::Code, service_only,
};
use service_only_testkit::{FixtureToken, TestAuthority, call};

#[derive(Debug, Deserialize, PartialEq)]
struct Tenant {
    tenant_id: String,
    plan: Option<String>,
}

fn token(authority: &TestAuthority) -> FixtureToken {
    authority.service("orders").claim("tenant_id", "t-1").claim("limits", json!({ "rows": 7 })).token()
}

#[service_only]
async fn guarded(tenant: Claims<Tenant>, caller: Caller) -> String {
    format!("{} of {}", tenant.tenant_id, caller.service())
}

async fn unguarded(tenant: Claims<Tenant>) -> String {
    assert!(format!("{tenant:?}").starts_with("Claims(Tenant {"), "{tenant:?}");
    tenant.shared().tenant_id.clone()
}

async fn gateway(_: Identity, tenant: Claims<Tenant>) -> String {
    tenant.tenant_id.clone()
}

#[service_only]
fn job(caller: &Caller) -> Result<Arc<Tenant>, Denial> {
    caller.claims_as().map_err(|error| caller.refuse(error.to_string()).into())
}

fn app(authority: &TestAuthority) -> Router {
    Router::new()
        .route("/guarded", get(guarded))
        .route("/unguarded", get(unguarded))
        .route("/gateway", get(gateway))
        .with_state(authority.verifier())
}

#[test]
fn a_claim_of_any_name_is_read_from_a_caller() {
    let authority = TestAuthority::new();
    let caller = authority.verifier().verify(token(&authority).as_str()).unwrap();
    assert_eq!(caller.claim("tenant_id").unwrap(), "t-1");
    assert_eq!(caller.claim("limits").unwrap()["rows"], 7);
    assert_eq!(caller.claim("service").unwrap(), "orders");
    assert_eq!(caller.claim("tenant"), None);
    assert_eq!(*caller.claims_as::<Tenant>().unwrap(), Tenant { tenant_id: "t-1".to_owned(), plan: None });
}

#[test]
fn a_token_without_other_claims_has_its_known_ones_by_name() {
    let authority = TestAuthority::new();
    let token = authority.service("orders").role("reader").scope("a:b").token();
    let caller = authority.verifier().verify(token.as_str()).unwrap();
    for (name, value) in [("service", "orders"), ("role", "reader"), ("scope", "a:b")] {
        assert_eq!(caller.claim(name).unwrap(), value);
    }
    assert_eq!(caller.claim("tenant_id"), None);
}

#[test]
fn a_claim_of_a_mapped_service_is_the_one_of_the_token() {
    let authority = TestAuthority::new().issuer("https://id.example").audience("orders");
    let issuer = TrustedIssuer::oauth("https://id.example").keys(authority.keys()).audience("orders");
    let verifier = Verifier::builder()
        .trust(issuer.name("client-7", "billing"))
        .clock(authority.clock().clone())
        .audit(authority.audit().clone())
        .build()
        .unwrap();
    let draft = authority.service("client-7").header("typ", "at+jwt").claim("client_id", "client-7");
    let caller = verifier.verify(draft.token().as_str()).unwrap();
    assert_eq!((caller.service(), caller.claim("sub").unwrap().as_str()), ("billing", Some("client-7")));
    assert_eq!(caller.claim("client_id").unwrap(), "client-7");
}

#[test]
fn claims_of_a_cached_token_are_parsed_once() {
    let authority = TestAuthority::new();
    let (verifier, token) = (authority.verifier(), token(&authority));
    let tenant = || verifier.verify(token.as_str()).unwrap().claims_as::<Tenant>().unwrap();
    // The second time, the token is cached.
    tenant();
    let cached = tenant();
    assert!(Arc::ptr_eq(&cached, &tenant()));
}

#[test]
fn a_user_has_claims_of_its_own() {
    let authority = TestAuthority::new();
    let token = authority.user("mia").claim("tenant_id", "t-2").token();
    let Identity::User(user) = authority.verifier().authenticate(token.as_str()).unwrap() else { panic!() };
    assert_eq!(user.claim("tenant_id").unwrap(), "t-2");
    assert_eq!(user.claims_as::<Tenant>().unwrap().tenant_id, "t-2");
}

#[test]
fn a_job_refuses_a_caller_whose_claims_have_another_type() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier();
    let caller = verifier.verify(token(&authority).as_str()).unwrap();
    assert_eq!(job(&caller).unwrap().tenant_id, "t-1");
    let caller = verifier.verify(authority.service("orders").token().as_str()).unwrap();
    assert_eq!(job(&caller).unwrap_err().code(), Code::Refused);
}

#[tokio::test]
async fn a_handler_takes_claims_as_an_argument() {
    let authority = TestAuthority::new();
    let app = call(app(&authority)).audit(authority.audit());
    for (path, text) in [("/guarded", "t-1 of orders"), ("/unguarded", "t-1"), ("/gateway", "t-1")] {
        let response = app.get(path).bearer(token(&authority).as_str()).await;
        assert_eq!((response.status(), response.text()), (StatusCode::OK, text), "{path}");
        assert_eq!(authority.audit().only().decision, Decision::Allow, "{path}");
        authority.audit().clear();
    }
}

#[tokio::test]
async fn claims_of_another_type_are_refused_in_one_record() {
    let authority = TestAuthority::new();
    let app = call(app(&authority)).audit(authority.audit());
    let bad = authority.service("orders").claim("tenant_id", 7).token();
    let none = authority.service("orders").token();
    for path in ["/guarded", "/unguarded", "/gateway"] {
        for token in [&bad, &none] {
            let response = app.get(path).bearer(token.as_str()).await;
            assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
            assert!(!response.text().contains("tenant"), "{path}");
            let record = authority.audit().only();
            assert_eq!(
                (record.code, record.service.as_deref()),
                (Some(Code::ClaimNotAllowed), Some("orders"))
            );
            assert!(record.reason.unwrap().starts_with("the claims of the token cannot be read: "), "{path}");
            authority.audit().clear();
        }
    }
}

#[tokio::test]
async fn claims_alone_authenticate_a_request() {
    let authority = TestAuthority::new();
    let app = call(app(&authority)).audit(authority.audit());
    assert_eq!(app.get("/unguarded").await.status(), StatusCode::UNAUTHORIZED);
    let user = authority.user("mia").claim("tenant_id", "t-2").token();
    assert_eq!(app.get("/unguarded").bearer(user.as_str()).await.status(), StatusCode::FORBIDDEN);
}

#[actix_web::test]
async fn a_handler_of_actix_takes_claims_as_an_argument() {
    let authority = TestAuthority::new();
    let app = App::new()
        .app_data(web::Data::new(authority.verifier()))
        .route("/guarded", web::get().to(guarded))
        .route("/unguarded", web::get().to(unguarded));
    let app = init_service(app).await;
    for path in ["/guarded", "/unguarded"] {
        let good = token(&authority);
        let bad = authority.service("orders").token();
        for (token, status, code) in [(good, 200, None), (bad, 403, Some(Code::ClaimNotAllowed))] {
            authority.audit().clear();
            let request = TestRequest::get().uri(path);
            let request = request.insert_header(("authorization", format!("Bearer {}", token.as_str())));
            let response = call_service(&app, request.to_request()).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
            drop(response);
            assert_eq!(authority.audit().only().code, code, "{path}");
        }
    }
}
