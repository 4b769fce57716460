//! A handler in a router whose state is the verifier.

use axum::{Router, routing::get};
use service_only::{Caller, Verifier, service_only};

#[service_only]
async fn list() -> &'static str {
    "orders"
}

#[service_only()]
async fn name(caller: Caller) -> String {
    caller.service().to_owned()
}

fn app(verifier: Verifier) -> Router {
    Router::new().route("/", get(list).post(name)).with_state(verifier)
}

fn main() {
    let _ = app;
}
