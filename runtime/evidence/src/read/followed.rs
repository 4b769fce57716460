//! A log that is read while its service writes it: what was appended since the last look, also across a rotation.

use std::{
    fs::{File, Metadata},
    io::{self, BufRead, BufReader, Seek as _, SeekFrom},
    path::Path,
    sync::Arc,
};

use super::{Done, Line, Lines, MAX_LINE, Trouble, TroubleKind, Visitor, next_line, source};

/// How many lines and bytes one look reads at most, so that a caller can do something between two looks at a large file.
const LINES_AT_ONCE: u64 = 20_000;
const BYTES_AT_ONCE: u64 = 8 * 1024 * 1024;

const BLOCK: usize = 256 * 1024;

/// A log that is read while a service writes it. Memory and the number of open files do not grow with the log.
///
/// After a rotation, it reads the rest of the renamed file, and then the new file. A last line without an end waits for
/// its end. A file that became shorter is read from its start, and reported as [`TroubleKind::Truncated`]. A compressed
/// file is read once, because no service appends to it.
#[derive(Debug)]
pub struct Followed {
    lines: Lines,
    done: Done,
    file: Opened,
    /// The new file of a rotation, while the rest of the old one is read.
    next: Option<File>,
}

#[derive(Debug)]
enum Opened {
    Plain {
        file: BufReader<File>,
        /// Whether the rest of a line is skipped, because it is longer than a record.
        skips: bool,
    },
    Compressed(Compressed),
    /// A compressed file that was read.
    Read,
}

struct Compressed(source::Source<Box<dyn BufRead + Send>>);

impl std::fmt::Debug for Compressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compressed")
    }
}

