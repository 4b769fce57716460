//! What a terminal of 60, 80 and 120 columns shows: the help of every command, and the output of each that has one.
//!
//! Ids and instants are fixed or replaced by text of the same length, so that the columns stay.

use std::fmt::Write as _;
use std::time::Duration;

use service_only::clock::{Clock as _, SystemClock};

use super::{KID, fill};
use crate::attack::{attack, guarded, guarded_with, serve};
use crate::audit_log::{sealed, write_log};
use crate::endpoints::TABLE;
use crate::sandbox::{Ran, Sandbox};
use crate::store::with_store;

const WIDTHS: [usize; 3] = [60, 80, 120];

/// Runs a command for a terminal of that width.
fn run(sandbox: &Sandbox, width: usize, arguments: &[&str], stdin: &str) -> Ran {
    let width = width.to_string();
    let variables = [("COLUMNS", width.as_str()), ("USER", "operator"), ("SUDO_USER", ""), ("LOGNAME", "")];
    sandbox.run_with(arguments, stdin.as_bytes(), &variables)
}

/// The commands with those below them, as the manual has a page for each.
fn commands() -> Vec<Vec<String>> {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("man")).unwrap();
    let pages = sandbox.run(&["man", "--out-dir", "man"]).done().stdout;
    let help = sandbox.run(&["--help"]).done().stdout;
    // A name may contain a hyphen, and so does the page of a command below another.
    let is_command = |name: &str| help.lines().any(|line| line.trim_start().starts_with(&format!("{name} ")));
    let names = pages.lines().filter_map(|page| page.strip_prefix("man/service-token-")?.strip_suffix(".1"));
    let split = |name: &str| match name.split_once('-') {
        Some((first, second)) if !is_command(name) => vec![first.to_owned(), second.to_owned()],
        _ => vec![name.to_owned()],
    };
    std::iter::once(Vec::new()).chain(names.map(split)).collect()
}

fn assert_fits(width: usize, arguments: &[&str], text: &str) {
    for line in text.lines() {
        // A line of an example, a usage line and a path are one word that a person copies.
        let is_copied =
            line.contains("service-token ") || line.starts_with("Usage:") || line.contains("  --");
        assert!(is_copied || line.chars().count() <= width, "{arguments:?} at {width}: {line}");
    }
}

#[test]
fn help_of_every_command_fits_the_terminal() {
    let commands = commands();
    assert!(commands.len() > 25, "{commands:?}");
    let sandbox = Sandbox::new();
    for width in WIDTHS {
        for (form, option) in [("short", "-h"), ("long", "--help")] {
            let mut all = String::new();
            for command in &commands {
                let arguments: Vec<_> = command.iter().map(String::as_str).chain([option]).collect();
                let help = run(&sandbox, width, &arguments, "").done().stdout;
                let _ = writeln!(all, "$ service-token {}\n{help}", arguments.join(" "));
                if form == "short" {
                    assert_fits(width, &arguments, &help);
                }
            }
            insta::assert_snapshot!(format!("help_{form}_{width}"), all);
        }
    }
}

/// A sandbox with four tokens in the registry, one in a file, and a table of routes.
fn at_work() -> Sandbox {
    let sandbox = with_store("sqlite:tokens.db");
    fill(&sandbox);
    sandbox.run(&["generate", "orders", "--no-store", "--out-dir", "tokens"]).done();
    sandbox.write("routes.json", TABLE);
    write_log(&sandbox);
    sealed(&sandbox);
    let ago = SystemClock.now().minus(Duration::from_secs(3 * 3600 + 60));
    sandbox.write(
        "recent.jsonl",
        sandbox
            .read("audit.jsonl")
            .lines()
            .next()
            .unwrap()
            .replace("2026-01-01T00:00:00.000000Z", &ago.to_string()),
    );
    sandbox
}

/// Replaces the ids that are new in each run, by as many letters.
fn masked(text: &str, kid: &str) -> String {
    let mut masked = text.to_owned();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    // Longer words first: a short id is the beginning of a long one.
    let mut words: Vec<_> = words.collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    for word in words {
        let is_id = word.len() >= 8 && !FIXED.iter().any(|id| id.starts_with(word));
        let is_jti = word.len() <= 36 && word.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        // A number of a key in JSON has the length of a thumbprint.
        // A narrow table divides a thumbprint.
        let is_kid = kid.contains(word) || word.len() == 43;
        if is_id && (is_jti && word.contains(|c: char| c.is_ascii_digit()) || is_kid) {
            masked = masked.replace(word, &"x".repeat(word.len()));
        }
    }
    masked
}

