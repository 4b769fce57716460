//! `#[debug_handler]` stands below; a handler is listed once, though its signature is written again for the checks.

use axum::{debug_handler, extract::Path};
use service_only::{Caller, Verifier, service_only, routes::endpoints};

#[service_only]
#[debug_handler(state = Verifier)]
async fn below(Path(_): Path<String>, _: Caller) -> &'static str {
    "orders"
}

fn main() {
    let _ = below;
    assert_eq!(endpoints().len(), 1, "{:?}", endpoints());
}