impl Followed {
    /// Opens a log to read it from its start. `file_number` is the number that its records get in
    /// [`Place`](super::Place).
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, file_number: usize) -> io::Result<Self> {
        source::check(path)?;
        if !std::fs::metadata(path)?.is_file() {
            let text = format!("`{}` is not a file, and only a file can be followed", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let file = match source::is_compressed(path)? {
            true => Opened::Compressed(Compressed(source::open(path)?)),
            false => Opened::plain(File::open(path)?),
        };
        let lines = Lines::of(Arc::from(path), file_number);
        Ok(Self { lines, done: Done { files: 1, ..Done::default() }, file, next: None })
    }

    /// Opens a log to read it from the first line that begins within its last `length` bytes. A compressed file is read from
    /// its start.
    ///
    /// # Errors
    /// When the file cannot be opened or read.
    pub fn open_near_end(path: &Path, file_number: usize, length: u64) -> io::Result<Self> {
        let mut followed = Self::open(path, file_number)?;
        if let Opened::Plain { file, skips } = &mut followed.file {
            let from = file.get_ref().metadata()?.len().saturating_sub(length);
            // With the end of the line before: a line that begins there is complete.
            if let Some(before) = from.checked_sub(1) {
                file.seek(SeekFrom::Start(before))?;
                let lines = &mut followed.lines;
                let cut = next_line(file, &mut lines.buffer)?.unwrap_or_default();
                *skips = !cut.is_ended;
                lines.offset = before + cut.length;
                lines.counted_from = lines.offset;
            }
        }
        Ok(followed)
    }

    /// Reads lines that were appended since the last call, and returns their number. If there are many, it reads only a
    /// part of them: call it again until it returns 0.
    ///
    /// # Errors
    /// When the file cannot be read. The next call continues where this one ended.
    pub fn read(&mut self, visitor: &mut impl Visitor) -> io::Result<u64> {
        match &mut self.file {
            Opened::Read => Ok(0),
            Opened::Compressed(Compressed(source)) => {
                let (before, end) = (self.lines.number, self.lines.offset + BYTES_AT_ONCE);
                while self.lines.number - before < LINES_AT_ONCE && self.lines.offset < end {
                    if self.lines.next(&mut source.reader, visitor, &mut self.done).is_none() {
                        self.file = Opened::Read;
                        break;
                    }
                }
                Ok(self.lines.number - before)
            }
            Opened::Plain { .. } => {
                // What was written between the last look and the rotation is still in the renamed file.
                if self.next.is_none() {
                    self.next = self.rotated();
                }
                let read = self.read_plain(visitor, self.next.is_some())?;
                if read > 0 {
                    return Ok(read);
                }
                let Some(next) = self.next.take() else { return Ok(0) };
                self.file = Opened::plain(next);
                self.lines.restart();
                self.done.files += 1;
                self.read_plain(visitor, false)
            }
        }
    }

    /// What was read until now.
    pub fn done(&self) -> &Done {
        &self.done
    }

    /// Takes the problems since the last call. Afterwards, [`done`](Self::done) still counts them, but no longer
    /// describes them.
    pub fn take_trouble(&mut self) -> Vec<Trouble> {
        std::mem::take(&mut self.done.trouble)
    }

    /// How many bytes of the open file were read, and how many bytes the file has. The numbers are equal if the whole
    /// file was read.
    pub fn progress(&self) -> (u64, u64) {
        match &self.file {
            Opened::Plain { file, .. } => {
                let length = file.get_ref().metadata().map_or(0, |file| file.len());
                (self.lines.offset.min(length), length)
            }
            Opened::Compressed(Compressed(source)) => {
                let length = std::fs::metadata(&self.lines.file).map_or(0, |file| file.len());
                (source.position().min(length), length)
            }
            Opened::Read => (1, 1),
        }
    }

    fn read_plain(&mut self, visitor: &mut impl Visitor, is_last: bool) -> io::Result<u64> {
        let Opened::Plain { file, skips } = &mut self.file else { return Ok(0) };
        let (lines, done) = (&mut self.lines, &mut self.done);
        if file.get_ref().metadata()?.len() < lines.offset {
            let detail = "the file was truncated; it is read from its start";
            lines.restart();
            done.report(lines.at(1), TroubleKind::Truncated, detail);
            *skips = false;
        }
        // Its buffer may have the start of a line that has grown since.
        file.seek(SeekFrom::Start(lines.offset))?;
        let (mut read, end) = (0, lines.offset + BYTES_AT_ONCE);
        while read < LINES_AT_ONCE && lines.offset < end {
            let Some(line) = next_line(file, &mut lines.buffer)? else { break };
            if !line.is_ended && !is_last {
                // A line that grows beyond the limit is not read again and again.
                if line.length as usize > MAX_LINE + 1 {
                    lines.skip(&line, done, std::mem::replace(skips, true));
                }
                break;
            }
            read += 1;
            match std::mem::take(skips) {
                true => lines.end_skip(&line),
                false => lines.take(&line, visitor, done),
            }
        }
        Ok(read)
    }

    /// The file that the path leads to, if it is another one now. A path without a file, or with an empty one, is a rotation
    /// that is not complete: the service may still write to the renamed file.
    fn rotated(&self) -> Option<File> {
        let Opened::Plain { file, .. } = &self.file else { return None };
        let next = File::open(&self.lines.file).ok()?;
        let (own, there) = (file.get_ref().metadata().ok()?, next.metadata().ok()?);
        (there.len() > 0 && !is_same(&own, &there)).then_some(next)
    }
}

impl Lines {
    /// Begins with a new file.
    fn restart(&mut self) {
        (self.number, self.offset, self.counted_from) = (0, 0, 0);
    }

    /// Skips a part of a line that is too long, and reports its first part.
    fn skip(&mut self, part: &Line, done: &mut Done, was_reported: bool) {
        if !was_reported {
            let detail = format!("the line has more than {MAX_LINE} bytes");
            done.report(self.at(self.number + 1), TroubleKind::TooLong, &detail);
        }
        self.offset += part.length;
        done.bytes += part.length;
    }

    /// Skips the end of a line.
    fn end_skip(&mut self, part: &Line) {
        self.number += 1;
        self.offset += part.length;
    }
}

impl Opened {
    fn plain(file: File) -> Self {
        Self::Plain { file: BufReader::with_capacity(BLOCK, file), skips: false }
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
mod tests;
