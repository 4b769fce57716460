//! Instructions that a tree beside the audit log adds to a decision, counted by callgrind. The hashing is on the writer's
//! thread, so it adds none. `cargo bench -p service-only-evidence --bench instructions` reports them, with `-- --check`
//! compares them with `instructions.json`, and with `-- --record` writes that file.

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

use std::{hint::black_box, path::Path, process::ExitCode};

use callgrind::{COUNT, Counts, MEASURED, Suite, measured};
use report::Report;
use service_only::{Algorithm, JsonLinesAudit};
use service_only_evidence::tree::{LogKey, Sealing};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.json");

const PLAIN: &str = "HS256, warm, recorded in a file";
const SEALED: &str = "HS256, warm, recorded in a file with a tree";
/// The difference of the two.
const ADDED: &str = "a tree, on the request's thread";

fn main() -> ExitCode {
    let (cases, checked) = (&[PLAIN, SEALED], &[ADDED]);
    callgrind::main(&Suite { cases, checked, recorded: RECORDED, run, counted: |_| MEASURED, finish })
}

fn finish(counts: &mut Counts) {
    counts.insert(ADDED, counts[SEALED].saturating_sub(counts[PLAIN]));
    let report = &mut Report::new("instructions-evidence");
    for (name, &count) in &*counts {
        let ratio = count as f64 / counts[PLAIN] as f64;
        report.row("Instructions", name, "instr", count as f64, ratio, None);
    }
}

fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

fn run(case: &str) {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("audit.jsonl");
    let audit = match case {
        PLAIN => JsonLinesAudit::to_file(&log).unwrap(),
        SEALED => {
            let sealing = Sealing::with_key(key(&folder.path().join("audit.key")));
            sealing.to_file(JsonLinesAudit::builder(), &log).unwrap()
        }
        _ => panic!("no such case: `{case}`"),
    };
    verify(&audit);
    assert_eq!(audit.dropped(), 0, "the queue was full");
}

fn key(path: &Path) -> LogKey {
    let (_, private) = LogKey::generate("bakery.example/orders").unwrap();
    std::fs::write(path, private.as_str()).unwrap();
    LogKey::from_file(path).unwrap()
}

fn verify(audit: &JsonLinesAudit) {
    let key = tokens::signing_key(Algorithm::HS256);
    let verifier = tokens::verifier(key.verifying_key(), audit.clone());
    let again = vec![tokens::token(&tokens::issuer(key), tokens::SERVICE); COUNT];
    let work = |token: &String| drop(black_box(verifier.verify(token).unwrap()));
    // The first calls of anything do what is done once.
    again.iter().for_each(work);
    measured(&again, work);
}
