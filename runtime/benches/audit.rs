//! What a record costs on the request's thread: a guarded axum route with each sink, less the same route
//! with none. `cargo bench -p service-only --bench audit`.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod common;

use std::time::Duration;

use axum::{Router, body::Body, http::Request, routing::get};
use common::{
    race::{Outcome, Race},
    report::{Bound, Report},
    tokens,
};
use futures_util::FutureExt;
use service_only::{Algorithm, AuditSink, JsonLinesAudit, NoAudit, TracingAudit, VerifyingKey, service_only};
use tower::Service;

const NONE: &str = "no audit";
const LINES: &str = "JsonLinesAudit";
const TRACING: &str = "TracingAudit, formatted by tracing-subscriber as JSON";

/// As many as a queue takes without being read.
const BURST: usize = 500;

fn main() {
    let report = &mut Report::new("audit");
    // Only `TracingAudit` has anything to say to it.
    tracing_subscriber::fmt().json().with_writer(std::io::sink).init();
    let key = tokens::signing_key(Algorithm::HS256);
    let verifying = key.verifying_key();
    let token = tokens::token(&tokens::issuer(key), tokens::SERVICE);

    let busy = race("A guarded route, records in a row", &verifying, BURST, &token, report);
    for (sink, bound) in [(LINES, Some(150.0)), (TRACING, None)] {
        let cost = busy.difference(sink);
        match bound {
            Some(bound) => {
                report.budget("an audit record on the request's thread", "ns", cost, Bound::AtMost(bound));
            }
            None => {
                report.row("An audit record, in a row", sink, "ns", cost, cost / busy.difference(LINES), None)
            }
        }
    }
    let idle = race("A guarded route, the writer asleep", &verifying, 1, &token, report);
    let cost = idle.difference(LINES);
    report.row("An audit record, the writer asleep", LINES, "ns", cost, cost / busy.difference(LINES), None);
}

/// After each turn the writer writes all it has, and falls asleep.
fn race(title: &str, key: &VerifyingKey, batch: usize, token: &str, report: &mut Report) -> Outcome {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = JsonLinesAudit::to_file(file.path()).unwrap();
    let flushed = lines.clone();
    let outcome = Race::new(title)
        .with(NONE, route(key, NoAudit))
        .with(LINES, route(key, lines.clone()))
        .with(TRACING, route(key, TracingAudit))
        .between(move || {
            flushed.flush().unwrap();
            if batch == 1 {
                std::thread::sleep(Duration::from_millis(1));
            }
        })
        .warm(token, batch)
        .report(report);
    assert_eq!(lines.dropped(), 0, "the queue was full");
    outcome
}

#[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"))]
async fn empty() {}

/// A request is made, and answered, without a connection.
fn route<A: AuditSink>(key: &VerifyingKey, audit: A) -> impl FnMut(&str) + use<A> {
    let router = Router::new().route("/tenants/{id}", get(empty));
    let mut router: Router = router.with_state(tokens::verifier(key.clone(), audit));
    move |token| {
        let request = Request::get("/tenants/7").header("authorization", format!("Bearer {token}"));
        let answer = router.call(request.body(Body::empty()).unwrap());
        assert!(answer.now_or_never().unwrap().unwrap().status().is_success());
    }
}
