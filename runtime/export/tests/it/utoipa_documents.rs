//! Documents of utoipa, by the attributes of handlers and by the table of a closed router.

#![allow(dead_code, reason = "some handlers are only described")]

use serde_json::{Value, json};
use service_only::{
    Caller, ClosedRouter, Identity, Verifier, callers, closed, public, service_only, users_only,
};
use service_only_export::{GuardedHandlers, GuardedRoutes};
use service_only_testkit::{TestAuthority, call};
use utoipa::{Modify, OpenApi};

use crate::peer;

/// The attributes may have either order.
#[utoipa::path(get, path = "/orders/{id}", params(("id" = String, Path)), responses((status = 200, description = "An order.")))]
#[service_only(services("billing"), scopes("orders:read"))]
async fn show_order(_: Caller) -> &'static str {
    "order"
}

#[service_only(roles("admin"), max_age = "1h")]
#[utoipa::path(
    delete, path = "/orders/{id}", params(("id" = String, Path)),
    responses((status = 204, description = "Deleted."), (status = 403, description = "Not an administrator.")),
    security(("apiKey" = []))
)]
async fn delete_order() {}

#[utoipa::path(get, path = "/invoices", responses((status = 200, description = "Invoices.")))]
#[callers(users(roles("manager")), services("billing", any_scope("a:b", "c:d")))]
async fn invoices(_: Identity) {}

#[utoipa::path(post, path = "/approvals", responses((status = 200, description = "Approved.")))]
#[users_only(scopes("orders:write"))]
async fn approve() {}

#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "Healthy.")))]
#[public(reason = "load balancers have no token")]
async fn healthz() -> &'static str {
    "ok"
}

/// Not guarded: its operation stays as it is.
#[utoipa::path(get, path = "/legacy", responses((status = 200, description = "Old.")))]
async fn legacy() {}

mod one {
    use super::*;

    #[utoipa::path(get, path = "/one", responses((status = 200, description = "One.")))]
    #[service_only(services("one"))]
    pub(super) async fn same_name() {}
}

mod two {
    use super::*;

    #[utoipa::path(
        get, path = "/two", operation_id = "two::same_name", responses((status = 200, description = "Two."))
    )]
    #[service_only(services("two"))]
    pub(super) async fn same_name() {}
}

#[derive(OpenApi)]
#[openapi(
    info(title = "orders", version = "1", license(name = "MIT")),
    paths(show_order, delete_order, invoices, approve, healthz, legacy, one::same_name, two::same_name),
    modifiers(&GuardedHandlers)
)]
struct Document;

fn json_of(document: &utoipa::openapi::OpenApi) -> Value {
    serde_json::to_value(document).unwrap()
}

#[test]
fn an_operation_shows_what_the_attribute_of_its_handler_requires() {
    let document = json_of(&Document::openapi());
    let operation = |method: &str, path: &str| document["paths"][path][method].clone();
    let show = operation("get", "/orders/{id}");
    assert_eq!(show["security"], json!([{ "serviceToken": ["orders:read"] }]));
    assert_eq!(show["x-service-only"]["services"], json!(["billing"]));
    assert_eq!(show["responses"]["401"], json!({ "$ref": "#/components/responses/Unauthorized" }));
    assert_eq!(show["responses"]["403"], json!({ "$ref": "#/components/responses/Forbidden" }));
    assert_eq!(show["responses"]["200"]["description"], "An order.");
    assert!(show["x-handler"].as_str().unwrap().ends_with("::utoipa_documents::show_order"));
    // What the handler says about its responses stays. A requirement that the guard does not have does not.
    let delete = operation("delete", "/orders/{id}");
    assert_eq!(delete["security"], json!([{ "serviceToken": [] }]));
    assert_eq!(delete["responses"]["403"]["description"], "Not an administrator.");
    assert_eq!(delete["x-service-only"]["max_age"], 3600);
    let both = operation("get", "/invoices");
    assert_eq!(both["security"], json!([{ "serviceToken": [] }, { "userToken": [] }]));
    assert_eq!(both["x-service-only"]["any_scope"], json!(["a:b", "c:d"]));
    assert_eq!(both["x-users-only"]["roles"], json!(["manager"]));
    assert_eq!(operation("post", "/approvals")["security"], json!([{ "userToken": ["orders:write"] }]));
    let public = operation("get", "/healthz");
    assert_eq!(public["security"], json!([]));
    assert_eq!(public["x-public"], "load balancers have no token");
    assert!(public["responses"]["401"].is_null());
    for scheme in ["serviceToken", "userToken"] {
        assert_eq!(document["components"]["securitySchemes"][scheme]["scheme"], "bearer");
    }
}

