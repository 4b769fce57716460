//! The lines of log files as bytes, also those that are not records, because each line is a leaf.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, BufRead, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use tlog_tiles::{Hash, record_hash};

use crate::read::source;

/// The longest line whose bytes are kept. A longer one has another hash than any line that was written.
const MAX_KEPT: usize = 1024 * 1024;

/// One line of a file.
#[derive(Debug, Clone)]
pub(super) struct RawLine {
    /// The bytes without the end of the line.
    pub(super) bytes: Vec<u8>,
    /// Whether the line has an end.
    pub(super) is_ended: bool,
}

impl RawLine {
    pub(super) fn leaf(&self) -> Hash {
        record_hash(&self.bytes)
    }
}

/// Reads the lines of a file one by one.
pub(super) struct RawLines {
    reader: Box<dyn BufRead>,
}

impl RawLines {
    /// Opens a file. If the sink has compressed it since it was found, opens the compressed one.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let opened = source::open(path).or_else(|error| {
            let mut compressed = path.as_os_str().to_owned();
            compressed.push(".gz");
            let compressed = Path::new(&compressed);
            if error.kind() == io::ErrorKind::NotFound && compressed.exists() {
                return source::open(compressed);
            }
            Err(error)
        });
        Ok(Self { reader: opened?.reader })
    }

    /// Reads a file from a byte of its lines on. A compressed file is read from its start.
    pub(super) fn open_at(path: &Path, byte: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if is_compressed(path) {
            let mut reader = source::open(path)?.reader;
            io::copy(&mut (&mut reader).take(byte), &mut io::sink())?;
            return Ok(Self { reader });
        }
        file.seek(SeekFrom::Start(byte))?;
        Ok(Self { reader: Box::new(io::BufReader::with_capacity(256 * 1024, file)) })
    }

    pub(super) fn next(&mut self) -> io::Result<Option<RawLine>> {
        let mut bytes = Vec::new();
        let mut any = false;
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                return Ok(any.then_some(RawLine { bytes, is_ended: false }));
            }
            any = true;
            let end = memchr::memchr(b'\n', available);
            let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
            let room = MAX_KEPT.saturating_sub(bytes.len());
            bytes.extend_from_slice(part.get(..room).unwrap_or(part));
            let used = end.map_or(available.len(), |end| end + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(Some(RawLine { bytes, is_ended: true }));
            }
        }
    }
}

/// Whether the file begins like gzip or zstd.
pub(super) fn is_compressed(path: &Path) -> bool {
    source::is_compressed(path).unwrap_or_default()
}

/// The last complete line before a byte of an uncompressed file, without its end.
pub(super) fn line_before(path: &Path, byte: u64) -> io::Result<Option<Vec<u8>>> {
    let mut file = File::open(path)?;
    let start = byte.saturating_sub(MAX_KEPT as u64);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(byte - start).read_to_end(&mut bytes)?;
    let Some(line) = bytes.strip_suffix(b"\n") else { return Ok(None) };
    let begin = memchr::memrchr(b'\n', line).map_or(0, |end| end + 1);
    Ok(line.get(begin..).map(<[u8]>::to_vec))
}

/// The files of a log: those that rotation has renamed, sorted by name, and then the log itself. Of a file that exists
/// plain and compressed, the plain one counts.
///
/// # Errors
/// When the folder of the log cannot be read.
pub fn files_of(log: &Path) -> io::Result<Vec<PathBuf>> {
    let name = log.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let folder = log.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut rotated = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let own = path.file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned();
        // `audit.jsonl.2026-01-01T…`, and those of logrotate: `audit.jsonl.1`, `audit.jsonl-20260101.gz`.
        let suffix = own.strip_prefix(name).and_then(|rest| rest.strip_prefix(['.', '-']));
        let is_rotated =
            suffix.is_some_and(|suffix| suffix.starts_with(|first: char| first.is_ascii_digit()));
        if is_rotated && !own.ends_with(".part") && path.is_file() {
            rotated.push(path);
        }
    }
    rotated.sort();
    let plain: Vec<PathBuf> = rotated.clone();
    rotated.retain(|path| {
        path.extension().is_none_or(|extension| extension != "gz")
            || !plain.contains(&path.with_extension(""))
    });
    if log.exists() {
        rotated.push(log.to_owned());
    }
    Ok(rotated)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_log_are_its_rotated_ones_and_itself() {
        let folder = tempfile::tempdir().unwrap();
        let all = [
            "audit.jsonl",
            "audit.jsonl-20260101.gz",
            "audit.jsonl.1",
            "audit.jsonl.2026-01-01T00-00-00.000000Z",
            "audit.jsonl.2026-01-01T00-00-00.000000Z.gz",
            "audit.jsonl.2026-01-02T00-00-00.000000Z.gz.part",
            "audit.jsonl.bak",
            "audit.jsonl.tree",
            "audit.jsonl5",
            "other.jsonl.1",
        ];
        all.iter().for_each(|name| std::fs::write(folder.path().join(name), "").unwrap());
        let found = files_of(&folder.path().join("audit.jsonl")).unwrap();
        let found: Vec<_> = found.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(found, [all[1], all[2], all[3], all[0]]);
    }
}
