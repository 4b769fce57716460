//! Handlers under a named policy: `#[tenant_admin_only]` of `named-policy-macros`.

use axum::{Router, extract::Path, http::StatusCode, routing::delete};
use named_policy_macros::tenant_admin_only;
use service_only::{
    Caller, Denial, JsonLinesAudit, KeySet, Verifier,
    shutdown::{drain, shutdown_signal},
};

#[tenant_admin_only]
async fn delete_tenant(Path(tenant): Path<String>, caller: Caller) -> Result<String, StatusCode> {
    match delete_records(&tenant, &caller) {
        Ok(records) => Ok(format!("{records} records of {tenant} deleted\n")),
        Err(_) => Err(StatusCode::FORBIDDEN),
    }
}

/// A function without a web framework, with an additional requirement.
#[tenant_admin_only(services("orchestrator"))]
fn delete_records(tenant: &str, _: &Caller) -> Result<usize, Denial> {
    Ok(tenant.len())
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
