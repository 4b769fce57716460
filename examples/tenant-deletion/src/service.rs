//! One service of the platform: the two endpoints of a tenant deletion, open to one caller.
//!
//! Both handlers are shared by all twelve services; a service answers under its own name only.
//! The guard runs before any other argument, so a stranger learns nothing from how a bad path
//! or body is answered.

use axum::extract::{FromRef, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use service_only::{Caller, Verifier, service_only};

use crate::problem::problem;
use crate::store::{AskedBy, Records, Store, StoreError};
use crate::tenant::TenantId;

/// What every handler can ask for.
#[derive(Clone, FromRef)]
struct App {
    store: Store,
    verifier: Verifier,
}

/// The routes of the service whose records `store` keeps.
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

/// Says what a deletion would delete.
#[service_only(services("tenant-deletion-orchestrator"))]
async fn preview_deletion(
    State(store): State<Store>,
    Path(tenant): Path<TenantId>,
) -> Result<Json<Records>, ApiError> {
    blocking(move || store.count(tenant)).await.map(Json)
}

/// Deletes all records of a tenant in one transaction and says what it deleted.
///
/// The token must be of today: one that leaked last year can look, and delete nothing.
#[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"), max_age = "24h")]
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

/// The process answers. Says nothing about the database: restarting would not mend that.
async fn alive() -> &'static str {
    "alive\n"
}

/// The database can be read and has the tables that a deletion must reach.
async fn ready(State(store): State<Store>) -> Result<&'static str, StatusCode> {
    match blocking(move || store.check()).await {
        Ok(()) => Ok("ready\n"),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// Runs database work off the async threads. If the client goes away it still ends by itself,
/// committed or not at all.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, ApiError> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.map_err(|error| ApiError::new(&error))?.map_err(|error| ApiError::new(&error))
}

/// A failure of this service. The log says why; the wire says that it may be tried again.
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
