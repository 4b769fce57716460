//! Instructions that the metrics of one decision take, counted by callgrind. `cargo bench -p service-only-otel
//! --bench instructions` reports them, with `-- --check` compares them with `instructions.json`, and with
//! `-- --record` writes that file.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "no benchmark needs all of what they share")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark"
)]

// The rest of what benchmarks share needs more crates.
#[path = "../../benches/common/callgrind.rs"]
mod callgrind;
#[path = "../../benches/common/report.rs"]
mod report;
#[path = "../../benches/common/tokens.rs"]
mod tokens;

use std::{hint::black_box, process::ExitCode};

use callgrind::{COUNT, Counts, MEASURED, Suite, measured};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use report::Report;
use service_only::{
    Algorithm,
    audit::{AuditError, AuditEvent, AuditSink},
};
use service_only_otel::Metrics;

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.json");

const GIVEN: &str = "HS256, warm, given to a sink";
const METERED: &str = "HS256, warm, given to metrics";
/// The difference of the two.
const COUNTED: &str = "metrics of a decision";

fn main() -> ExitCode {
    let (cases, checked) = (&[GIVEN, METERED], &[COUNTED]);
    callgrind::main(&Suite { cases, checked, recorded: RECORDED, run, counted: |_| MEASURED, finish })
}

fn finish(counts: &mut Counts) {
    counts.insert(COUNTED, counts[METERED].saturating_sub(counts[GIVEN]));
    let report = &mut Report::new("instructions-otel");
    for (name, &count) in &*counts {
        let ratio = count as f64 / counts[GIVEN] as f64;
        report.row("Instructions", name, "instr", count as f64, ratio, None);
    }
}

fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
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
    match case {
        GIVEN => verify(Given),
        METERED => {
            let exporter = InMemoryMetricExporter::default();
            let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter).build();
            verify(Metrics::new(&provider.meter("bench")).audit());
        }
        _ => panic!("no such case: `{case}`"),
    }
}

fn verify(audit: impl AuditSink) {
    let key = tokens::signing_key(Algorithm::HS256);
    let verifier = tokens::verifier(key.verifying_key(), audit);
    let again = vec![tokens::token(&tokens::issuer(key), tokens::SERVICE); COUNT];
    let work = |token: &String| drop(black_box(verifier.verify(token).unwrap()));
    // The first calls of anything do what is done once.
    again.iter().for_each(work);
    measured(&again, work);
}
