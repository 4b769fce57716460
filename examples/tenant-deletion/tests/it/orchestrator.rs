//! Services that fail in every way, and the run that finishes what the first one could not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use tenant_deletion::catalogue::{ORCHESTRATOR, SERVICES};
use tenant_deletion::gateway::Limits;
use tenant_deletion::orchestrator::{self, Client, Incomplete, Report, State};
use tenant_deletion::serve::Shutdown;
use tenant_deletion::service;
use tenant_deletion::tenant::{LEAVING, STAYING};

use crate::town::{ClosedPort, Place, Town, verifier_of};

/// Answers 500 in place of the service for as many calls as `left` says.
fn failing(router: Router, left: &Arc<AtomicU32>) -> Router {
    let left = Arc::clone(left);
    router.layer(from_fn(move |request: Request, next: Next| {
        let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        async move {
            if fails { StatusCode::INTERNAL_SERVER_ERROR.into_response() } else { next.run(request).await }
        }
    }))
}

/// Never answers while `silent` is set.
fn silent(router: Router, silent: &Arc<AtomicBool>) -> Router {
    let silent = Arc::clone(silent);
    router.layer(from_fn(move |request: Request, next: Next| {
        let silent = silent.load(Ordering::SeqCst);
        async move { if silent { std::future::pending::<Response>().await } else { next.run(request).await } }
    }))
}

/// Does the work and then loses the answer, for as many deletions as `left` says.
fn losing_answers(router: Router, left: &Arc<AtomicU32>) -> Router {
    let left = Arc::clone(left);
    router.layer(from_fn(move |request: Request, next: Next| {
        let left = Arc::clone(&left);
        async move {
            let deletes = request.method() == axum::http::Method::DELETE;
            let answer = next.run(request).await;
            let lose = |left: u32| left.checked_sub(1);
            if deletes && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lose).is_ok() {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            answer
        }
    }))
}

async fn run(client: &Client) -> Report {
    let preview = orchestrator::preview(client, LEAVING.id).await;
    orchestrator::delete(client, preview, Incomplete::DeleteTheRest).await
}

fn states(report: &Report, state: State) -> BTreeSet<&'static str> {
    report.services.iter().filter(|line| line.state == state).map(|line| line.service).collect()
}

#[tokio::test]
async fn one_tenant_is_deleted_and_the_other_is_unchanged() {
    let town = Town::start().await;
    let (leaving, staying) = (town.counts(LEAVING), town.counts(STAYING));
    let report = run(&town.client(5)).await;
    assert!(report.complete);
    assert_eq!(states(&report, State::Deleted).len(), SERVICES.len());
    assert_eq!(report.deleted(), leaving.values().sum::<u64>());
    // The run can be found in the audit of every service that it asked.
    let of_run = |trace: Option<&str>| trace == Some(report.trace_id.as_str());
    assert_eq!(town.services_audit.len(), 2 * SERVICES.len());
    assert!(town.services_audit.events().iter().all(|event| of_run(event.trace_id.as_deref())));
    assert!(town.counts(LEAVING).values().all(|&left| left == 0));
    assert_eq!(town.counts(STAYING), staying);

    let again = run(&town.client(5)).await;
    assert!(again.complete);
    assert_eq!((again.found(), again.deleted()), (0, 0));
    assert_eq!(states(&again, State::AlreadyGone).len(), SERVICES.len());
    let before: u64 = again.services.iter().map(|line| line.deleted_before).sum();
    assert_eq!(before, report.deleted());
}

#[tokio::test]
async fn service_that_returns_500_is_called_again_until_it_succeeds() {
    let left = Arc::new(AtomicU32::new(2));
    let town = Town::start_with(Limits::default(), |service, router| {
        Place::Open(if service.name == "pos" { failing(router, &left) } else { router })
    })
    .await;
    let preview = orchestrator::preview(&town.client(5), LEAVING.id).await;
    assert!(preview.complete);
    let line = preview.services.iter().find(|line| line.service == "pos").unwrap();
    assert_eq!(line.attempts, 3);
}

