//! Instructions that one operation takes, counted by callgrind: they repeat where times do not.
//! `cargo bench -p service-only --bench instructions` tells them, with `-- --check` compares them with
//! `instructions.json`, and with `-- --record` writes that file anew. What metrics cost is counted by the
//! benchmark of `service-only-otel`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a benchmark")]

mod common;

use std::{hint::black_box, process::ExitCode};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::get,
};
use common::{
    callgrind::{self, COUNT, Counts, MEASURED, Suite, measured},
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
    Algorithm, JsonLinesAudit, Policy, TrustedIssuer, Verifier, audit::NoAudit, public, service_only,
};
use service_only_testkit::TestCa;
use tower::Service;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.json");

const FLOOR: &str = "HS256, floor";
const SIGNATURE: &str = "HS256, the signature alone";
const DECODE: &str = "HS256, jsonwebtoken::decode";
const COLD: &str = "HS256, cold";
const WARM: &str = "HS256, warm";
/// A caller without a token, which no cache keeps.
const CERTIFICATE: &str = "a caller by its certificate";
const RECORDING: &str = "HS256, warm, recorded as a JSON line";
/// The difference of the last two.
const RECORD: &str = "an audit record";

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

const CASES: &[&str] =
    &[FLOOR, SIGNATURE, DECODE, COLD, WARM, CERTIFICATE, RECORDING, EMPTY, OPEN, GUARDED, AUDITED, WRITING];
/// What must not grow.
const CHECKED: &[&str] = &[COLD, BESIDE, WARM, RECORD, GUARD, AUDITED_GUARD, WRITING];

fn main() -> ExitCode {
    callgrind::main(&Suite { cases: CASES, checked: CHECKED, recorded: RECORDED, run, counted, finish })
}

/// The thread that asks for an operation; or the writer's, for one record.
fn counted(case: &str) -> (&'static str, usize) {
    match case {
        // All are asked twice, once as the first.
        WRITING => ("*json_lines::writer::Writer*::run*", 2 * WRITTEN),
        _ => MEASURED,
    }
}

fn finish(counts: &mut Counts) {
    counts.insert(RECORD, counts[RECORDING].saturating_sub(counts[WARM]));
    counts.insert(GUARD, counts[GUARDED].saturating_sub(counts[EMPTY]));
    counts.insert(AUDITED_GUARD, counts[AUDITED].saturating_sub(counts[EMPTY]));
    counts.insert(BESIDE, counts[COLD].saturating_sub(counts[SIGNATURE]));
    let report = &mut Report::new("instructions");
    for (name, &count) in &*counts {
        let ratio = count as f64 / counts[FLOOR] as f64;
        report.row("Instructions", name, "instr", count as f64, ratio, None);
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
        CERTIFICATE => {
            const ID: &str = "spiffe://bakery.example/orders";
            let domain = TrustedIssuer::spiffe_x509("bakery.example").name(ID, "orders");
            let verifier = Verifier::builder().trust(domain).audit(NoAudit).build().unwrap();
            let peer = TestCa::new("bakery.example").leaf().spiffe_id(ID).issue().peer();
            let policy = Policy::any_service().services(&["orders"]);
            counted(&again, &again, &|_| drop(black_box(verifier.verify_peer(&peer, &policy).unwrap())));
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
