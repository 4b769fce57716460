//! `service-token audit tail`: follows a log, also when it is rotated.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use service_only_evidence::read::{Followed, Place, Record, Visitor};

use super::filter::{self, Filter, Names};
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// How much of the end of a file is searched for the last records.
const LOOK_BACK: u64 = 4 * 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  service-token audit tail /var/log/bakery/audit.jsonl
  service-token audit tail audit.jsonl --deny --service orders
  service-token audit tail audit.jsonl --once --lines 100 --format json

Exit codes: 0 done, 2 usage, 9 with `--once`, if no record that was read has such a service, handler or token.";

/// Follow a log, with filters and colours
///
/// Prints the last records, and then each new one until you stop it. It continues with the new file after
/// a rotation. A compressed log is read once, as a whole.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct TailOptions {
    /// The log
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How many records of the past are printed first, out of the last 4 MiB of the log
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    lines: usize,
    /// Print the last records and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    filter: Filter,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(options: &TailOptions) -> Outcome<Exit> {
    options.filter.check()?;
    let mut tail = Tail::open(options)?;
    let mut last = Shown { most: options.lines, ..Shown::of(options) };
    while tail.read(&mut last)? {}
    last.print()?;
    if last.lines.is_empty() {
        match last.names.check(&options.filter) {
            Err(problem) if !options.once => output::warning(&problem.to_string()),
            checked => checked?,
        }
        if options.once && options.lines > 0 {
            output::note("no record meets the conditions");
        }
    }
    while !options.once && !output::is_closed() {
        let mut new = Shown::of(options);
        let has_more = tail.read(&mut new)?;
        new.print()?;
        if !has_more {
            std::thread::sleep(INTERVAL);
        }
    }
    Ok(Exit::Done)
}

/// The log as it grows.
struct Tail<'o> {
    path: &'o Path,
    followed: Followed,
}

impl<'o> Tail<'o> {
    fn open(options: &'o TailOptions) -> Outcome<Self> {
        let path = options.file.as_path();
        let followed = Followed::open_near_end(path, 0, LOOK_BACK)
            .map_err(|error| Problem::new(ProblemCode::Io, format!("cannot follow the log: {error}")))?;
        Ok(Self { path, followed })
    }

    /// Reads what is new, or a part of it. Returns whether there may be more.
    fn read(&mut self, shown: &mut Shown<'_>) -> Outcome<bool> {
        let read = self.followed.read(shown).map_err(|error| Problem::io("read", self.path, &error))?;
        for trouble in self.followed.take_trouble() {
            output::warning(&trouble.to_string());
        }
        Ok(read > 0)
    }
}

/// The shown form of records, at most the last `most` of them.
struct Shown<'o> {
    filter: &'o Filter,
    format: Format,
    lines: VecDeque<String>,
    most: usize,
    /// The names in all records, also in those that are not shown.
    names: Names,
}

impl<'o> Shown<'o> {
    fn of(options: &'o TailOptions) -> Self {
        let TailOptions { filter, format, .. } = options;
        Self { filter, format: *format, lines: VecDeque::new(), most: usize::MAX, names: Names::default() }
    }

    fn print(&self) -> Outcome<()> {
        self.lines.iter().try_for_each(|line| output::coloured(line))
    }
}

impl Visitor for Shown<'_> {
    fn record(&mut self, place: Place<'_>, record: &Record<'_>) {
        self.names.meet(self.filter, record);
        if self.most == 0 || !self.filter.admits(record) {
            return;
        }
        if self.lines.len() == self.most {
            self.lines.pop_front();
        }
        self.lines.push_back(filter::line(record, place.bytes, self.format));
    }
}
