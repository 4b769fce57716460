//! One service of the platform: the two endpoints of a tenant deletion, for one caller through one gateway.
//!
//! All twelve services share both handlers; a service answers only under its own name. The guard runs before
//! any other argument is read. So a stranger learns nothing from the answer to a bad path or body.

use axum::extract::{FromRef, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use service_only::{Caller, Verifier, service_only};

use crate::problem::problem;
use crate::store::{AskedBy, Records, Store, StoreError};
use crate::tenant::TenantId;

/// The state that every handler can extract.
#[derive(Clone, FromRef)]
struct App {
    store: Store,
    verifier: Verifier,
}

/// The routes of the service whose records are in `store`.
pub fn router(store: Store, verifier: Verifier) -> Router {
    let tenant = format!("/api/v1/{}/tenant/{{tenant_id}}", store.service());
    let preview = format!("{tenant}/deletion-preview");
    Router::new()
        .route(&preview, get(preview_deletion))
        .route(&tenant, axum::routing::delete(delete_tenant))
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(App { store, verifier })
}

/// Returns what a deletion would delete.
#[service_only(services("tenant-deletion-orchestrator"), actors("gateway"))]
async fn preview_deletion(
    State(store): State<Store>,
    Path(tenant): Path<TenantId>,
) -> Result<Json<Records>, ApiError> {
    blocking(move || store.count(tenant)).await.map(Json)
}

/// Deletes all records of a tenant in one transaction, and returns what it deleted.
///
/// The orchestrator's token must be at most a day old: a token that leaked last year can preview, and delete nothing.
/// The gateway's token counts as old as that one.
#[service_only(
    services("tenant-deletion-orchestrator"),
    actors("gateway"),
    scopes("tenants:delete"),
    max_age = "24h"
)]
async fn delete_tenant(
    State(store): State<Store>,
    Path(tenant): Path<TenantId>,
    caller: Caller,
) -> Result<Json<Records>, ApiError> {
    blocking(move || {
        let records = store.delete(tenant, AskedBy { service: caller.service(), token_id: caller.jti() })?;
        tracing::info!(service = %store.service(), %tenant, records = records.total, "tenant deleted");
        Ok(records)
    })
    .await
    .map(Json)
}

/// Answers while the process runs. It does not check the database, because a restart would not repair it.
async fn alive() -> &'static str {
    "alive\n"
}

/// Checks that the database is readable and has the tables that a deletion must cover.
async fn ready(State(store): State<Store>) -> Result<&'static str, StatusCode> {
    match blocking(move || store.check()).await {
        Ok(()) => Ok("ready\n"),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Runs database work outside the async threads. If the client disconnects, the work still finishes,
/// committed or not at all.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.map_err(|error| ApiError::new(&error))?.map_err(|error| ApiError::new(&error))
}

/// A failure of this service. The log has the reason; the response says only that a retry is possible.
struct ApiError;

impl ApiError {
    fn new(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "request failed");
        Self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        problem(StatusCode::INTERNAL_SERVER_ERROR, "the service could not use its database")
    }
}
