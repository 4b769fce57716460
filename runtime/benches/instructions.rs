//! Instructions that one operation takes, counted by callgrind: they repeat where times do not.
//! `cargo bench -p service-only --bench instructions` tells them, with `-- --check` compares them with
//! `instructions.json`, and with `-- --record` writes that file anew. What metrics cost is told with
//! `--features metrics`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a benchmark"
)]

mod common;

use std::{
    collections::BTreeMap,
    hint::black_box,
    process::{Command, ExitCode},
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::get,
};
use common::{
    floor::{Floor, decoding_key},
    report::Report,
    tokens::{self, AUDIENCE, ISSUER},
};
use futures_util::FutureExt;
use http::{
    HeaderValue, Request, StatusCode, Uri,
    header::{AUTHORIZATION, HOST},
};
use service_only::{
    Algorithm, AuditError, AuditEvent, AuditSink, JsonLinesAudit, NoAudit, public, service_only,
};
use tower::Service;

/// Over this many times what is recorded, the check fails. Compilers and libraries change counts by a few
/// per cent; a mistake on the way of every request costs more.
const GENEROUS: f64 = 1.5;

/// And this many more: whether a writer thread sleeps when a record comes is chance.
const CHANCE: f64 = 500.0;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.json");

/// Operations that are counted together, so that what happens now and then is spread.
const COUNT: usize = 200;

const FLOOR: &str = "HS256, floor";
const SIGNATURE: &str = "HS256, the signature alone";
const DECODE: &str = "HS256, jsonwebtoken::decode";
const COLD: &str = "HS256, cold";
const WARM: &str = "HS256, warm";
const RECORDING: &str = "HS256, warm, recorded as a JSON line";
/// The difference of the last two.
const RECORD: &str = "an audit record";
const GIVEN: &str = "HS256, warm, given to a sink";
const METERED: &str = "HS256, warm, given to metrics";
/// The difference of the last two.
const COUNTED: &str = "metrics of a decision";

/// A request to a route of axum that asks nothing, has an extractor that asks nothing, and is guarded.
const EMPTY: &str = "axum request, unguarded";
const OPEN: &str = "axum request, open to anybody";
const GUARDED: &str = "axum request, guarded";
const AUDITED: &str = "axum request, guarded, recorded as a JSON line";
/// The last two without the first.
const GUARD: &str = "what the guard adds to an axum request";
const AUDITED_GUARD: &str = "what the guard and its JSON line add to an axum request";
/// What is done for such a record on the thread of the writer, but for what the system does.
const WRITING: &str = "an audit record, on the writer's thread";

/// Records that a writer is counted over: no more than a queue takes.
const WRITTEN: usize = 4000;

/// All of the cold case but the signature, whose instructions are no matter of this code.
const BESIDE: &str = "HS256, cold, beside the signature";

const CASES: [&str; 11] =
    [FLOOR, SIGNATURE, DECODE, COLD, WARM, RECORDING, EMPTY, OPEN, GUARDED, AUDITED, WRITING];
const WITH_METRICS: [&str; 2] = [GIVEN, METERED];
/// What must not grow.
const CHECKED: [&str; 8] = [COLD, BESIDE, WARM, RECORD, COUNTED, GUARD, AUDITED_GUARD, WRITING];

