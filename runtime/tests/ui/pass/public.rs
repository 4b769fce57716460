//! Public handlers, alone and in a guarded block.

use axum::{Router, routing::get};
use service_only::{Verifier, public, service_only, routes::public_endpoints};

#[public(reason = "load balancers have no token")]
async fn healthz() -> &'static str {
    "ok"
}

struct Orders(u8);

#[service_only]
impl Orders {
    async fn list() {}

    #[public(reason = "a constructor")]
    fn new(value: u8) -> Self {
        Self(value)
    }

    #[public(reason = "documentation")]
    async fn docs() -> &'static str {
        "docs"
    }
}

fn app(verifier: Verifier) -> Router {
    Router::new().route("/", get(healthz).post(Orders::docs).delete(Orders::list)).with_state(verifier)
}

fn main() {
    let _ = (app, Orders::new(7).0);
    let names: Vec<_> = public_endpoints().iter().map(|public| public.endpoint().function()).collect();
    assert_eq!(names, ["Orders::docs", "Orders::new", "healthz"]);
}
