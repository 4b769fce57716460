//! Reads audit files line by line, with bounded memory. A line that is not a record is reported, and the rest is read.
//!
//! [`files`] passes each record to a [`Visitor`]. What is wrong is in [`Done::trouble`], with file and line.

mod record;
pub(crate) mod source;

use std::{
    fmt,
    io::{self, BufRead},
    path::{Path, PathBuf},
    sync::Arc,
};

pub use record::{NotARecord, Outcome, Record};

use self::source::Source;

/// The longest line that is read, in bytes. The longest line that the sink writes has about 16 KB.
pub const MAX_LINE: usize = 64 * 1024;

/// How many damaged lines are described. The others are counted.
pub const MAX_DESCRIBED: usize = 100;

/// How far a record may be older than the newest before it, in microseconds. Lines of several threads are some
/// milliseconds out of order.
const OUT_OF_ORDER: i64 = 1_000_000;

/// Receives the records of the files, in the order of the files and lines.
pub trait Visitor {
    /// Receives one record.
    fn record(&mut self, place: Place<'_>, record: &Record<'_>);

    /// Receives the progress after each block: how many bytes of the files on the disk were read.
    fn progress(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// Whether further records are wanted. It is called after each record.
    fn wants_more(&self) -> bool {
        true
    }
}

impl<F: FnMut(Place<'_>, &Record<'_>)> Visitor for F {
    fn record(&mut self, place: Place<'_>, record: &Record<'_>) {
        self(place, record);
    }
}

/// Where a line is.
#[derive(Debug, Copy, Clone)]
#[non_exhaustive]
pub struct Place<'a> {
    /// The file.
    pub file: &'a Path,
    /// The number of the file in the list of files.
    pub file_number: usize,
    /// The number of the line, from 1.
    pub line: u64,
    /// The bytes of the line, without its end.
    pub bytes: &'a [u8],
}

/// Why a line was not used, or what is remarkable about it.
#[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TroubleKind {
    /// The line ends within its JSON, because a process was killed or a disk was full.
    Torn,
    /// The last line has no end yet: the file grows, or its writer was killed.
    Unfinished,
    /// The line is not an audit record.
    Foreign,
    /// The line is longer than [`MAX_LINE`].
    TooLong,
    /// The record is older than a record before it: the clock went back, or files are out of order. The record is used.
    ClockWentBack,
    /// The rest of the file cannot be read.
    Unreadable,
}

impl TroubleKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Torn, Self::Unfinished, Self::Foreign, Self::TooLong, Self::ClockWentBack, Self::Unreadable];

    /// The kind as reports print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::Unfinished => "unfinished",
            Self::Foreign => "foreign",
            Self::TooLong => "too_long",
            Self::ClockWentBack => "clock_went_back",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One line with a problem. `Display` prints file, line and reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Trouble {
    /// The file.
    pub file: Arc<Path>,
    /// The number of the line, from 1.
    pub line: u64,
    /// The kind of problem.
    pub kind: TroubleKind,
    /// The problem in words, escaped.
    pub detail: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.detail)
    }
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Done {
    files: usize,
    bytes: u64,
    lines: u64,
    records: u64,
    trouble: Vec<Trouble>,
    counts: [u64; TroubleKind::ALL.len()],
}

impl Done {
    /// The number of files.
    pub fn files(&self) -> usize {
        self.files
    }

    /// The number of bytes after decompression.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of lines, with those that are not records.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The number of records.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// The first [`MAX_DESCRIBED`] problems.
    pub fn trouble(&self) -> &[Trouble] {
        &self.trouble
    }

    /// The number of problems of one kind, with those that are not described.
    pub fn count(&self, kind: TroubleKind) -> u64 {
        self.counts.get(kind as usize).copied().unwrap_or_default()
    }

    fn report(&mut self, file: &Arc<Path>, line: u64, kind: TroubleKind, detail: &str) {
        if let Some(count) = self.counts.get_mut(kind as usize) {
            *count += 1;
        }
        if self.trouble.len() < MAX_DESCRIBED {
            let detail = service_only::__satellite::escaped(detail, 300).into_owned();
            self.trouble.push(Trouble { file: Arc::clone(file), line, kind, detail });
        }
    }
}