fn cases() -> impl Iterator<Item = &'static str> {
    CASES.into_iter().chain(WITH_METRICS.into_iter().filter(|_| cfg!(feature = "metrics")))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let is_said = |argument: &str| arguments.iter().any(|said| said == argument);
    if let Some(name) = cases().find(|name| is_said(name)) {
        run(name);
        return ExitCode::SUCCESS;
    }
    if !common::measuring() {
        cases().for_each(run);
        return ExitCode::SUCCESS;
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("skipped: valgrind is not to be had");
        return ExitCode::SUCCESS;
    }
    let counts = count_all();
    if is_said("--record") {
        // What this build cannot count stays as it is.
        let mut kept = recorded();
        kept.extend(checked(&counts).map(|(name, now)| (name.to_owned(), now)));
        std::fs::write(RECORDED, serde_json::to_string_pretty(&kept).unwrap() + "\n").unwrap();
    }
    if is_said("--check") && !within_bounds(&counts) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn count_all() -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<_, _> = cases().map(|name| (name, count(name))).collect();
    counts.insert(RECORD, counts[RECORDING].saturating_sub(counts[WARM]));
    counts.insert(GUARD, counts[GUARDED].saturating_sub(counts[EMPTY]));
    counts.insert(AUDITED_GUARD, counts[AUDITED].saturating_sub(counts[EMPTY]));
    if let (Some(given), Some(metered)) = (counts.get(GIVEN), counts.get(METERED)) {
        counts.insert(COUNTED, metered.saturating_sub(*given));
    }
    counts.insert(BESIDE, counts[COLD].saturating_sub(counts[SIGNATURE]));
    let report = &mut Report::new("instructions");
    for (name, &count) in &counts {
        let ratio = count as f64 / counts[FLOOR] as f64;
        report.row("Instructions", name, "instr", count as f64, ratio, None);
    }
    counts
}

fn recorded() -> BTreeMap<String, u64> {
    serde_json::from_str(&std::fs::read_to_string(RECORDED).unwrap()).unwrap()
}

fn checked(counts: &BTreeMap<&'static str, u64>) -> impl Iterator<Item = (&'static str, u64)> {
    CHECKED.into_iter().filter_map(|name| Some((name, *counts.get(name)?)))
}

fn within_bounds(counts: &BTreeMap<&'static str, u64>) -> bool {
    let recorded = recorded();
    let mut fine = true;
    for (name, now) in checked(counts) {
        let (now, then) = (now as f64, recorded[name] as f64);
        if now > then * GENEROUS + CHANCE {
            eprintln!("{name}: {now} instructions, far over the {then} that are recorded");
            fine = false;
        } else if now * GENEROUS + CHANCE < then {
            println!("{name}: {now} instructions, far below the {then} that are recorded; record them anew");
        }
    }
    fine
}

/// The instructions of one operation on the thread that asks for it; or of the writer for one record.
fn count(case: &str) -> u64 {
    let (function, times) = match case {
        // All are asked twice, once as the first.
        WRITING => ("*json_lines::writer::Writer*::run*", 2 * WRITTEN),
        _ => ("*instructions::measured*", COUNT),
    };
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={function}"))
        .arg(std::env::current_exe().unwrap())
        .arg(case)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count);
    let collected: u64 = collected.and_then(|count| count.trim().parse().ok()).unwrap_or_default();
    assert!(output.status.success() && collected > 0, "callgrind counted nothing of `{case}`: {told}");
    collected / times as u64
}

/// What callgrind counts: its name is the switch.
#[inline(never)]
fn measured<T>(items: impl IntoIterator<Item = T>, work: impl Fn(T)) {
    for item in items {
        work(black_box(item));
    }
}

/// A record is made for it, and left there.
struct Given;

impl AuditSink for Given {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        black_box(event);
        Ok(())
    }
}

