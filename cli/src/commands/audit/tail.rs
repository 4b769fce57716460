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
    let mut followed = Followed::open(&options.file, &options.filter, options.format)?;
    let mut last = followed.lines()?;
    let from = last.len().saturating_sub(options.lines);
    print(last.split_off(from))?;
    if options.once {
        return Ok(Exit::Done);
    }
    loop {
        std::thread::sleep(INTERVAL);
        while followed.has_more()? {
            print(followed.lines()?)?;
        }
    }
}

fn print(lines: Vec<String>) -> Outcome<()> {
    lines.iter().try_for_each(|line| output::coloured(line))
}

/// A log that is read as it grows.
struct Followed<'o> {
    path: PathBuf,
    file: File,
    position: u64,
    /// The start of a line whose end is not written yet.
    begun: Vec<u8>,
    /// Whether the rest of a line is skipped: it is longer than a record, or its start was not read.
    skips: bool,
    filter: &'o Filter,
    format: Format,
}

impl<'o> Followed<'o> {
    /// Opens a log shortly before its end.
    fn open(path: &Path, filter: &'o Filter, format: Format) -> Outcome<Self> {
        let file = File::open(path).map_err(|error| Problem::io("read", path, &error))?;
        let length = file.metadata().map_or(0, |file| file.len());
        let position = length.saturating_sub(LOOK_BACK);
        let (path, begun, skips) = (path.to_owned(), Vec::new(), position > 0);
        Ok(Self { path, file, position, begun, skips, filter, format })
    }

    /// Whether something was written that was not read. After the end of a file that was rotated, it continues with the
    /// new one.
    fn has_more(&mut self) -> Outcome<bool> {
        // Before the length: what is written after that is in the new file.
        let next = self.rotated();
        let length = self.length()?;
        if length < self.position {
            output::warning("the file was truncated; it is read from its start");
            self.restart();
            return Ok(length > 0);
        }
        if length > self.position {
            return Ok(true);
        }
        if let Some(next) = next {
            if !self.begun.is_empty() {
                output::warning("the last line of the rotated file has no end");
            }
            self.file = next;
            self.restart();
            return Ok(self.length()? > 0);
        }
        Ok(false)
    }

    fn restart(&mut self) {
        (self.position, self.skips) = (0, false);
        self.begun.clear();
    }

    fn length(&self) -> Outcome<u64> {
        self.file.metadata().map(|file| file.len()).map_err(|error| Problem::io("read", &self.path, &error))
    }

    /// The shown form of the next records, at most those of 4 MiB.
    fn lines(&mut self) -> Outcome<Vec<String>> {
        let mut new = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.position))
            .and_then(|_| (&self.file).take(LOOK_BACK).read_to_end(&mut new))
            .map_err(|error| Problem::io("read", &self.path, &error))?;
        let mut shown = Vec::new();
        for part in new.split_inclusive(|byte| *byte == b'\n') {
            self.position += part.len() as u64;
            self.begun.extend_from_slice(part);
            let is_ended = part.ends_with(b"\n");
            if self.begun.len() > MAX_LINE {
                if !std::mem::replace(&mut self.skips, true) {
                    self.warn("a line is longer than a record");
                }
                self.begun = Vec::new();
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
                Ok(record) if self.filter.admits(&record) => {
                    shown.push(filter::line(&record, line, self.format));
                }
                Ok(_) => {}
                Err(_) if line.is_empty() => {}
                Err(error) => self.warn(&format!("a line is not an audit record: {error}")),
            }
        }
        Ok(shown)
    }

    /// Names the place by its byte: the number of the line is not known, as the file is read from its end.
    fn warn(&self, text: &str) {
        output::warning(&format!("{}, before byte {}: {text}", self.path.display(), self.position));
    }

    /// The file that the path leads to, if it is another one now. A path without a file is a rotation that is not
    /// complete.
    fn rotated(&self) -> Option<File> {
        let next = File::open(&self.path).ok()?;
        let (own, there) = (self.file.metadata().ok()?, next.metadata().ok()?);
        (!is_same(&own, &there)).then_some(next)
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

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write as _;

    use super::*;

    fn record(number: u32) -> String {
        format!(
            r#"{{"id":"{number}","time":"2026-01-01T00:00:00Z","decision":"allow","status":200,"endpoint":"stock::reserve","service":"s{number}","duration_us":1}}"#
        ) + "\n"
    }

    fn append(path: &Path, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The numbers of the new records.
    fn new(followed: &mut Followed<'_>) -> Vec<u32> {
        let mut numbers = Vec::new();
        while followed.has_more().unwrap() {
            for line in followed.lines().unwrap() {
                let record: serde_json::Value = serde_json::from_str(&line).unwrap();
                numbers.push(record["id"].as_str().unwrap().parse().unwrap());
            }
        }
        numbers
    }

    #[test]
    fn growing_log_is_followed_over_rotations_and_truncation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        append(&path, &record(1));
        let filter = Filter::default();
        let mut followed = Followed::open(&path, &filter, Format::Json).unwrap();
        assert_eq!(new(&mut followed), [1]);
        assert_eq!(new(&mut followed), [0_u32; 0]);
        // A line in two parts, and a line of another program.
        let (start, end) = (record(2)[..40].to_owned(), record(2)[40..].to_owned());
        append(&path, &start);
        assert_eq!(new(&mut followed), [0_u32; 0]);
        append(&path, &(end + "not a record\n" + &record(3)));
        assert_eq!(new(&mut followed), [2, 3]);
        // More than one read takes is written before the rotation, and more after it.
        let many = 2 * LOOK_BACK as u32 / record(10_000).len() as u32;
        append(&path, &(0..many).map(|number| record(10_000 + number)).collect::<String>());
        fs::rename(&path, folder.path().join("audit.jsonl.1")).unwrap();
        append(&folder.path().join("audit.jsonl.1"), &record(4));
        let read = new(&mut followed);
        assert_eq!((read.len() as u32, read.last()), (many + 1, Some(&4)));
        // The path has no file for a moment.
        assert_eq!(new(&mut followed), [0_u32; 0]);
        append(&path, &record(5));
        assert_eq!(new(&mut followed), [5]);
        fs::write(&path, "").unwrap();
        assert_eq!(new(&mut followed), [0_u32; 0]);
        append(&path, &record(6));
        assert_eq!(new(&mut followed), [6]);
    }

    #[test]
    fn line_that_is_longer_than_a_record_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        append(&path, &("x".repeat(MAX_LINE + 1) + "\n" + &record(7)));
        let filter = Filter::default();
        let mut followed = Followed::open(&path, &filter, Format::Json).unwrap();
        assert_eq!(new(&mut followed), [7]);
    }
}
