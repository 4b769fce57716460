//! aide: guarded and public handlers in an `ApiRouter`, and in the document that it makes.

use aide::{
    axum::{ApiRouter, routing::get},
    openapi::{OpenApi, SecurityScheme},
    transform::TransformOpenApi,
};
use serde_json::{Value, json};
use service_only::{Caller, Claims, Identity, callers, public, security_schemes, service_only, users_only};
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
        .finish_api_with(&mut document, security_schemes)
        .with_state(authority.verifier());

    let document: Value = serde_json::to_value(&document).unwrap();
    let operation = |path: &str| document["paths"][path]["get"].clone();
    assert_eq!(operation("/orders")["security"], json!([{ "serviceToken": ["orders:read"] }]));
    assert_eq!(operation("/orders")["x-service-only"]["services"], json!(["billing"]));
    assert!(operation("/orders")["responses"]["401"].is_object());
    assert!(operation("/orders")["responses"]["403"].is_object());
    assert_eq!(operation("/count")["security"], json!([{ "serviceToken": [] }]));
    assert_eq!(operation("/healthz")["security"], json!([{}]));

    let schemes = json!({
        "serviceToken": {"bearerFormat": "JWT", "description": "A service token.", "scheme": "bearer", "type": "http"},
    });
    assert_eq!(document["components"]["securitySchemes"], schemes);

    let app = call(router).audit(authority.audit());
    assert_denied!(app.get("/orders").await, 401);
    let billing = authority.service("billing").scope("orders:read");
    assert_allowed!(app.get("/orders").bearer(billing.token()).await);
    assert_allowed!(app.get("/count").bearer(billing.token()).await);
    assert_eq!(app.get("/healthz").await.text(), "ok");
}

#[callers(
    users(roles("manager"), claims(tenant_id = "{tenant}")),
    services("billing", any_scope("a:b", "c:d"))
)]
async fn both(_: Identity, _: Claims<Value>) -> &'static str {
    "both"
}

#[users_only(scopes("orders:write"))]
async fn people() -> &'static str {
    "people"
}

#[test]
fn an_operation_for_users_has_a_requirement_of_its_own() {
    let mut document = OpenApi::default();
    let _: axum::Router<service_only::Verifier> = ApiRouter::new()
        .api_route("/{tenant}", get(both))
        .api_route("/people", get(people))
        .finish_api_with(&mut document, security_schemes);
    let document: Value = serde_json::to_value(&document).unwrap();
    let operation = |path: &str| document["paths"][path]["get"].clone();
    let both = operation("/{tenant}");
    assert_eq!(both["security"], json!([{ "serviceToken": [] }, { "userToken": [] }]));
    assert_eq!(both["x-service-only"]["any_scope"], json!(["a:b", "c:d"]));
    assert_eq!(both["x-users-only"]["claims"], json!({ "tenant_id": "{tenant}" }));
    assert!(both["responses"]["401"].is_object() && both["responses"]["403"].is_object());
    let people = operation("/people");
    assert_eq!(people["security"], json!([{ "userToken": ["orders:write"] }]));
    assert_eq!(people["x-service-only"], Value::Null);
    assert_every_scheme_is_declared(&document);
}

#[test]
fn each_scheme_that_an_operation_refers_to_is_declared_and_an_own_declaration_stays() {
    let mut document = OpenApi::default();
    let router: ApiRouter<service_only::Verifier> = ApiRouter::new().api_route("/both", get(anybody));
    let _ = router.finish_api_with(&mut document, own);
    let document: Value = serde_json::to_value(&document).unwrap();
    assert_every_scheme_is_declared(&document);
    assert_eq!(document["components"]["securitySchemes"]["userToken"]["description"], "From the login.");
}

fn own(api: TransformOpenApi<'_>) -> TransformOpenApi<'_> {
    let scheme = SecurityScheme::Http {
        scheme: "bearer".to_owned(),
        bearer_format: None,
        description: Some("From the login.".to_owned()),
        extensions: Default::default(),
    };
    security_schemes(api.security_scheme("userToken", scheme))
}

#[callers(users(roles("manager")), services("billing"))]
async fn anybody() -> &'static str {
    "anybody"
}

#[track_caller]
fn assert_every_scheme_is_declared(document: &Value) {
    let declared = document["components"]["securitySchemes"].as_object().unwrap();
    let mut count = 0;
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            for need in operation["security"].as_array().unwrap() {
                for scheme in need.as_object().unwrap().keys() {
                    assert!(declared.contains_key(scheme), "{scheme}");
                    count += 1;
                }
            }
        }
    }
    assert!(count > 1, "{count}");
}