fn run(case: &str) {
    let key = tokens::signing_key(Algorithm::HS256);
    let verifying = key.verifying_key();
    let floor = Floor::new(&key);
    let decoding = decoding_key(&key);
    let issuer = tokens::issuer(key);
    let tokens = tokens::mint(&issuer, COUNT);
    let again = vec![tokens::token(&issuer, tokens::SERVICE); COUNT];
    // The first calls of anything do what is done once.
    let first = tokens::mint(&issuer, 20);
    let counted = |first: &[String], tokens: &[String], work: &dyn Fn(&str)| {
        first.iter().for_each(|token| work(token));
        measured(tokens, |token| work(token));
    };
    match case {
        FLOOR => counted(&first, &tokens, &|token| {
            black_box(floor.verify(token));
        }),
        SIGNATURE => counted(&first, &tokens, &|token| floor.signature(token)),
        DECODE => {
            let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
            validation.set_issuer(&[ISSUER]);
            validation.set_audience(&[AUDIENCE]);
            counted(&first, &tokens, &|token| {
                drop(jsonwebtoken::decode::<serde_json::Value>(token, &decoding, &validation).unwrap());
            });
        }
        COLD => {
            let verifier = tokens::verifier(verifying, NoAudit);
            counted(&first, &tokens, &|token| drop(black_box(verifier.verify(token).unwrap())));
        }
        WARM => {
            let verifier = tokens::verifier(verifying, NoAudit);
            counted(&again, &again, &|token| drop(black_box(verifier.verify(token).unwrap())));
        }
        RECORDING => {
            let audit = JsonLinesAudit::to_writer(std::io::sink()).unwrap();
            let verifier = tokens::verifier(verifying, audit.clone());
            counted(&again, &again, &|token| drop(black_box(verifier.verify(token).unwrap())));
            assert_eq!(audit.dropped(), 0, "the queue was full");
        }
        EMPTY => requests(&Router::new().route(ROUTE, get(empty)), &again),
        OPEN => requests(&Router::new().route(ROUTE, get(open)), &again),
        GUARDED => {
            let verifier = tokens::verifier(verifying, NoAudit);
            requests(&Router::new().route(ROUTE, get(guarded)).with_state(verifier), &again);
        }
        AUDITED => {
            let audit = JsonLinesAudit::to_writer(std::io::sink()).unwrap();
            let verifier = tokens::verifier(verifying, audit.clone());
            requests(&Router::new().route(ROUTE, get(guarded)).with_state(verifier), &again);
            assert_eq!(audit.dropped(), 0, "the queue was full");
        }
        WRITING => {
            let audit = JsonLinesAudit::to_writer(std::io::sink()).unwrap();
            let verifier = tokens::verifier(verifying, audit.clone());
            let many = vec![again[0].clone(); WRITTEN];
            requests(&Router::new().route(ROUTE, get(guarded)).with_state(verifier), &many);
            assert_eq!(audit.dropped(), 0, "the queue was full");
        }
        GIVEN => {
            let verifier = tokens::verifier(verifying, Given);
            counted(&again, &again, &|token| drop(black_box(verifier.verify(token).unwrap())));
        }
        #[cfg(feature = "metrics")]
        METERED => {
            use opentelemetry::metrics::MeterProvider;
            use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
            let exporter = InMemoryMetricExporter::default();
            let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter).build();
            let metrics = service_only::Metrics::new(&provider.meter("bench"));
            let verifier = tokens::verifier(verifying, metrics.audit());
            counted(&again, &again, &|token| drop(black_box(verifier.verify(token).unwrap())));
        }
        _ => panic!("no such case: `{case}`"),
    }
}

const ROUTE: &str = "/tenants/{id}";

async fn empty() {}

#[public(reason = "measured")]
async fn open() {}

#[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"))]
async fn guarded() {}

/// Requests as hyper hands them over, answered by a router without a network.
fn requests(router: &Router, tokens: &[String]) {
    let asked = || tokens.iter().map(|token| request(token)).collect::<Vec<_>>();
    let answered = |request: Request<Body>| {
        let response = router.clone().call(request).now_or_never().unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    };
    asked().into_iter().for_each(answered);
    measured(asked(), answered);
}

/// All values are parts of one buffer, what was read of the connection.
fn request(token: &str) -> Request<Body> {
    let (host, authorization) = ("127.0.0.1:8080", format!("Bearer {token}"));
    let mut read = Vec::with_capacity(8 * 1024);
    read.extend_from_slice(host.as_bytes());
    read.extend_from_slice(authorization.as_bytes());
    let read = Bytes::from(read);
    let value = |range| HeaderValue::from_maybe_shared(read.slice(range)).unwrap();
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static("/tenants/7");
    request.headers_mut().insert(HOST, value(0..host.len()));
    request.headers_mut().insert(AUTHORIZATION, value(host.len()..read.len()));
    request
}
