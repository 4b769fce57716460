//! A guarded service with monitoring: metrics for Prometheus on a separate port. With
//! `OTEL_EXPORTER_OTLP_ENDPOINT` it also sends metrics and traces to a collector.

mod traced;

use std::future::IntoFuture;

use anyhow::Context;
use axum::{extract::State, http::StatusCode, middleware::from_fn};
use service_only::{
    ClosedRouter, FileKeys, JsonLinesAudit, Verifier,
    closed::{get, post},
    public,
    revocation::MemoryRevocations,
    service_only,
    shutdown::{drain, shutdown_signal},
    verifier::VerifierBuilder,
};
use service_only_otel::Telemetry;
use tokio::net::TcpListener;
use tracing_subscriber::util::SubscriberInitExt;

#[service_only(services("shop", "bakery"), scopes("stock:read"))]
async fn show_stock() -> &'static str {
    tracing::info_span!("count the shelves").in_scope(|| "7\n")
}

#[service_only(services("bakery"), scopes("stock:write"), max_age = "24h")]
async fn restock() -> &'static str {
    "more\n"
}

#[public(reason = "Prometheus has no token, and this port is open to it only")]
async fn metrics(State(telemetry): State<Telemetry>) -> Result<String, StatusCode> {
    telemetry.scrape().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// The routes for services.
fn stock(verifier: Verifier) -> ClosedRouter {
    ClosedRouter::new()
        .route("/stock", get(show_stock))
        .route("/restock", post(restock))
        .layer(from_fn(traced::in_a_span))
        .with_state(verifier)
}

/// The routes for Prometheus.
fn watched(telemetry: Telemetry) -> ClosedRouter {
    ClosedRouter::new().route("/metrics", get(metrics)).with_state(telemetry)
}

/// A verifier with a log, metrics and spans: three audit sinks, and each gets every decision.
fn observed(
    verifier: VerifierBuilder,
    telemetry: &Telemetry,
    log: JsonLinesAudit,
) -> anyhow::Result<Verifier> {
    let metrics = telemetry.metrics();
    metrics.watch_audit(&log);
    let revocations = MemoryRevocations::new();
    metrics.watch_revocations({
        let revocations = revocations.clone();
        move || revocations.len()
    });
    let verifier = verifier.revocation(revocations).audit((log, telemetry.audit())).build()?;
    metrics.watch_verifier(&verifier);
    Ok(verifier)
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let telemetry = Telemetry::from_env()?;
    telemetry.subscriber().init();

    let keys = FileKeys::jwks("jwks.json").open().context("see `service-token jwks`")?;
    telemetry.metrics().watch_file("bakery-auth", &keys);
    let verifier = Verifier::builder().issuer("bakery-auth").keys(keys);
    let log = JsonLinesAudit::to_writer(std::io::stdout())?;
    let verifier = observed(verifier, &telemetry, log)?;

    let stock = axum::serve(TcpListener::bind("127.0.0.1:3000").await?, stock(verifier));
    let watched = axum::serve(TcpListener::bind("127.0.0.1:9464").await?, watched(telemetry.clone()));
    let stock = stock.with_graceful_shutdown(shutdown_signal()?).into_future();
    let watched = watched.with_graceful_shutdown(shutdown_signal()?).into_future();
    let both = async { tokio::try_join!(stock, watched).map(|_| ()) };
    drain(both).await.map_err(anyhow::Error::from_boxed)?;
    Ok(tokio::task::spawn_blocking(move || telemetry.shutdown()).await??)
}

#[cfg(test)]
mod tests;
