//! What is in the audit log when a process ends: by `exit`, by returning from `main`, by a signal, by an abort. Each
//! test starts this program again as a child of its own.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test"
)]

#[path = "audit_processes/child.rs"]
mod child;
#[path = "audit_processes/fifo.rs"]
mod fifo;
#[path = "audit_processes/logrotate.rs"]
mod logrotate;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use service_only::{
    Algorithm, JsonLinesAudit, Verifier,
    issue::{Issuer, SigningKey},
};

/// A verifier with this sink, and a token that it accepts.
fn verifier(audit: JsonLinesAudit, required: bool) -> (Verifier, String) {
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let builder = Verifier::builder().issuer("bakery-auth").keys(key.verifying_key()).audit(audit);
    let builder = if required { builder.require_audit() } else { builder };
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
    let token = issuer.token_for("orders").mint().unwrap().as_str().to_owned();
    (builder.build().unwrap(), token)
}

struct Log {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        Self { _folder: folder, path }
    }

    fn child(&self, role: &str, mode: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child::child_process_of_the_audit_tests", "--nocapture"])
            .env(child::ROLE, role)
            .env(child::MODE, mode)
            .env(child::LOG, &self.path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// How many records are in the log, in which every line is whole.
    fn records(&self) -> usize {
        records(&self.path)
    }
}

fn records(path: &Path) -> usize {
    let Records { whole, torn } = Records::read(path);
    assert_eq!(torn, Vec::<String>::new(), "cut off");
    whole
}

/// What a log holds.
struct Records {
    whole: usize,
    torn: Vec<String>,
}

impl Records {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut ids = BTreeSet::new();
        let mut torn = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            match serde_json::from_str::<serde_json::Value>(line) {
                Ok(record) => {
                    assert!(ids.insert(record["id"].as_str().unwrap().to_owned()), "twice: {line}");
                }
                Err(_) => torn.push(line.to_owned()),
            }
        }
        Self { whole: ids.len(), torn }
    }
}

fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(30), "not soon: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ended(mut child: Child) -> (ExitStatus, usize) {
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    let status = child.wait().unwrap();
    (status, output.lines().filter(|line| line.ends_with("admitted")).count())
}

#[test]
fn a_verifier_in_a_static_loses_no_record_at_exit_or_at_the_end_of_main() {
    for end in ["exit", "return", "panic"] {
        for mode in ["default", "before", "before-sync"] {
            let log = Log::new();
            let (status, admitted) = ended(log.child(&format!("burst-{end}"), mode));
            assert_eq!(status.success(), end != "panic", "{end}: {status}");
            assert_eq!((admitted, log.records()), (child::BURST, child::BURST), "{end} {mode}");
        }
    }
}