const FIXED: [&str; 5] = [
    KID,
    "76514ef5-446e-4842-932c-231cd329f030",
    "76514ef5-91a3-4a43-9a64-5f8e6f0c7a11",
    "0d5b7c51-91a3-4a43-9a64-5f8e6f0c7a11",
    "c0ffee00-91a3-4a43-9a64-5f8e6f0c7a11",
];

/// Every command but those whose output is a script or a page. Those that serve, and `attack`, show how they end without
/// a server; the next test shows complete attacks.
const STEPS: &[(&[&str], Input)] = &[
    (&["list"], Input::Nothing),
    (&["list", "--sort", "service", "--limit", "2"], Input::Nothing),
    (&["list", "--active"], Input::Nothing),
    (&["show", "0d5b"], Input::Nothing),
    (&["show", "7651"], Input::Nothing),
    (&["expiring", "--within", "5d"], Input::Nothing),
    (&["expiring", "--within", "20d"], Input::Nothing),
    (&["revocations"], Input::Nothing),
    (&["verify", "-"], Input::Token),
    (&["verify", "--role", "another", "-"], Input::Token),
    (&["verify", "-"], Input::Text("not.a.token")),
    (&["inspect", "-"], Input::Token),
    (&["rotate", "--plan"], Input::Nothing),
    (&["store", "check"], Input::Nothing),
    (&["store", "backup", "backup.jsonl"], Input::Nothing),
    (&["store", "init", "--store", "sqlite:other.db"], Input::Nothing),
    (&["store", "restore", "backup.jsonl", "--store", "sqlite:other.db"], Input::Nothing),
    (&["prune", "--expired-for", "90d"], Input::Nothing),
    (&["revoke", "76514ef5-4", "--reason", "test"], Input::Nothing),
    (&["unrevoke", "1", "--reason", "found in no log after all"], Input::Nothing),
    (&["revocations", "--sort", "state"], Input::Nothing),
    (&["generate", "--all", "--out-dir", "new"], Input::Nothing),
    (&["show", "-"], Input::Minted),
    (&["revoke", "-", "--reason", "seen in a log", "--dry-run"], Input::Minted),
    (&["renew", "--out-dir", "tokens"], Input::Nothing),
    (&["rotate"], Input::Nothing),
    (&["jwks"], Input::Nothing),
    (&["keygen", "--out", "second.pem", "--public-out", "second.json"], Input::Nothing),
    (&["endpoints", "routes.json"], Input::Nothing),
    (&["init", "--config", "example.toml", "--store", "sqlite:example.db"], Input::Nothing),
    (&["init", "--tls", "--dry-run", "--config", "tls.toml"], Input::Nothing),
    (&["dev", "orders", "--dry-run", "--dir", "state"], Input::Nothing),
    (&["store", "backup", "second.jsonl", "--dry-run"], Input::Nothing),
    (&["ca", "--dry-run", "--dir", "ca"], Input::Nothing),
    (&["cert", "orders", "--dry-run", "--dir", "ca"], Input::Nothing),
    (&["keys"], Input::Nothing),
    (&["verifiers"], Input::Nothing),
    (&["doctor"], Input::Nothing),
    (&["k8s-secret", "orders", "--namespace", "bakery"], Input::Nothing),
    (&["dev", "orders", "--dir", "dev"], Input::Nothing),
    (&["ca", "--dir", "ca"], Input::Nothing),
    (&["cert", "orders", "--dir", "ca"], Input::Nothing),
    (&["serve", "--listen", "nowhere"], Input::Nothing),
    (&["attack", "--url", "http://127.0.0.1:1/orders", "--service", "orders"], Input::Nothing),
    (&["usage", "recent.jsonl"], Input::Nothing),
    (
        &[
            "unused",
            "audit.jsonl",
            "--window",
            "10h",
            "--until",
            "2026-01-01T10:00:00Z",
            "--endpoints",
            "stock.json",
        ],
        Input::Nothing,
    ),
    (&["anomalies", "audit.jsonl"], Input::Nothing),
    (
        &[
            "suggest",
            "audit.jsonl",
            "--window",
            "10h",
            "--until",
            "2026-01-01T10:00:00Z",
            "--endpoints",
            "stock.json",
        ],
        Input::Nothing,
    ),
    (&["explain", "019b76da-0000-7000-8000-000000000099", "--audit", "audit.jsonl"], Input::Nothing),
    (&["audit", "search", "audit.jsonl", "--service", "billing"], Input::Nothing),
    (&["audit", "verify", "audit.jsonl"], Input::Nothing),
    (&["lst"], Input::Nothing),
    (&["list", "--service", "order"], Input::Nothing),
    (&["list", "--sort", "state", "--reverse", "--limit", "2"], Input::Nothing),
    (&["keys", "--sort", "kid"], Input::Nothing),
    (&["store", "init", "--store", "sqlite:moved.db", "--format", "json"], Input::Nothing),
    (&["store", "move", "--to", "sqlite:moved.db"], Input::Nothing),
    (&["revoke", "-", "--reason", "seen in a log"], Input::Minted),
    (&["audit", "tail", "audit.jsonl", "--once", "--lines", "2"], Input::Nothing),
    (&["audit", "checkpoint", "absent.jsonl"], Input::Nothing),
    (
        &[
            "audit",
            "prove",
            "RECORD",
            "--audit",
            "sealed.jsonl",
            "--key",
            "audit.key.pub",
            "--out",
            "evidence",
        ],
        Input::Nothing,
    ),
    (&["audit", "check", "evidence.proof", "evidence.record", "--key", "audit.key.pub"], Input::Nothing),
    (&["audit", "export", "static", "--audit", "sealed.jsonl", "--key", "audit.key.pub"], Input::Nothing),
    (&["dashboard", "audit.jsonl", "--listen", "nowhere"], Input::Nothing),
];

