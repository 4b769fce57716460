//! A service on actix-web with one handler that only one other service may call.

use actix_web::{App, HttpServer, delete, web};
use service_only::{Caller, JsonLinesAudit, KeySet, Verifier, service_only};

#[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"))]
#[delete("/tenants/{tenant}")]
async fn delete_tenant(tenant: web::Path<String>, caller: Caller) -> String {
    format!("{tenant} deleted for {}\n", caller.service())
}

fn service(verifier: Verifier) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.app_data(web::Data::new(verifier)).service(delete_tenant);
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let verifier = Verifier::builder()
        .issuer("bakery-auth")
        .keys(KeySet::from_jwks_file("jwks.json")?)
        .audit(JsonLinesAudit::to_file("audit.jsonl")?)
        .build()?;
    // On SIGTERM and Ctrl-C actix stops accepting and lets running requests finish. The audit log is flushed
    // when `main` returns.
    let app = move || App::new().configure(service(verifier.clone()));
    Ok(HttpServer::new(app).shutdown_timeout(20).bind(("127.0.0.1", 3000))?.run().await?)
}

#[cfg(test)]
mod tests;