#[test]
fn the_standard_output_of_a_process_can_be_its_log() {
    if !Path::new("/dev/stdout").exists() {
        eprintln!("skipped: there is no /dev/stdout");
        return;
    }
    let mut log = Log::new();
    log.path = PathBuf::from("/dev/stdout");
    for mode in ["default", "before"] {
        let output = log.child("burst-exit", mode).wait_with_output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let records = output.lines().filter(|line| line.contains(r#""decision":"allow""#)).count();
        assert_eq!((output.matches("admitted").count(), records), (child::BURST, child::BURST), "{mode}");
    }
}

#[test]
fn an_abort_loses_no_record_that_was_written_before_the_handler() {
    for mode in ["before", "before-sync"] {
        let log = Log::new();
        let (status, admitted) = ended(log.child("burst-abort", mode));
        assert!(!status.success());
        assert_eq!((admitted, log.records()), (child::BURST, child::BURST), "{mode}");
    }
}

#[test]
fn fifty_kills_lose_no_record_of_a_caller_that_was_admitted_and_double_none() {
    let log = Log::new();
    let mut answered = 0;
    for kill in 0..50_u64 {
        let mut child = log.child("loop", "before");
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
        // Somewhere within what it does.
        let mut left = 1 + kill * 7 % 40;
        while left > 0 {
            let line = answers.next().unwrap().unwrap();
            left -= u64::from(line.ends_with("admitted"));
            answered += usize::from(line.ends_with("admitted"));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it answered before it was killed.
        answered += answers.map_while(Result::ok).filter(|line| line.ends_with("admitted")).count();
    }
    let Records { whole: records, torn } = Records::read(&log.path);
    assert!(records >= answered, "{records} records of {answered} answers");
    let unanswered = 50 * child::THREADS;
    assert!(records <= answered + unanswered, "{records} records of {answered} answers");
    // A kill can end a write at the border of two pages. The next process begins a line of its own.
    assert!(torn.len() <= 50, "a kill cuts off one line at most: {torn:#?}");
    assert!(
        torn.iter().all(|line| line.starts_with('{') && line.matches(r#""id":"#).count() <= 1),
        "{torn:#?}"
    );
}

#[test]
fn a_server_that_is_asked_to_end_finishes_its_requests_writes_its_log_and_exits_with_0() {
    for mode in ["default", "before"] {
        let log = Log::new();
        let mut child = log.child("serve", mode);
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut after = |prefix: &str| {
            let found = output.find_map(|line| {
                let line = line.unwrap();
                line.split_once(prefix).map(|(_, rest)| rest.to_owned())
            });
            found.unwrap()
        };
        let port: u16 = after("port ").parse().unwrap();
        let token = after("token ");
        let connect = || {
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream
        };
        let ask = |stream: &mut TcpStream, path: &str| {
            write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n")
                .unwrap();
        };
        let answer = |stream: &mut TcpStream| {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).unwrap();
            String::from_utf8(answer.to_vec()).unwrap()
        };
        for _ in 0..20 {
            let mut stream = connect();
            ask(&mut stream, "/fast");
            assert_eq!(answer(&mut stream), "HTTP/1.1 200");
        }
        let (mut idle, mut running) = (connect(), connect());
        ask(&mut idle, "/fast");
        assert_eq!(answer(&mut idle), "HTTP/1.1 200");
        ask(&mut running, "/slow");
        assert_eq!(after("slow "), "begins");
        let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(answer(&mut running), "HTTP/1.1 200");
        drop((idle, running));
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(log.records(), 22, "{mode}");
    }
}

#[test]
fn on_a_full_disk_no_caller_is_admitted_where_records_are_written_before_the_handler() {
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: there is no /dev/full");
        return;
    }
    let audit = JsonLinesAudit::builder().write_before_handler().to_file("/dev/full").unwrap();
    // Also where nothing else requires the audit.
    let (verifier, token) = verifier(audit.clone(), false);
    for _ in 0..50 {
        assert_eq!(verifier.verify(&token).unwrap_err().status(), 503);
    }
    let _ = audit.flush();
    // The first attempt has two lines: "allow", which was not written, and the refusal that replaces it.
    assert_eq!(audit.dropped(), 51, "every line is counted");
    assert!(audit.failure().unwrap().to_lowercase().contains("no space left"), "{:?}", audit.failure());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        verifier.verify(&token).unwrap_err().status(),
        503,
        "a full device does not recover by itself"
    );
}

#[test]
fn an_unopenable_log_path_refuses_callers_until_it_is_repaired() {
    for mode in ["default", "before"] {
        let log = Log::new();
        let audit = child::builder(mode).to_file(&log.path).unwrap();
        let (verifier, token) = verifier(audit.clone(), true);
        verifier.verify(&token).unwrap();
        audit.flush().unwrap();
        // Between the two, the sink may have created the file again.
        soon("the path is taken", || {
            let _ = fs::remove_file(&log.path);
            fs::create_dir(&log.path).is_ok()
        });
        soon("callers are refused", || verifier.verify(&token).is_err());
        assert_eq!(verifier.verify(&token).unwrap_err().status(), 503);
        let failure = verifier.audit_failure().unwrap();
        assert!(failure.contains("audit.jsonl` is a directory"), "{failure}");
        fs::remove_dir(&log.path).unwrap();
        soon("callers are admitted", || verifier.verify(&token).is_ok());
        assert_eq!(verifier.audit_failure(), None);
        audit.flush().unwrap();
        assert!(log.records() >= 3, "the refusals were recorded too");
    }
}
