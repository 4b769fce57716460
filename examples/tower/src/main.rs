//! Files that only one other service may read. No handler function exists for the attribute, so a layer
//! guards the service that reads the files.

use std::path::Path;

use axum::Router;
use service_only::{
    JsonLinesAudit, KeySet, Policy, ServiceOnlyLayer, Verifier,
    shutdown::{drain, shutdown_signal},
};
use tower_http::services::ServeDir;
use tower_layer::Layer;

const AUDITOR: Policy<'static> = Policy::any_service().services(&["auditor"]).scopes(&["reports:read"]);

fn app(verifier: Verifier, folder: &Path) -> Router {
    let guard = ServiceOnlyLayer::new(verifier, AUDITOR).endpoint(module_path!(), "reports");
    Router::new().nest_service("/reports", guard.layer(ServeDir::new(folder)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let verifier = Verifier::builder()
        .issuer("bakery-auth")
        .keys(KeySet::from_jwks_file("jwks.json")?)
        .audit(JsonLinesAudit::to_file("audit.jsonl")?)
        .build()?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let server = axum::serve(listener, app(verifier, Path::new("reports")));
    drain(server.with_graceful_shutdown(shutdown_signal()?)).await
}

#[cfg(test)]
mod tests;
