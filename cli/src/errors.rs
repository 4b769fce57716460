//! Errors as JSON: with `--format json`, an error is one line on standard error that a program can read.
//!
//! The arguments are searched for the format, so that an error in the arguments themselves is JSON too.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::escape;
use crate::problem::Problem;
use crate::redact;

static ARE_JSON: AtomicBool = AtomicBool::new(false);

/// Finds the format in the arguments.
pub(crate) fn choose_format(arguments: impl Iterator<Item = OsString>) {
    ARE_JSON.store(asks_for_json(arguments), Ordering::Relaxed);
}

/// Whether errors are written as JSON.
pub(crate) fn are_json() -> bool {
    ARE_JSON.load(Ordering::Relaxed)
}

/// The last format wins. After `--`, an argument is never an option.
fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let mut is_json = false;
    let mut arguments = arguments.take_while(|argument| argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--format" {
            is_json = arguments.next().is_some_and(|format| format == "json");
        } else if let Some(format) = argument.to_str().and_then(|text| text.strip_prefix("--format=")) {
            is_json = format == "json";
        }
    }
    is_json
}

/// One line: `{"error":{"code":…,"exit":…,"reason":…,"help":…}}`.
pub(crate) fn json(problem: &Problem) -> String {
    let code = problem.code();
    let value = json!({ "error": {
        "code": code.as_str(),
        "exit": code.exit().code(),
        "reason": redact::message(problem.reason()),
        "help": problem.remedy().map(redact::message),
    } });
    // A value of texts and numbers always has a JSON form.
    escape::json(&value).unwrap_or_default()
}

/// The problem of wrong arguments, without clap's layout: the reason, then what clap adds.
pub(crate) fn of_arguments(error: &clap::Error) -> Problem {
    let text = error.render().to_string();
    let (reason, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let problem = Problem::usage(in_one_line(reason.strip_prefix("error: ").unwrap_or(reason)));
    match in_one_line(rest) {
        rest if rest.is_empty() => problem,
        rest => problem.help(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(line: &str) -> bool {
        asks_for_json(line.split(' ').map(OsString::from))
    }

    #[test]
    fn format_of_errors_is_that_of_the_last_option() {
        for line in ["list --format json", "list --format=json", "list --format text --format json --store x"]
        {
            assert!(asks(line), "{line}");
        }
        for line in ["list", "list --format", "list --format json --format=text", "verify -- --format json"] {
            assert!(!asks(line), "{line}");
        }
    }

    #[test]
    fn error_is_one_line_of_json_without_a_token() {
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzZXJ2aWNlIjoib3JkZXJzIn0.c2lnbmF0dXJl";
        let line = json(&Problem::usage(format!("no\n\u{1b}[2Jfile `{token}`")).help("b"));
        assert!(!line.contains('\n') && !line.contains('\u{1b}') && !line.contains("eyJzZXJ2"), "{line}");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["error"]["code"], &value["error"]["exit"]), (&"usage".into(), &2.into()));
    }
}
