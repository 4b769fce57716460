//! `service-token verify --batch`: verifies many cases in one process, with one answer per line, in order.
//!
//! Other programs use this mode, so no input line may end the process. A line that is not a case gets
//! `config_error`, with the id if one could be read. Each case has its own configuration. The process caches
//! verifiers between lines, because cases often share one.

mod case;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use service_only::Policy;
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::verdict::Answer;

use case::{Case, CaseVerifier, ConfigText};

/// A longer line gets an answer and is skipped; the process never stores it.
const MAX_LINE_BYTES: u64 = 16 * 1024 * 1024;

/// The limit of cached verifiers. It bounds the memory, and is far above what a series of cases shares.
const MAX_VERIFIERS: usize = 1024;

/// The limit of cached configuration text; a parsed key set takes about as much again.
const MAX_CONFIG_BYTES: usize = 64 * 1024 * 1024;

/// Where a line ended.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum LineEnd {
    Complete,
    TooLong,
}

#[derive(Serialize)]
struct BatchAnswer {
    id: Value,
    #[serde(flatten)]
    answer: Answer,
}

pub(crate) fn run(source: &Path) -> Outcome<Exit> {
    if source == Path::new("-") {
        answer_all(&mut io::stdin().lock())?;
    } else {
        let failed =
            |error| Problem::io("read", source, &error).help("name a file with one case per line, or `-`");
        let file = File::open(source).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        answer_all(&mut BufReader::new(file))?;
    }
    Ok(Exit::Done)
}

fn answer_all(input: &mut impl BufRead) -> Outcome<()> {
    let mut verifiers = Verifiers::default();
    // Allocate the longest line first: a buffer that grows leaves copies of its content behind.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE_BYTES as usize));
    let mut any = false;
    while let Some(end) = read_line(input, &mut line)? {
        if line.trim_ascii().is_empty() && end == LineEnd::Complete {
            continue;
        }
        any = true;
        output::json(&verifiers.answer(&line, end))?;
        if output::is_closed() {
            break;
        }
    }
    if any {
        return Ok(());
    }
    Err(Problem::usage("the batch is empty, so nothing was verified")
        .help(r#"write one case per line: `{"id", "config", "token"}`"#))
}

/// Reads the next line without its newline; `None` at the end of the input.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Outcome<Option<LineEnd>> {
    let failed = |error| Problem::new(ProblemCode::Io, format!("cannot read the batch: {error}"));
    line.clear();
    input.take(MAX_LINE_BYTES).read_until(b'\n', line).map_err(failed)?;
    match line.last() {
        None => Ok(None),
        Some(b'\n') => {
            line.pop();
            Ok(Some(LineEnd::Complete))
        }
        Some(_) if (line.len() as u64) < MAX_LINE_BYTES => Ok(Some(LineEnd::Complete)),
        Some(_) => {
            input.skip_until(b'\n').map_err(failed)?;
            Ok(Some(LineEnd::TooLong))
        }
    }
}

/// The cached verifiers by their configuration; a broken configuration is cached with its error.
#[derive(Default)]
struct Verifiers {
    made: HashMap<ConfigText, Outcome<CaseVerifier>>,
}

impl Verifiers {
    fn answer(&mut self, line: &[u8], end: LineEnd) -> BatchAnswer {
        let case = match end {
            LineEnd::Complete => Case::parse(line),
            LineEnd::TooLong => {
                let reason = format!("the line is longer than {MAX_LINE_BYTES} bytes");
                Err(Problem::new(ProblemCode::BadCase, reason))
            }
        };
        match case {
            Ok(case) => BatchAnswer { answer: self.decide(&case), id: case.id },
            Err(problem) => BatchAnswer { id: case::find_id(line), answer: Answer::config_error(&problem) },
        }
    }

    fn decide(&mut self, case: &Case<'_>) -> Answer {
        let text = ConfigText::of(case.config);
        if !self.made.contains_key(&text) {
            self.make_room_for(text.bytes());
        }
        match self.made.entry(text).or_insert_with(|| CaseVerifier::build(case.config)) {
            Ok(CaseVerifier { verifier, allowed_services: None }) => {
                Answer::of(verifier, None, &Policy::any_service(), &case.token)
            }
            Ok(CaseVerifier { verifier, allowed_services: Some(services) }) => {
                let services: Vec<&str> = services.iter().map(String::as_str).collect();
                Answer::of(verifier, None, &Policy::any_service().services(&services), &case.token)
            }
            Err(problem) => Answer::config_error(problem),
        }
    }

    fn make_room_for(&mut self, more: usize) {
        if self.made.len() >= MAX_VERIFIERS || self.bytes() + more > MAX_CONFIG_BYTES {
            self.made.clear();
        }
    }

    fn bytes(&self) -> usize {
        self.made.keys().map(ConfigText::bytes).sum()
    }
}

#[cfg(test)]
mod tests;
