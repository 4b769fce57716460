//! Reads audit files line by line, with bounded memory. A line that is not a record is reported, and the rest is read.
//!
//! [`files`] passes each record to a [`Visitor`]. What is wrong is in [`Done::trouble`], with file and line.

mod followed;
mod record;
pub(crate) mod source;

use std::{
    fmt,
    io::{self, BufRead},
    path::{Path, PathBuf},
    sync::Arc,
};

pub use followed::Followed;
pub use record::{NotARecord, Outcome, Record};

use self::source::Source;

/// The longest line that is read, in bytes. The longest line that the sink writes has about 16 KB.
pub const MAX_LINE: usize = 64 * 1024;

/// The maximum number of damaged lines that are described. Further ones are only counted.
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
    /// Where the line begins, in bytes after decompression.
    pub offset: u64,
    /// The bytes of the line, without its end.
    pub bytes: &'a [u8],
}

/// A problem of a line or a file. Most of these lines are not used.
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
    /// The file became shorter while it was followed. It is read from its start.
    Truncated,
}

impl TroubleKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Torn,
        Self::Unfinished,
        Self::Foreign,
        Self::TooLong,
        Self::ClockWentBack,
        Self::Unreadable,
        Self::Truncated,
    ];

    /// The kind as reports print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::Unfinished => "unfinished",
            Self::Foreign => "foreign",
            Self::TooLong => "too_long",
            Self::ClockWentBack => "clock_went_back",
            Self::Unreadable => "unreadable",
            Self::Truncated => "truncated",
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
    /// The byte from which lines are counted: 0, unless a log was [opened near its end](Followed::open_near_end).
    pub counted_from: u64,
    /// The kind of problem.
    pub kind: TroubleKind,
    /// The problem in words, escaped.
    pub detail: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, counted_from, detail, .. } = self;
        match counted_from {
            0 => write!(f, "{}:{line}: {detail}", file.display()),
            from => write!(f, "{}, line {line} after byte {from}: {detail}", file.display()),
        }
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

    /// The sum of several parts. It contains the problems that each part describes.
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for Self { files, bytes, lines, records, trouble, counts } in parts {
            sum.files += files;
            sum.bytes += bytes;
            sum.lines += lines;
            sum.records += records;
            let room = MAX_DESCRIBED.saturating_sub(sum.trouble.len());
            sum.trouble.extend(trouble.iter().take(room).cloned());
            sum.counts.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        sum
    }

    /// The number of problems of one kind, with those that are not described.
    pub fn count(&self, kind: TroubleKind) -> u64 {
        self.counts.get(kind as usize).copied().unwrap_or_default()
    }

    fn report(&mut self, at: At<'_>, kind: TroubleKind, detail: &str) {
        if let Some(count) = self.counts.get_mut(kind as usize) {
            *count += 1;
        }
        if self.trouble.len() < MAX_DESCRIBED {
            let detail = service_only::__satellite::escaped(detail, 300).into_owned();
            let At { file, line, counted_from } = at;
            self.trouble.push(Trouble { file: Arc::clone(file), line, counted_from, kind, detail });
        }
    }
}

/// The place of a problem.
#[derive(Copy, Clone)]
struct At<'a> {
    file: &'a Arc<Path>,
    line: u64,
    counted_from: u64,
}

/// Reads the records of files. The order of the files does not matter to the analysis of this crate.
///
/// # Errors
/// When a file cannot be opened. Problems within a file are in [`Done::trouble`].
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
                let at = At { file: &file, line: 0, counted_from: 0 };
                done.report(at, TroubleKind::Unreadable, &error.to_string());
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
    let mut lines = Lines::of(Arc::clone(file), file_number);
    while lines.next(&mut source.reader, visitor, done).is_some() {
        if lines.number.is_multiple_of(PROGRESS) {
            visitor.progress(source.position());
        }
    }
}

/// The lines of one file, one after the other.
#[derive(Debug)]
struct Lines {
    file: Arc<Path>,
    file_number: usize,
    /// The number of lines that were read.
    number: u64,
    /// Where the next line begins.
    offset: u64,
    /// Where the first counted line begins.
    counted_from: u64,
    /// The time of the newest record.
    newest: i64,
    /// Whether the last record was older than the newest.
    is_behind: bool,
    buffer: Vec<u8>,
}

impl Lines {
    fn of(file: Arc<Path>, file_number: usize) -> Self {
        Self {
            file,
            file_number,
            number: 0,
            offset: 0,
            counted_from: 0,
            newest: i64::MIN,
            is_behind: false,
            buffer: Vec::new(),
        }
    }

    /// Reads one line and uses it; `None` at the end of the file, or if the visitor has enough.
    fn next(&mut self, reader: &mut impl BufRead, visitor: &mut impl Visitor, done: &mut Done) -> Option<()> {
        match next_line(reader, &mut self.buffer) {
            Ok(Some(line)) => {
                self.take(&line, visitor, done);
                visitor.wants_more().then_some(())
            }
            Ok(None) => None,
            Err(error) => {
                self.fail(&error, done);
                None
            }
        }
    }

    fn fail(&self, error: &io::Error, done: &mut Done) {
        let detail = format!("the rest of the file cannot be read: {error}");
        done.report(self.at(self.number + 1), TroubleKind::Unreadable, &detail);
    }

    fn at(&self, line: u64) -> At<'_> {
        At { file: &self.file, line, counted_from: self.counted_from }
    }

    /// Uses the line in the buffer.
    fn take(&mut self, line: &Line, visitor: &mut impl Visitor, done: &mut Done) {
        self.number += 1;
        done.lines += 1;
        done.bytes += line.length;
        let offset = self.offset;
        self.offset += line.length;
        let at = At { file: &self.file, line: self.number, counted_from: self.counted_from };
        let mut report = |kind, detail: &str| done.report(at, kind, detail);
        if line.length as usize > MAX_LINE + 1 {
            let detail = format!("the line has {} bytes, more than {MAX_LINE}", line.length);
            return report(TroubleKind::TooLong, &detail);
        }
        let bytes = self.buffer.as_slice();
        match Record::parse(bytes) {
            Ok(record) => {
                let at = record.micros();
                let is_behind = at < self.newest.saturating_sub(OUT_OF_ORDER);
                // One report when the clock goes back, not one for each record until it has caught up.
                if is_behind && !self.is_behind {
                    let detail = format!(
                        "the clock went back: the record is {:.1} s older than one before it",
                        (self.newest - at) as f64 / 1e6
                    );
                    report(TroubleKind::ClockWentBack, &detail);
                }
                self.is_behind = is_behind;
                self.newest = self.newest.max(at);
                done.records += 1;
                let (file, file_number, line) = (&*self.file, self.file_number, self.number);
                visitor.record(Place { file, file_number, line, offset, bytes }, &record);
            }
            Err(_) if bytes.trim_ascii().is_empty() => {}
            Err(error) if !line.is_ended => {
                report(TroubleKind::Unfinished, &format!("the last line has no end yet: {error}"));
            }
            Err(error) if error.is_torn => {
                report(TroubleKind::Torn, &format!("the line is cut off: {error}"));
            }
            Err(error) => {
                report(TroubleKind::Foreign, &format!("the line is not an audit record: {error}"));
            }
        }
    }
}

/// How many lines are read between two reports of the progress.
const PROGRESS: u64 = 4096;

#[derive(Debug, Default)]
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
