//! What a record costs on the request's thread: a guarded axum route with each sink, less the same route
//! with none. `cargo bench -p service-only --bench audit`.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs, reason = "a benchmark")]

mod common;

use std::time::{Duration, Instant};

use axum::{Router, body::Body, http::Request, routing::get};
use common::{
    race::{Outcome, Race},
    report::{Bound, Report},
    tokens,
};
use futures_util::FutureExt;
use service_only::{
    Algorithm, JsonLinesAudit, VerifyingKey,
    audit::{AuditSink, JsonLinesBuilder, NoAudit, TracingAudit, WhenFull},
    service_only,
};
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
    modes(&verifying, &token, report);
}

/// No record is lost, so that all are counted.
const WAIT: WhenFull = WhenFull::Wait(Duration::from_secs(10));

/// What a verified call costs where its record is written before the handler runs, by how many threads call at once
/// and so share writes.
fn modes(key: &VerifyingKey, token: &str, report: &mut Report) {
    const TABLE: &str = "A verified call, by the mode of the audit and the threads that call at once";
    type Mode = (&'static str, fn() -> JsonLinesBuilder);
    let modes: [Mode; 4] = [
        ("the default", || JsonLinesAudit::builder().when_full(WAIT)),
        ("sync", || JsonLinesAudit::builder().when_full(WAIT).sync()),
        ("write_before_handler", || JsonLinesAudit::builder().write_before_handler()),
        ("write_before_handler, sync", || JsonLinesAudit::builder().write_before_handler().sync()),
    ];
    let mut first = None;
    for (mode, sink) in modes {
        for threads in [1, 8, 64] {
            let cost = per_call(&sink().write_timeout(Duration::from_secs(10)), key, token, threads);
            let ratio = cost / *first.get_or_insert(cost);
            report.row(TABLE, &format!("{mode}, {threads} at once"), "ns", cost, ratio, None);
        }
    }
}

/// Nanoseconds of wall-clock time for each call, the last flush included.
fn per_call(sink: &JsonLinesBuilder, key: &VerifyingKey, token: &str, threads: u32) -> f64 {
    let time = if common::measuring() { Duration::from_secs(2) } else { Duration::ZERO };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let audit = sink.clone().to_file(folder.path().join("audit.jsonl")).unwrap();
    let verifier = tokens::verifier(key.clone(), audit.clone());
    let started = Instant::now();
    let call = || {
        let mut calls = 0_u32;
        loop {
            verifier.verify(token).unwrap();
            calls += 1;
            if started.elapsed() >= time {
                return calls;
            }
        }
    };
    let calls: u32 = std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(call)).collect();
        all.into_iter().map(|calls| calls.join().unwrap()).sum()
    });
    audit.flush().unwrap();
    assert_eq!(audit.dropped(), 0, "a record was lost");
    started.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
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