#[tokio::test]
async fn run_reports_failed_services_and_the_next_run_completes_them() {
    let broken = Arc::new(AtomicU32::new(u32::MAX));
    let mute = Arc::new(AtomicBool::new(true));
    let (closed, address) = ClosedPort::new();
    let limits = Limits { upstream: Duration::from_secs(2), ..Limits::default() };
    let town = Town::start_with(limits, |service, router| match service.name {
        "orders" => Place::At(address),
        "sales" => Place::Open(silent(router, &mute)),
        "training" => Place::Open(failing(router, &broken)),
        _ => Place::Open(router),
    })
    .await;
    let ill = BTreeSet::from(["orders", "sales", "training"]);
    let before = town.counts(LEAVING);

    let client = town.client(2);
    let preview = orchestrator::preview(&client, LEAVING.id).await;
    let stopped = orchestrator::delete(&client, preview, Incomplete::Stop).await;
    assert!(!stopped.complete && stopped.deleted() == 0);
    assert_eq!(town.counts(LEAVING), before, "a failed preview stops the whole deletion");

    let report = run(&client).await;
    assert!(!report.complete);
    assert_eq!(states(&report, State::Failed), ill);
    for line in report.failed() {
        let reason = match line.service {
            "orders" => "502 Bad Gateway",
            "sales" => "504 Gateway Timeout",
            _ => "500 Internal Server Error",
        };
        assert_eq!((line.error.as_deref(), line.attempts, line.deleted), (Some(reason), 2, None));
    }
    for (service, left) in town.counts(LEAVING) {
        assert_eq!(left, if ill.contains(service) { before[service] } else { 0 }, "{service}");
    }

    broken.store(0, Ordering::SeqCst);
    mute.store(false, Ordering::SeqCst);
    let verifier = verifier_of(&town.own, "orders", &town.services_audit);
    let shutdown = Shutdown::default();
    closed.open(
        service::router(town.stores["orders"].clone(), verifier),
        town.parts.tls("orders"),
        &shutdown,
    );

    let second = run(&town.client(5)).await;
    assert!(second.complete, "{second:?}");
    assert_eq!(states(&second, State::Deleted), ill);
    assert_eq!(report.deleted() + second.deleted(), before.values().sum::<u64>());
    assert!(town.counts(LEAVING).values().all(|&left| left == 0));
    shutdown.begin();
}

#[tokio::test]
async fn deletion_whose_response_was_lost_is_not_repeated() {
    let left = Arc::new(AtomicU32::new(1));
    let town = Town::start_with(Limits::default(), |service, router| {
        Place::Open(if service.name == "recipes" { losing_answers(router, &left) } else { router })
    })
    .await;
    let recipes = town.counts(LEAVING)["recipes"];
    let report = run(&town.client(5)).await;
    assert!(report.complete);
    let line = report.services.iter().find(|line| line.service == "recipes").unwrap();
    assert_eq!((line.state, line.deleted, line.deleted_before), (State::AlreadyGone, Some(0), recipes));
    assert_eq!(line.attempts, 2);
}

#[tokio::test]
async fn refusal_is_final_and_only_previewed_services_are_deleted() {
    let town = Town::start().await;
    let before = town.counts(LEAVING);
    let orders = town.authority.service("orders").bound_to(town.parts.certificate(ORCHESTRATOR));
    let cases =
        [(orders.token(), "403 Forbidden"), (town.orchestrator().expired().token(), "401 Unauthorized")];
    for (token, reason) in cases {
        let report = run(&town.client_with(&token, 5)).await;
        assert!(!report.complete);
        for line in &report.services {
            assert_eq!((line.state, line.error.as_deref(), line.attempts), (State::Failed, Some(reason), 1));
            let id =
                line.instance.as_deref().and_then(|instance| instance.strip_prefix("urn:uuid:")).unwrap();
            let events = [town.gateway_audit.events(), town.services_audit.events()].concat();
            let records: Vec<_> = events.iter().filter(|event| event.id.to_string() == id).collect();
            assert_eq!(records.len(), 1, "the instance is the id of one audit record");
            assert_eq!(records[0].trace_id.as_deref(), Some(report.trace_id.as_str()));
        }
    }
    assert_eq!(town.counts(LEAVING), before);
    assert!(town.services_audit.events().iter().all(|event| event.method.as_deref() == Some("GET")));
}

#[tokio::test]
async fn response_for_another_tenant_is_an_error() {
    let town = Town::start_with(Limits::default(), |service, router| {
        let stranger = tenant_deletion::catalogue::find("sales").unwrap();
        match service.name {
            "orders" => Place::Open(Router::new().fallback(move || async move {
                axum::Json(serde_json::json!({
                    "service": stranger.name, "tenant_id": LEAVING.id, "tables": {}, "total": 0, "previously_deleted": 0,
                }))
            })),
            "pos" => Place::Open(Router::new().fallback(|| async { "OK" })),
            _ => Place::Open(router),
        }
    })
    .await;
    let report = run(&town.client(5)).await;
    assert_eq!(states(&report, State::Failed), BTreeSet::from(["orders", "pos"]));
}
