//! Writes the program's output: results on standard output, everything else on standard error.
//!
//! Colours appear only on a terminal and never with `NO_COLOR`, unless `--color` asks for them; `anstream` decides
//! that. This module escapes all text for standard error and removes tokens and secrets from it, so that no caller can
//! forget to. `table` is the table of all commands, and `moment` the relative instants in it.

mod moment;
mod room;
mod table;

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anstyle::{AnsiColor, Style};
pub(crate) use moment::relative;
pub(crate) use room::Color;
use room::Stream;
use serde::Serialize;
pub(crate) use table::{Cell, Table, Tally, record};

use crate::errors;
use crate::escape;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::redact;

const GOOD: Style = AnsiColor::Green.on_default().bold();
const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default();
const FAINT: Style = Style::new().dimmed();

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// The format of a result.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people and shell scripts.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// The format of a result that can also be metrics.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Report {
    /// For people and shell scripts.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For the textfile collector of Prometheus' node_exporter.
    Prometheus,
}

impl Report {
    /// The format of a result that is not metrics; `None` for metrics.
    pub(crate) fn format(self) -> Option<Format> {
        match self {
            Self::Text => Some(Format::Text),
            Self::Json => Some(Format::Json),
            Self::Prometheus => None,
        }
    }
}

/// Writes one line of result, and flushes it so that a reader on a pipe can follow.
///
/// The caller must escape any content of a token.
pub(crate) fn result(text: &str) -> Outcome<()> {
    result_bytes(text.as_bytes())?;
    result_bytes(b"\n")
}

/// Writes several lines of result, with everything but line breaks escaped.
pub(crate) fn lines(text: &str) -> Outcome<()> {
    result(&escape::lines(text))
}

/// Writes metrics for Prometheus.
pub(crate) fn metrics(text: &str) -> Outcome<()> {
    result(&escape::metrics(text.trim_end()))
}

/// Writes result bytes without a change. A reader that closes the pipe, as `head` does, wants no more: that is not an
/// error, and the exit code stays that of the command.
pub(crate) fn result_bytes(bytes: &[u8]) -> Outcome<()> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

fn written(written: io::Result<()>) -> Outcome<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            IS_CLOSED.store(true, Ordering::Relaxed);
            Ok(())
        }
        written => written.map_err(|error| {
            Problem::new(ProblemCode::Io, format!("cannot write to standard output: {error}"))
        }),
    }
}

/// Whether the reader of the results has closed the pipe. A long list ends then.
pub(crate) fn is_closed() -> bool {
    IS_CLOSED.load(Ordering::Relaxed)
}

/// The number of columns for results, if there is a limit.
pub(crate) fn columns() -> Option<usize> {
    room::columns(Stream::Result)
}

/// Writes lines of result that may contain the program's own colours. The caller must escape everything else.
pub(crate) fn coloured(text: &str) -> Outcome<()> {
    let mut stdout = anstream::stdout().lock();
    written(writeln!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// Writes a result whose first words tell how it went: green if it is good, else red.
pub(crate) fn verdict(is_good: bool, words: &str, rest: &str) -> Outcome<()> {
    let style = if is_good { GOOD } else { ERROR };
    coloured(&format!("{style}{}{style:#}{}", escape::one_line(words), escape::one_line(rest)))
}

/// Writes one JSON value as one line of result.
pub(crate) fn json(value: &impl Serialize) -> Outcome<()> {
    result(&json_text(value)?)
}

/// One JSON value on one line, escaped for a terminal.
pub(crate) fn json_text(value: &impl Serialize) -> Outcome<String> {
    escape::json(value).map_err(unspeakable)
}

/// Writes one JSON value over several lines of result.
pub(crate) fn pretty_json(value: &impl Serialize) -> Outcome<()> {
    result(&escape::pretty_json(value).map_err(unspeakable)?)
}

/// Writes a helpful note on standard error.
pub(crate) fn note(text: &str) {
    say(NOTE, "note", text);
}

/// Writes a warning for the operator on standard error.
pub(crate) fn warning(text: &str) {
    say(WARNING, "warning", text);
}

/// Asks the operator on standard error.
pub(crate) fn question(text: &str) {
    // Without a line break, so that the answer is on the same line. If standard error is closed, no reader is left.
    let mut stderr = anstream::stderr().lock();
    let _ = write!(stderr, "{} ", escape::lines(&redact::message(text))).and_then(|()| stderr.flush());
}

/// Writes on standard error why the command ends.
pub(crate) fn problem(problem: &Problem) {
    if errors::are_json() {
        return emit(&errors::json(problem));
    }
    say(ERROR, "error", problem.reason());
    if let Some(remedy) = problem.remedy() {
        say(NOTE, "help", remedy);
    }
}

/// Writes requested help on standard output. It may contain the program's own colours.
pub(crate) fn help(text: &str) {
    // A reader that stops early, as in `--help | head -1`, is not an error.
    let _ = writeln!(anstream::stdout().lock(), "{text}");
}

/// Writes plain text on standard error.
pub(crate) fn aside(text: &str) {
    emit(&escape::lines(&redact::tokens(text)));
}

/// Writes a line on standard error that is less important than the result.
fn faint(text: &str) {
    emit(&format!("{FAINT}{}{FAINT:#}", escape::lines(&redact::tokens(text))));
}

/// Writes text on standard error that may contain the program's own colours.
pub(crate) fn styled(text: &str) {
    emit(&redact::message(text));
}

fn say(style: Style, label: &str, text: &str) {
    emit(&format!("{style}{label}{style:#}: {}", escape::lines(&redact::message(text))));
}

fn emit(text: &str) {
    // If standard error is closed, no reader is left to report to.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

fn unspeakable(error: serde_json::Error) -> Problem {
    Problem::new(ProblemCode::Io, format!("cannot write the result as JSON: {error}"))
}