enum Input {
    Nothing,
    Token,
    /// A token that a step before has registered.
    Minted,
    Text(&'static str),
}

#[test]
fn output_of_every_command_fits_the_terminal() {
    for width in WIDTHS {
        let sandbox = at_work();
        let token = sandbox.read("tokens/orders.token");
        let kid = sandbox.feed(&["inspect", "--format", "json", "-"], &token).done().json();
        let kid = kid["header"]["kid"].as_str().unwrap().to_owned();
        let first = sandbox.read("sealed.jsonl").lines().next().unwrap().to_owned();
        let first: serde_json::Value = serde_json::from_str(&first).unwrap();
        let record = first["id"].as_str().unwrap().to_owned();
        let mut all = String::new();
        for (arguments, input) in STEPS {
            let stdin = match input {
                Input::Nothing => "",
                Input::Token => &token,
                Input::Minted => &sandbox.read("new/orders.token"),
                Input::Text(text) => text,
            };
            let named: Vec<_> = arguments
                .iter()
                .map(|argument| if *argument == "RECORD" { record.as_str() } else { argument })
                .collect();
            let ran = run(&sandbox, width, &named, stdin);
            let _ = writeln!(all, "$ service-token {}  (exit code {})", arguments.join(" "), ran.code);
            let _ = writeln!(all, "{}{}", ran.stdout, ran.stderr);
            // A record of the audit log is one line, however long it is.
            let is_table = !arguments.starts_with(&["audit"])
                && ran.stdout.lines().next().is_some_and(|line| line.contains("  "));
            if is_table {
                ran.stdout.lines().for_each(|line| assert!(line.chars().count() <= width, "{width}: {line}"));
            }
        }
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z", "2026-01-31T12:00:00Z");
        settings.add_filter(r"(iat|exp): \d{10}", "$1: 1767225600");
        settings.add_filter(r"eyJ[\w-]+\.[\w-]+\.[\w-]+|ZXlK[\w+/=]+", "[TOKEN]");
        settings.bind(|| {
            insta::assert_snapshot!(
                format!("output_{width}"),
                masked(&all.replace(&sandbox.root().display().to_string(), "[FOLDER]"), &kid)
            )
        });
    }
}

#[test]
fn report_of_an_attack_fits_the_terminal() {
    let sandbox = Sandbox::configured();
    for width in WIDTHS {
        let mut all = String::new();
        let servers = [
            ("a service that verifies", guarded(&sandbox), 0),
            ("a service that admits another scheme", guarded_with(&sandbox, &["Bearer ", "Token "]), 1),
            ("a service that refuses everybody", serve(|_| 401), 2),
        ];
        for (name, address, code) in servers {
            let ran = run(&sandbox, width, &attack(&format!("http://{address}"), &[]), "");
            assert_eq!(ran.code, code, "{name}: {}{}", ran.stdout, ran.stderr);
            let _ = writeln!(all, "# {name}\n{}{}", ran.stdout, ran.stderr);
        }
        // The counts change with each new class, and exit codes are checked above.
        let all: String = all.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        all.lines().for_each(|line| assert!(line.chars().count() <= width, "{width}: {line}"));
        insta::assert_snapshot!(format!("attack_{width}"), all);
    }
}
