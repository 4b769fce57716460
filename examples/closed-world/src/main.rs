//! A service in which no route stays open because its guard was forgotten.

use axum::extract::Path;
use service_only::{
    ClosedRouter, JsonLinesAudit, KeySet, Verifier,
    closed::{get, post},
    public, service_only,
    shutdown::{drain, shutdown_signal},
};

#[service_only(scopes("orders:read"))]
async fn show_order(Path(id): Path<u32>) -> String {
    format!("order {id}\n")
}

#[service_only(services("shop"), scopes("orders:write"), max_age = "24h")]
async fn cancel_order(Path(id): Path<u32>) -> String {
    format!("order {id} is cancelled\n")
}

#[service_only(services("shop"))]
async fn place_order() -> &'static str {
    "order 7 is placed\n"
}

#[public(reason = "load balancers have no token")]
async fn healthz() -> &'static str {
    "ok\n"
}

fn app(verifier: Verifier) -> ClosedRouter {
    let orders = ClosedRouter::new()
        .route("/", post(place_order))
        .route("/{id}", get(show_order).delete(cancel_order));
    ClosedRouter::new().nest("/orders", orders).route("/healthz", get(healthz)).with_state(verifier)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let verifier = Verifier::builder()
        .issuer("bakery-auth")
        .keys(KeySet::from_jwks_file("jwks.json")?)
        .audit(JsonLinesAudit::to_file("audit.jsonl")?)
        .build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    drain(axum::serve(listener, app(verifier)).with_graceful_shutdown(shutdown_signal()?)).await
}

#[cfg(test)]
mod tests;
