//! Reads audit files for a report: the files of the command line, a progress bar on a terminal, and what is wrong with
//! them on standard error.

use std::collections::HashSet;
use std::fs;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use service_only_evidence::read::{self, Done, Place, Record, Trouble, TroubleKind, Visitor};

use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};

/// How many damaged lines are named on standard error.
const NAMED: usize = 10;

/// Files smaller than this are read before a person would see a bar.
const BAR_FROM: u64 = 64 * 1024 * 1024;

/// The files of a report.
#[derive(Args, Debug)]
pub(super) struct AuditFiles {
    /// Audit files, in any order, also those of several services; plain, gzip or zstd
    #[arg(value_name = "FILE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
}

/// The format of a report.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum ReportFormat {
    /// A table for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// Comma-separated values with a header.
    Csv,
}

impl AuditFiles {
    /// Passes all records to a visitor, and reports what is wrong with the files.
    pub(super) fn read(&self, visitor: &mut impl Visitor) -> Outcome<Done> {
        read(&self.files, visitor)
    }
}

/// The named files that have records of their own. A pattern such as `audit.jsonl*` also matches the folder of the tree,
/// and a file that the sink compresses at the moment, or was compressing when it was killed.
pub(crate) fn logs(named: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let is_copy = |path: &PathBuf| {
        let name = path.to_string_lossy();
        let original = name.strip_suffix(".gz.part").or_else(|| name.strip_suffix(".gz"));
        original.is_some_and(|original| named.iter().any(|other| other.as_os_str() == original))
    };
    let is_tree =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tree") && path.is_dir();
    let mut logs: Vec<_> = named.iter().filter(|path| !is_tree(path) && !is_copy(path)).cloned().collect();
    // A file that is named twice, as by two patterns, counts once.
    let mut seen = HashSet::new();
    logs.retain(|path| fs::canonicalize(path).map_or(true, |file| seen.insert(file)));
    if logs.is_empty() {
        return Err(Problem::usage("the tree of a log has no records").help("name the log beside it"));
    }
    Ok(logs)
}

pub(super) fn read(named: &[PathBuf], visitor: &mut impl Visitor) -> Outcome<Done> {
    let files = logs(named)?;
    let mut watched = Watched { visitor, bar: bar(&files), before: 0, file: 0 };
    let done = read::files(&files, &mut watched).map_err(|error| {
        Problem::new(ProblemCode::Io, format!("cannot read an audit file: {error}"))
            .help("check the path and its permissions")
    })?;
    if let Some(bar) = &watched.bar {
        bar.finish_and_clear();
    }
    tell(&done);
    if done.records() == 0 {
        output::warning("the files have no records");
    }
    Ok(done)
}

/// What was read, as JSON: the number of lines with each kind of problem, and the places of the first 100.
pub(crate) fn summary(done: &Done) -> Value {
    let trouble: serde_json::Map<String, Value> =
        TroubleKind::ALL.iter().map(|kind| (kind.as_str().to_owned(), done.count(*kind).into())).collect();
    let places: Vec<Value> = done.trouble().iter().map(place).collect();
    json!({
        "files": done.files(), "bytes": done.bytes(), "lines": done.lines(), "records": done.records(),
        "trouble": trouble, "trouble_lines": places,
    })
}

/// Where a line has a problem. A log that was opened near its end counts its lines from a byte.
fn place(trouble: &Trouble) -> Value {
    let mut place = json!({
        "file": trouble.file.to_string_lossy(), "line": trouble.line, "kind": trouble.kind.as_str(),
    });
    if trouble.counted_from > 0
        && let Some(place) = place.as_object_mut()
    {
        place.insert("counted_from".to_owned(), trouble.counted_from.into());
    }
    place
}

fn tell(done: &Done) {
    for trouble in done.trouble().iter().take(NAMED) {
        output::warning(&trouble.to_string());
    }
    let all: u64 = TroubleKind::ALL.iter().map(|kind| done.count(*kind)).sum();
    if all > NAMED as u64 {
        output::warning(&format!("{} more lines have a problem; all others were read", all - NAMED as u64));
    }
}

fn bar(files: &[PathBuf]) -> Option<ProgressBar> {
    let length = |path: &PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
    let total: u64 = files.iter().map(length).sum();
    if total < BAR_FROM || !std::io::stderr().is_terminal() {
        return None;
    }
    let style =
        ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
            .ok()?;
    Some(ProgressBar::new(total).with_style(style))
}

/// A visitor with a bar.
struct Watched<'a, V> {
    visitor: &'a mut V,
    bar: Option<ProgressBar>,
    /// The bytes of the files before the one at hand, and the bytes of this one.
    before: u64,
    file: u64,
}

impl<V: Visitor> Visitor for Watched<'_, V> {
    fn record(&mut self, place: Place<'_>, record: &Record<'_>) {
        self.visitor.record(place, record);
    }

    fn wants_more(&self) -> bool {
        self.visitor.wants_more()
    }

    fn progress(&mut self, bytes: u64) {
        self.visitor.progress(bytes);
        // The next file begins at 0 again.
        if bytes < self.file {
            self.before += self.file;
        }
        self.file = bytes;
        if let Some(bar) = &self.bar {
            bar.set_position(self.before + bytes);
        }
    }
}
