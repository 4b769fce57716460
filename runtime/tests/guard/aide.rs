//! aide: guarded and public handlers in an `ApiRouter`, and in the document that it makes.

use aide::{
    axum::{ApiRouter, routing::get},
    openapi::OpenApi,
};
use serde_json::{Value, json};
use service_only::{Caller, public, service_only};
use service_only_testkit::{TestAuthority, assert_allowed, assert_denied, call};

#[service_only(services("billing"), scopes("orders:read"))]
async fn list(_: Caller) -> &'static str {
    "orders"
}

#[service_only]
async fn count() -> &'static str {
    "7"
}

#[public(reason = "load balancers have no token")]
async fn healthz() -> &'static str {
    "ok"
}

#[tokio::test]
async fn a_guarded_handler_is_an_operation_with_its_policy() {
    let authority = TestAuthority::new();
    let mut document = OpenApi::default();
    let router = ApiRouter::new()
        .api_route("/orders", get(list))
        .api_route("/count", get(count))
        .api_route("/healthz", get(healthz))
        .finish_api(&mut document)
        .with_state(authority.verifier());

    let document: Value = serde_json::to_value(&document).unwrap();
    let operation = |path: &str| document["paths"][path]["get"].clone();
    assert_eq!(operation("/orders")["security"], json!([{ "serviceToken": ["orders:read"] }]));
    assert_eq!(operation("/orders")["x-service-only"]["services"], json!(["billing"]));
    assert!(operation("/orders")["responses"]["401"].is_object());
    assert!(operation("/orders")["responses"]["403"].is_object());
    assert_eq!(operation("/count")["security"], json!([{ "serviceToken": [] }]));
    assert_eq!(operation("/healthz")["security"], json!([{}]));

    let app = call(router).audit(authority.audit());
    assert_denied!(app.get("/orders").await, 401);
    let billing = authority.service("billing").scope("orders:read");
    assert_allowed!(app.get("/orders").bearer(billing.token()).await);
    assert_allowed!(app.get("/count").bearer(billing.token()).await);
    assert_eq!(app.get("/healthz").await.text(), "ok");
}
