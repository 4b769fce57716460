//! A guard that is alone takes the request, so no decision can follow that would be a second one.

use axum::{Router, routing::get};
use service_only::{Caller, Verifier, service_only};

#[service_only(services("orchestrator"))]
async fn gate() {}

fn router() -> Router<Verifier> {
    Router::new().route("/", get(|guard, _: Caller| gate(guard)))
}

fn main() {}