/// Reads the records of files. The order of the files does not matter to the analysis of this crate.
///
/// # Errors
/// When a file cannot be opened. What is wrong within a file is in [`Done::trouble`].
pub fn files<P: AsRef<Path>>(
    paths: impl IntoIterator<Item = P>,
    visitor: &mut impl Visitor,
) -> io::Result<Done> {
    let paths: Vec<PathBuf> = paths.into_iter().map(|path| path.as_ref().to_owned()).collect();
    // A name that is wrong is noticed before hours of reading.
    let mut done = Done::default();
    for path in &paths {
        source::check(path)?;
    }
    for (number, path) in paths.iter().enumerate() {
        let file: Arc<Path> = Arc::from(path.as_path());
        let source = match source::open(path) {
            Ok(source) => source,
            // Rotation has compressed or deleted the file meanwhile.
            Err(error) => {
                done.report(&file, 0, TroubleKind::Unreadable, &error.to_string());
                continue;
            }
        };
        let before = done.bytes;
        one(&file, number, source, visitor, &mut done);
        done.files += 1;
        visitor.progress(std::fs::metadata(path).map_or(done.bytes - before, |metadata| metadata.len()));
        if !visitor.wants_more() {
            break;
        }
    }
    Ok(done)
}

/// Reads the records of any reader that is not compressed, such as standard input. Reports name `name` as the file.
pub fn stream(name: &Path, reader: impl BufRead, visitor: &mut impl Visitor) -> Done {
    let mut done = Done { files: 1, ..Done::default() };
    one(&Arc::from(name), 0, Source::plain(reader), visitor, &mut done);
    done
}

fn one(
    file: &Arc<Path>,
    file_number: usize,
    mut source: Source<impl BufRead>,
    visitor: &mut impl Visitor,
    done: &mut Done,
) {
    let mut line_number = 0;
    let mut newest = i64::MIN;
    let mut behind = false;
    let mut buffer = Vec::new();
    loop {
        let line = match next_line(&mut source.reader, &mut buffer) {
            Ok(Some(line)) => line,
            Ok(None) => return,
            Err(error) => {
                let detail = format!("the rest of the file cannot be read: {error}");
                done.report(file, line_number + 1, TroubleKind::Unreadable, &detail);
                return;
            }
        };
        line_number += 1;
        done.lines += 1;
        done.bytes += line.length;
        if line.length as usize > MAX_LINE + 1 {
            let detail = format!("the line has {} bytes, more than {MAX_LINE}", line.length);
            done.report(file, line_number, TroubleKind::TooLong, &detail);
            continue;
        }
        let bytes = buffer.as_slice();
        match Record::parse(bytes) {
            Ok(record) => {
                let at = record.micros();
                let is_behind = at < newest.saturating_sub(OUT_OF_ORDER);
                // One report when the clock goes back, not one for each record until it has caught up.
                if is_behind && !behind {
                    let detail = format!(
                        "the clock went back: the record is {:.1} s older than one before it",
                        (newest - at) as f64 / 1e6
                    );
                    done.report(file, line_number, TroubleKind::ClockWentBack, &detail);
                }
                behind = is_behind;
                newest = newest.max(at);
                done.records += 1;
                visitor.record(Place { file, file_number, line: line_number, bytes }, &record);
                if !visitor.wants_more() {
                    return;
                }
            }
            Err(_) if bytes.trim_ascii().is_empty() => {}
            Err(error) if !line.is_ended => {
                let detail = format!("the last line has no end yet: {error}");
                done.report(file, line_number, TroubleKind::Unfinished, &detail);
            }
            Err(error) if error.is_torn => {
                done.report(file, line_number, TroubleKind::Torn, &format!("the line is cut off: {error}"));
            }
            Err(error) => {
                let detail = format!("the line is not an audit record: {error}");
                done.report(file, line_number, TroubleKind::Foreign, &detail);
            }
        }
        if line_number.is_multiple_of(PROGRESS) {
            visitor.progress(source.position());
        }
    }
}

/// How many lines are read between two reports of the progress.
const PROGRESS: u64 = 4096;

struct Line {
    /// The bytes of the line with its end, also those beyond the limit.
    length: u64,
    is_ended: bool,
}

/// Reads one line into the buffer, without its end. Of a line beyond the limit, only the start is kept.
fn next_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> io::Result<Option<Line>> {
    buffer.clear();
    let mut length = 0;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok((length > 0).then_some(Line { length, is_ended: false }));
        }
        let end = memchr::memchr(b'\n', available);
        let (part, used) = match end {
            Some(end) => (available.get(..end), end + 1),
            None => (Some(available), available.len()),
        };
        let room = MAX_LINE.saturating_sub(buffer.len());
        let part = part.unwrap_or_default();
        buffer.extend_from_slice(part.get(..room).unwrap_or(part));
        length += used as u64;
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(Line { length, is_ended: true }));
        }
    }
}

#[cfg(test)]
mod tests;
