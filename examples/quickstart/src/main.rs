//! A service with one handler that only one other service may call.

use axum::{Router, extract::Path, routing::delete};
use service_only::{
    Caller, JsonLinesAudit, KeySet, Verifier, service_only,
    shutdown::{drain, shutdown_signal},
};

#[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"))]
async fn delete_tenant(Path(tenant): Path<String>, caller: Caller) -> String {
    format!("{tenant} deleted for {}\n", caller.service())
}

fn app(verifier: Verifier) -> Router {
    Router::new().route("/tenants/{tenant}", delete(delete_tenant)).with_state(verifier)
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
