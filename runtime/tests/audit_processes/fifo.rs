//! A FIFO as the audit log: nothing waits without a bound for its other end.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use service_only::JsonLinesAudit;

use super::{Log, soon, verifier};

/// Much more than any of these takes, and much less than forever.
const BOUND: Duration = Duration::from_secs(20);

fn fifo() -> Log {
    let log = Log::new();
    assert!(Command::new("mkfifo").arg(&log.path).status().unwrap().success());
    log
}

/// Opening waits for the writer.
fn open_reader(path: &Path) -> std::thread::JoinHandle<File> {
    let path = path.to_owned();
    std::thread::spawn(move || File::open(path).unwrap())
}

/// Starts a sink as soon as the reader is there.
fn sink(log: &Log, open: impl Fn() -> std::io::Result<JsonLinesAudit>) -> (JsonLinesAudit, File) {
    let reader = open_reader(&log.path);
    let mut sink = None;
    soon("the reader is there", || {
        sink = open().ok();
        sink.is_some()
    });
    (sink.unwrap(), reader.join().unwrap())
}

#[test]
fn a_fifo_that_nothing_reads_is_an_error_at_once() {
    let log = fifo();
    let started = Instant::now();
    let error = JsonLinesAudit::to_file(&log.path).err().unwrap().to_string();
    assert!(started.elapsed() < BOUND);
    assert!(error.contains("audit.jsonl") && error.ends_with("start its reader first"), "{error}");
}

#[test]
fn a_fifo_brings_every_record_to_its_reader_whole() {
    let log = fifo();
    let (audit, reader) = sink(&log, || JsonLinesAudit::to_file(&log.path));
    let reading = std::thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map(Result::unwrap);
        lines.filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).count()
    });
    let (verifier, token) = verifier(audit.clone(), false);
    for _ in 0..1000 {
        verifier.verify(&token).unwrap();
    }
    audit.flush().unwrap();
    drop((audit, verifier));
    assert_eq!(reading.join().unwrap(), 1000);
}

#[test]
fn a_reader_that_stalls_refuses_callers_and_does_not_block_the_end() {
    let log = fifo();
    let open = || JsonLinesAudit::builder().flush_timeout(Duration::from_millis(300)).to_file(&log.path);
    let (audit, reader) = sink(&log, open);
    let (verifier, token) = verifier(audit.clone(), true);
    // A pipe holds 64 KiB.
    soon("callers are refused", || verifier.verify(&token).is_err());
    let failure = audit.failure().unwrap();
    assert!(failure.contains("does not read"), "{failure}");
    let started = Instant::now();
    assert_eq!(audit.flush().unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    drop((audit, verifier));
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    drop(reader);
}

#[test]
fn a_resumed_or_restarted_reader_makes_the_sink_ready_again() {
    let log = fifo();
    let (audit, reader) = sink(&log, || JsonLinesAudit::to_file(&log.path));
    let (verifier, token) = verifier(audit.clone(), true);
    soon("callers are refused", || verifier.verify(&token).is_err());
    // It reads on: nothing was lost.
    let mut lines = BufReader::new(reader).lines();
    let _ = lines.next().unwrap().unwrap();
    let reading = std::thread::spawn(move || {
        lines.by_ref().map_while(Result::ok).take_while(|line| !line.contains("the end")).count()
    });
    soon("callers are admitted", || verifier.verify(&token).is_ok());
    assert_eq!(audit.dropped(), 0);
    drop((audit, verifier));
    reading.join().unwrap();

    // It goes away, and another comes.
    let (audit, reader) = sink(&log, || JsonLinesAudit::to_file(&log.path));
    let (verifier, token) = self::verifier(audit.clone(), true);
    drop(reader);
    soon("callers are refused", || verifier.verify(&token).is_err());
    let reader = open_reader(&log.path);
    soon("callers are admitted", || {
        std::thread::sleep(Duration::from_millis(100));
        verifier.verify(&token).is_ok()
    });
    drop(reader.join().unwrap());
}