#[test]
fn an_operation_without_one_handler_stays_as_it_is_and_is_listed() {
    let document = Document::openapi();
    let mut unmatched = GuardedHandlers.unmatched(&document);
    unmatched.sort();
    assert_eq!(unmatched, ["GET /legacy", "GET /one"]);
    let document = json_of(&document);
    for path in ["/legacy", "/one"] {
        let operation = &document["paths"][path]["get"];
        assert!(operation["security"].is_null() && operation["responses"]["401"].is_null(), "{path}");
    }
    // A part of the path separates two handlers of one name.
    assert_eq!(document["paths"]["/two"]["get"]["x-service-only"]["services"], json!(["two"]));
}

#[derive(OpenApi)]
#[openapi(
    info(title = "orders", version = "1", license(name = "MIT")),
    paths(show_order, one::same_name, legacy)
)]
struct Plain;

#[test]
fn a_table_describes_an_operation_by_its_method_and_path() {
    let router = ClosedRouter::<Verifier>::new()
        .route("/orders/{order}", closed::get(show_order))
        .route("/one", closed::get(one::same_name));
    let routes = GuardedRoutes::new(&router.routes("orders")).unwrap();
    let mut document = Plain::openapi();
    routes.modify(&mut document);
    assert_eq!(routes.unmatched(&document), ["GET /legacy"]);
    let document = json_of(&document);
    assert_eq!(document["paths"]["/one"]["get"]["x-service-only"]["services"], json!(["one"]));
    assert_eq!(
        document["paths"]["/orders/{id}"]["get"]["security"],
        json!([{ "serviceToken": ["orders:read"] }])
    );
    assert!(document["components"]["securitySchemes"]["userToken"].is_null());
}

#[test]
fn a_document_without_guarded_operations_gets_no_components() {
    #[derive(OpenApi)]
    #[openapi(paths(legacy), modifiers(&GuardedHandlers))]
    struct Open;
    assert_eq!(json_of(&Open::openapi())["components"]["securitySchemes"], Value::Null);
}

#[tokio::test]
async fn a_handler_with_both_attributes_is_guarded() {
    let authority = TestAuthority::new();
    let router = ClosedRouter::new()
        .route("/orders/{id}", closed::get(show_order).delete(delete_order))
        .route("/healthz", closed::get(healthz));
    let app = call(router.with_state(authority.verifier())).audit(authority.audit());
    assert_eq!(app.get("/orders/7").await.status(), 401);
    let billing = authority.service("billing").scope("orders:read").role("reader").token();
    assert_eq!(app.get("/orders/7").bearer(billing.as_str()).await.text(), "order");
    assert_eq!(app.delete("/orders/7").bearer(billing.as_str()).await.status(), 403);
    assert_eq!(app.get("/healthz").await.text(), "ok");
}

#[test]
fn the_documents_are_valid_openapi() {
    let mut of_table = Plain::openapi();
    let router = ClosedRouter::<Verifier>::new().route("/one", closed::get(one::same_name));
    GuardedRoutes::new(&router.routes("orders")).unwrap().modify(&mut of_table);
    for document in [Document::openapi(), of_table] {
        let text = document.to_pretty_json().unwrap();
        let arguments = ["-m", "openapi_spec_validator", "--schema", "3.1", "-"];
        peer::python("openapi_spec_validator", &arguments, &text);
    }
}
