//! Users, machines, claims of their own, an error body of the service and an OpenAPI document.

use std::{env, error::Error, sync::OnceLock};

use axum::{Json, extract::Path};
use serde::Deserialize;
use serde_json::json;
use service_only::{
    Claims, ClosedRouter, FileKeys, Identity, JsonLinesAudit, Rejection, User, Verifier, callers,
    closed::{get, post},
    keys::KeySource,
    public,
    rejection::{Refusal, RefusalBody, RefusalClass},
    service_only,
    shutdown::{drain, shutdown_signal},
    users_only,
    verifier::VerifierBuilder,
};

/// What the issuer adds to each token.
#[derive(Deserialize)]
struct Customer {
    plan: Option<String>,
    #[serde(default)]
    approval_limit: u64,
}

/// People of the tenant, and the billing service for any tenant.
#[callers(users(roles("clerk", "manager"), claims(tenant_id = "{tenant}")), services("billing"))]
async fn invoices(Path(tenant): Path<String>, caller: Identity, customer: Claims<Customer>) -> String {
    let reader = match &caller {
        Identity::Service(service) => service.service(),
        Identity::User(user) => user.id().unwrap_or("a user"),
        _ => "a caller",
    };
    let plan = customer.plan.as_deref().unwrap_or("basic");
    format!("the invoices of {tenant} ({plan}), for {reader}\n")
}

/// A manager approves up to the limit in the token.
#[users_only(roles("manager"), claims(tenant_id = "{tenant}"), max_age = "12h")]
async fn approve(
    Path((tenant, amount)): Path<(String, u64)>,
    user: User,
    customer: Claims<Customer>,
) -> Result<String, Rejection> {
    if amount > customer.approval_limit {
        return Err(user.refuse(format!("the limit of the user is {}", customer.approval_limit)));
    }
    Ok(format!("{amount} approved for {tenant}\n"))
}

/// Only machines write, each with a separate scope.
#[service_only(services("billing"), any_scope("invoices:write", "invoices:admin"))]
async fn write(Path(tenant): Path<String>) -> String {
    format!("written for {tenant}\n")
}

/// The operator names who may delete, and can change it while the service runs.
#[service_only(services(@deleters), scopes("invoices:delete"))]
async fn delete(Path(tenant): Path<String>) -> String {
    format!("{tenant} has no invoices any more\n")
}

#[public(reason = "load balancers have no token")]
async fn healthz() -> &'static str {
    "ok\n"
}

#[public(reason = "the document contains no data of tenants")]
async fn openapi() -> Json<serde_json::Value> {
    static DOCUMENT: OnceLock<serde_json::Value> = OnceLock::new();
    let document = || {
        let text = service_only_export::openapi(&routes().routes("invoices"), "1.0.0").unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    };
    Json(DOCUMENT.get_or_init(document).clone())
}

fn routes() -> ClosedRouter<Verifier> {
    ClosedRouter::new()
        .route("/tenants/{tenant}/invoices", get(invoices).post(write).delete(delete))
        .route("/tenants/{tenant}/approvals/{amount}", post(approve))
        .route("/healthz", get(healthz))
        .route("/openapi.json", get(openapi))
}

/// The error format of the company, in two languages.
fn error_body(refusal: &Refusal<'_>) -> RefusalBody {
    let german = refusal.header("accept-language").is_some_and(|languages| languages.starts_with("de"));
    let message = match (refusal.class(), german) {
        (RefusalClass::Unauthenticated, false) => "Sign in and try again.",
        (RefusalClass::Unauthenticated, true) => "Bitte melden Sie sich an.",
        (RefusalClass::Forbidden, false) => "You may not do this.",
        (RefusalClass::Forbidden, true) => "Das d\u{fc}rfen Sie nicht.",
        (_, false) => "Please try again later.",
        (_, true) => "Bitte versuchen Sie es sp\u{e4}ter.",
    };
    let body = json!({ "error": { "message": message, "reference": refusal.instance().to_string() } });
    RefusalBody::new("application/json", body.to_string())
}

fn verifier(keys: impl KeySource, deleters: &str) -> VerifierBuilder {
    let deleters = deleters.split(',').filter(|name| !name.is_empty());
    let builder = Verifier::builder().issuer("bakery-auth").keys(keys).audience("invoices");
    builder.service_set("deleters", deleters).refusal_body(error_body)
}

fn build(builder: VerifierBuilder) -> Result<ClosedRouter, Box<dyn Error + Send + Sync>> {
    Ok(routes().try_with_state(builder.build()?)?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let keys = FileKeys::jwks("jwks.json").open()?;
    let deleters = env::var("DELETERS").unwrap_or_default();
    let builder = verifier(keys, &deleters).audit(JsonLinesAudit::to_file("audit.jsonl")?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    drain(axum::serve(listener, build(builder)?).with_graceful_shutdown(shutdown_signal()?)).await
}

#[cfg(test)]
mod tests;
