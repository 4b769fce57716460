//! Typed paths of axum-extra: the routes of guarded and public handlers, and nothing runs before the guard.

use axum::Router;
use axum_extra::routing::{RouterExt, TypedPath};
use serde::Deserialize;
use service_only::{Caller, Verifier, public, service_only};
use service_only_testkit::{TestAuthority, assert_allowed, assert_denied, call};

#[derive(Deserialize, TypedPath)]
#[typed_path("/orders/{id}")]
struct OrderPath {
    id: u8,
}

#[derive(Deserialize, TypedPath)]
#[typed_path("/healthz")]
struct Health;

#[service_only(services("billing"))]
async fn show(OrderPath { id }: OrderPath, caller: Caller) -> String {
    format!("{id} {}", caller.service())
}

#[service_only(services("billing"))]
#[tracing::instrument(skip_all)]
async fn change(order: OrderPath, body: String) -> String {
    format!("{} {body}", order.id)
}

#[public(reason = "load balancers have no token")]
async fn healthz(_: Health) -> &'static str {
    "ok"
}

fn router() -> Router<Verifier> {
    Router::new().typed_get(show).typed_put(change).typed_get(healthz)
}

#[tokio::test]
async fn a_typed_path_is_that_of_the_argument_behind_the_guard() {
    let authority = TestAuthority::new();
    let app = call(router().with_state(authority.verifier())).audit(authority.audit());
    let billing = authority.service("billing");
    assert_allowed!(app.get("/orders/7").bearer(billing.token()).await);
    assert_allowed!(app.put("/orders/7").bearer(billing.token()).await);
    assert_denied!(app.get("/orders/7").bearer(authority.service("other").token()).await, 403);
    assert_eq!(app.get("/healthz").await.text(), "ok");
}

#[tokio::test]
async fn a_typed_path_is_parsed_after_the_guard() {
    let authority = TestAuthority::new();
    let app = call(router().with_state(authority.verifier())).audit(authority.audit());
    assert_denied!(app.get("/orders/garbage").await, 401);
    assert_denied!(app.put("/orders/garbage").await, 401);
}
