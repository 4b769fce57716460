//! Bodies that an application builds for refusals.

use axum::{Router, routing::get};
use http::StatusCode;
use service_only::{
    Caller, KeySet, Rejection, Verifier,
    audit::NoAudit,
    keys::{KeySource, KeysUnavailable},
    rejection::{Refusal, RefusalBody, RefusalClass},
    service_only,
};
use service_only_testkit::{Defect, TestAuthority, attack, call};

#[service_only(services("orders"), scopes("stock:read"))]
async fn stock() -> &'static str {
    "12 loaves"
}

#[service_only]
async fn refusing(caller: Caller) -> Result<(), Rejection> {
    Err(caller.refuse("a test"))
}

fn body(refusal: &Refusal<'_>) -> RefusalBody {
    assert_eq!(refusal.header("authorization"), None);
    let language = refusal.header("accept-language").unwrap_or("en");
    let class = match refusal.class() {
        RefusalClass::Unauthenticated => "who",
        RefusalClass::Forbidden => "no",
        _ => "other",
    };
    RefusalBody::new("text/plain; charset=utf-8", format!("{language} {class} {}", refusal.status()))
}

fn app(verifier: Verifier) -> Router {
    Router::new().route("/stock", get(stock)).route("/refusing", get(refusing)).with_state(verifier)
}

#[tokio::test]
async fn a_body_of_the_application_changes_no_status_and_no_header_of_security() {
    let authority = TestAuthority::new();
    let bodies = |audit_is_off: bool| {
        let builder = authority.verifier_builder().refusal_body(body);
        if audit_is_off { builder.audit(NoAudit) } else { builder }.build().unwrap()
    };
    let orders = authority.service("orders").token();
    let cases = [
        ("/stock", None, 401, "de who 401"),
        ("/stock", Some(&orders), 403, "de no 403"),
        ("/refusing", Some(&orders), 403, "de no 403"),
    ];
    for audit_is_off in [false, true] {
        let (own, default) = (call(app(bodies(audit_is_off))), call(app(authority.verifier())));
        for (path, token, status, text) in cases {
            let request = |app: &service_only_testkit::TestApp| {
                let request = app.get(path).header("accept-language", "de");
                match token {
                    Some(token) => request.bearer(token.as_str()),
                    None => request,
                }
            };
            let (response, plain) = (request(&own).await, request(&default).await);
            assert_eq!(response.status().as_u16(), status, "{path}");
            // Without an audit, a refusal of the handler belongs to no request.
            let text = if audit_is_off && path == "/refusing" { "en no 403" } else { text };
            assert_eq!(response.text(), text, "{path} {audit_is_off}");
            assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
            for header in ["www-authenticate", "cache-control"] {
                assert_eq!(response.header(header), plain.header(header), "{path} {header}");
            }
            let instance = response.header("instance").unwrap();
            assert!(instance.starts_with("urn:uuid:"), "{instance}");
            assert_eq!(plain.header("instance"), None);
        }
    }
}

#[tokio::test]
async fn the_header_has_the_id_of_the_record() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier_builder().refusal_body(body).build().unwrap();
    let app = call(app(verifier)).audit(authority.audit());
    let orders = authority.service("orders").token();
    for path in ["/stock", "/refusing"] {
        authority.audit().clear();
        let response = app.get(path).bearer(orders.as_str()).await;
        let id = authority.audit().only().id.urn().to_string();
        assert_eq!(response.header("instance"), Some(id.as_str()), "{path}");
    }
}

#[tokio::test]
async fn a_function_that_panics_leaves_the_default_body() {
    let authority = TestAuthority::new();
    let faults: [fn(&Refusal<'_>) -> RefusalBody; 3] = [
        |_| panic!("a test"),
        |_| RefusalBody::new("text/plain", "a".repeat(Rejection::MAX_BODY_LENGTH + 1)),
        |_| RefusalBody::new("text/plain\r\nx: y", "a"),
    ];
    for fault in faults {
        let verifier = authority.verifier_builder().refusal_body(fault).build().unwrap();
        let response = call(app(verifier)).get("/stock").await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.header("content-type"), Some(Rejection::CONTENT_TYPE));
        assert_eq!(response.problem()["status"], 401);
    }
}

struct Down;

impl KeySource for Down {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        Err(KeysUnavailable::pending("not fetched yet"))
    }
}

#[tokio::test]
async fn a_503_says_when_to_retry() {
    let authority = TestAuthority::new();
    let verifier =
        Verifier::builder().issuer(TestAuthority::ISSUER).keys(Down).audit(NoAudit).build().unwrap();
    let response =
        call(app(verifier)).get("/stock").bearer(authority.service("orders").token().as_str()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn an_attack_is_clean_with_bodies_of_the_application() {
    let authority = TestAuthority::new().audience("orders");
    let verifier = authority.verifier_builder().refusal_body(body).build().unwrap();
    let caller = authority.service("orders").scope("stock:read");
    let attack = attack(app(verifier)).as_caller(caller).endpoint(http::Method::GET, "/stock");
    let report = attack.audit(authority.audit()).run().await;
    assert!(report.findings().any(|finding| finding.defect() == Defect::Expired));
}

#[actix_web::test]
async fn a_body_of_actix_depends_on_the_headers_too() {
    use actix_web::{
        App,
        test::{TestRequest, call_service, init_service, read_body},
        web,
    };
    let authority = TestAuthority::new();
    let verifier = authority.verifier_builder().refusal_body(body).build().unwrap();
    let app = App::new()
        .app_data(web::Data::new(verifier))
        .route("/stock", web::get().to(stock))
        .route("/refusing", web::get().to(actix_refusing));
    let app = init_service(app).await;
    let orders = authority.service("orders").token();
    for path in ["/stock", "/refusing"] {
        let request = TestRequest::get().uri(path).insert_header(("accept-language", "de"));
        let request = request.insert_header(("authorization", format!("Bearer {}", orders.as_str())));
        let response = call_service(&app, request.to_request()).await;
        assert_eq!(response.status(), 403, "{path}");
        assert!(response.headers().get("instance").is_some(), "{path}");
        assert_eq!(read_body(response).await, "de no 403", "{path}");
    }
}

#[service_only]
async fn actix_refusing(caller: Caller) -> Result<&'static str, Rejection> {
    Err(caller.refuse("a test"))
}
