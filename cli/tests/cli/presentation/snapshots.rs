//! What a terminal of 60, 80 and 120 columns shows: the help of every command, and the output of each that has one.
//!
//! Ids and instants are fixed or replaced by text of the same length, so that the columns stay.

use std::fmt::Write as _;

use super::fill;
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

/// A sandbox with four tokens in the registry, and one in a file.
fn at_work() -> Sandbox {
    let sandbox = with_store("sqlite:tokens.db");
    fill(&sandbox);
    sandbox.run(&["generate", "orders", "--no-store", "--out-dir", "tokens"]).done();
    sandbox
}

#[test]
fn output_of_every_command_fits_the_terminal() {
    let sandbox = at_work();
    let token = sandbox.read("tokens/orders.token");
    let steps: &[(&[&str], &str)] = &[
        (&["list"], ""),
        (&["list", "--sort", "service", "--limit", "2"], ""),
        (&["list", "--active"], ""),
        (&["show", "0d5b"], ""),
        (&["show", "7651"], ""),
        (&["expiring", "--within", "5d"], ""),
        (&["expiring", "--within", "20d"], ""),
        (&["revocations"], ""),
        (&["verify", "-"], &token),
        (&["verify", "--role", "another", "-"], &token),
        (&["verify", "-"], "not.a.token"),
        (&["inspect", "-"], &token),
        (&["rotate", "--plan"], ""),
        (&["store", "check"], ""),
        (&["prune", "--expired-for", "90d"], ""),
        (&["renew", "--out-dir", "tokens"], ""),
        (&["jwks"], ""),
        (&["lst"], ""),
        (&["list", "--service", "order"], ""),
    ];
    for width in WIDTHS {
        let mut all = String::new();
        for (arguments, stdin) in steps {
            let ran = run(&sandbox, width, arguments, stdin);
            let _ = writeln!(all, "$ service-token {}  (exit code {})", arguments.join(" "), ran.code);
            let _ = writeln!(all, "{}{}", ran.stdout, ran.stderr.replace('\u{1b}', "^["));
        }
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z", "2026-01-31T12:00:00Z");
        settings.add_filter(r"(iat|exp): \d{10}", "$1: 1767225600");
        settings.add_filter(r#"(jti|kid|x|y)": "[^"]{36,}""#, "$1\": \"…\"");
        settings.add_filter(r#"(jti|kid): "[^"]{36,}""#, "$1: \"…\"");
        settings.add_filter(r"(in|for) \d+ s\b", "$1 1 s");
        settings.add_filter(r"\d+ s ago", "1 s ago");
        settings.bind(|| insta::assert_snapshot!(format!("output_{width}"), all));
    }
}
