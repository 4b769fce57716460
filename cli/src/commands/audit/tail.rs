//! `service-token audit tail`: follows a log, also when it is rotated.

use std::fs::{File, Metadata};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use service_only_evidence::read::{MAX_LINE, Record};

use super::filter::{self, Filter};
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// How much of the end of a file is read for the first lines.
const LOOK_BACK: u64 = 4 * 1024 * 1024;

const EXAMPLES: &str = "\
Examples:
  service-token audit tail /var/log/bakery/audit.jsonl
  service-token audit tail audit.jsonl --deny --service orders
  service-token audit tail audit.jsonl --once --lines 100 --format json";

/// Follow a log, with filters and colours
///
/// Prints the last records, and then each new one until you stop it. It continues with the new file after
/// a rotation.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct TailOptions {
    /// The log
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How many records of the past are printed first
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
    let mut followed = Followed::open(&options.file)?;
    let mut last = followed.lines(options)?;
    let from = last.len().saturating_sub(options.lines);
    print(last.split_off(from))?;
    if options.once {
        return Ok(Exit::Done);
    }
    loop {
        std::thread::sleep(INTERVAL);
        print(followed.lines(options)?)?;
        if followed.was_rotated() {
            // What was written between the last look and the rotation.
            print(followed.lines(options)?)?;
            followed = Followed::begin(&options.file)?;
        }
    }
}

fn print(lines: Vec<String>) -> Outcome<()> {
    lines.iter().try_for_each(|line| output::coloured(line))
}

struct Followed {
    path: PathBuf,
    file: File,
    position: u64,
    /// The start of a line whose end is not written yet.
    begun: Vec<u8>,
    /// Whether the rest of a line is skipped: it is longer than a record, or its start was not read.
    skips: bool,
}

impl Followed {
    fn open(path: &Path) -> Outcome<Self> {
        let mut followed = Self::begin(path)?;
        let length = followed.file.metadata().map_or(0, |file| file.len());
        followed.position = length.saturating_sub(LOOK_BACK);
        followed.skips = followed.position > 0;
        Ok(followed)
    }

    fn begin(path: &Path) -> Outcome<Self> {
        let file = File::open(path).map_err(|error| Problem::io("read", path, &error))?;
        Ok(Self { path: path.to_owned(), file, position: 0, begun: Vec::new(), skips: false })
    }

    /// The shown form of the records that were written since the last call.
    fn lines(&mut self, options: &TailOptions) -> Outcome<Vec<String>> {
        let problem = |error: &std::io::Error| Problem::io("read", &options.file, error);
        let length = self.file.metadata().map_err(|error| problem(&error))?.len();
        if length < self.position {
            output::warning("the file was truncated; it is read from its start");
            (self.position, self.skips) = (0, false);
            self.begun.clear();
        }
        let mut new = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.position))
            .and_then(|_| (&self.file).take(LOOK_BACK).read_to_end(&mut new))
            .map_err(|error| problem(&error))?;
        self.position += new.len() as u64;
        let mut shown = Vec::new();
        for part in new.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(part);
            let is_ended = part.ends_with(b"\n");
            if self.begun.len() > MAX_LINE {
                (self.skips, self.begun) = (true, Vec::new());
            }
            if !is_ended {
                continue;
            }
            let line = std::mem::take(&mut self.begun);
            if std::mem::take(&mut self.skips) {
                continue;
            }
            let line = line.trim_ascii_end();
            match Record::parse(line) {
                Ok(record) if options.filter.admits(&record) => {
                    shown.push(filter::line(&record, line, options.format));
                }
                Ok(_) => {}
                Err(_) if line.is_empty() => {}
                Err(error) => output::warning(&format!("a line is not an audit record: {error}")),
            }
        }
        Ok(shown)
    }

    /// Whether the path leads to another file now. A path without a file is a rotation that is not complete.
    fn was_rotated(&self) -> bool {
        let own = self.file.metadata();
        let there = std::fs::metadata(&self.path);
        matches!((own, there), (Ok(own), Ok(there)) if !is_same(&own, &there))
    }
}

#[cfg(unix)]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    one.created().ok() == other.created().ok()
}
