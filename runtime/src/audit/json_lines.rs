//! Audit records as JSON lines, written by a thread of their own so that no request waits for a disk.
//!
//! A request writes its line (`line`) into memory of its own thread (`slot`), where it waits as long as there
//! are places for records (`queue`); the thread writes what waits to the file (`writer`). Between requests and
//! thread nothing is woken up for a single record.

mod line;
mod queue;
mod slot;
mod writer;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use self::{queue::Queue, writer::Writer};
use super::{AuditError, AuditEvent, AuditSink};
use crate::recorder::Draft;

/// Records that may wait for the writer, what it has in hand among them: with lines of a usual length, some 400
/// bytes, 3 MiB. The longest line that a stranger can bring about, all of it escapes, has 3.2 KB: 26 MB at most. And
/// a thread that records holds a page of 64 KiB.
pub const DEFAULT_QUEUE: usize = 8192;

/// The longest queue that a sink can be given: with lines of a usual length 400 MiB, with the longest that a stranger
/// can bring about 3.4 GB.
pub const MAX_QUEUE: usize = 1 << 20;

/// What becomes of a record that finds the queue full: records come faster than the disk takes them.
///
/// Each lost record is counted ([`JsonLinesAudit::dropped`]). An error is logged when losses begin, and
/// their number when for a second there was none.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// The record is lost, and no request waits. A verifier that [requires the
    /// audit](crate::VerifierBuilder::require_audit) refuses the caller; any other lets it in.
    #[default]
    Drop,
    /// The request's thread is blocked until there is room, but no longer than this; then the record is
    /// lost. On an async runtime a blocked thread holds up every request that it serves.
    Wait(Duration),
    /// Callers are refused (503) from when seven eighths of the queue are full, whether or not the
    /// verifier was told to require the audit. The last eighth is for the records of these refusals.
    Deny,
}

/// Writes each record as one line of JSON.
///
/// Records wait in a bounded queue for a writer thread, which writes some milliseconds later. What
/// becomes of them when the queue is full is said by [`WhenFull`]. A failing disk loses records too, and
/// until it takes one again the sink is not [ready](AuditSink::ready). Cloning shares the writer; when
/// the last clone is dropped, what was accepted is written and flushed.
///
/// ```no_run
/// use service_only::{JsonLinesAudit, WhenFull};
///
/// # fn main() -> std::io::Result<()> {
/// let audit = JsonLinesAudit::builder().when_full(WhenFull::Deny).to_file("/var/log/bakery/audit.jsonl")?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct JsonLinesAudit(Arc<Handle>);

struct Handle {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
}

/// Settings of a [`JsonLinesAudit`], each with its default.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is given a file or a writer"]
pub struct JsonLinesBuilder {
    records: usize,
    when_full: WhenFull,
}

impl JsonLinesBuilder {
    /// Records that may wait for the writer, what it has in hand among them. Memory is taken for those that
    /// do wait, by pages of 64 KiB. Left out, it is [`DEFAULT_QUEUE`]; at most [`MAX_QUEUE`].
    pub fn queue(self, records: usize) -> Self {
        Self { records, ..self }
    }

    /// What becomes of a record that finds the queue full. Left out, it is [`WhenFull::Drop`]: an audit
    /// that falls behind must not stop the service unless somebody has decided so.
    pub fn when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }

    /// Appends to a file, which is created readable by its owner only: an audit log names callers
    /// and paths.
    ///
    /// # Errors
    /// When the file cannot be opened, or as [`JsonLinesBuilder::to_writer`].
    pub fn to_file(self, path: impl AsRef<Path>) -> io::Result<JsonLinesAudit> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path)?;
        self.start(file, ends_within_a_line(path.as_ref()))
    }

    /// Writes to anything.
    ///
    /// # Errors
    /// When the queue holds no record or more than [`MAX_QUEUE`], or the thread cannot be started.
    pub fn to_writer(self, writer: impl Write + Send + 'static) -> io::Result<JsonLinesAudit> {
        self.start(writer, false)
    }

    fn start(self, writer: impl Write + Send + 'static, torn: bool) -> io::Result<JsonLinesAudit> {
        if !(1..=MAX_QUEUE).contains(&self.records) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("an audit queue holds 1 to {MAX_QUEUE} records, not {}", self.records),
            ));
        }
        let queue = Arc::new(Queue::new(self.records, self.when_full));
        let shared = Arc::clone(&queue);
        let writer = std::thread::Builder::new()
            .name("service-only-audit".to_owned())
            .spawn(move || Writer::new(writer, torn, shared).run())?;
        Ok(JsonLinesAudit(Arc::new(Handle { queue, writer: Some(writer) })))
    }
}

/// Whether a file was left within a line, by a process that was killed or a disk that was full. What is
/// no file, or must not be read, has no end that could be looked at.
fn ends_within_a_line(path: &Path) -> bool {
    let last_byte = || -> io::Result<Option<u8>> {
        if !std::fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let mut file = File::open(path)?;
        let mut last = [0];
        if file.seek(SeekFrom::End(0))? == 0 {
            return Ok(None);
        }
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last.first().copied())
    };
    last_byte().is_ok_and(|last| last.is_some_and(|last| last != b'\n'))
}

impl JsonLinesAudit {
    /// Starts building one.
    pub fn builder() -> JsonLinesBuilder {
        JsonLinesBuilder { records: DEFAULT_QUEUE, when_full: WhenFull::Drop }
    }

    /// Appends to a file, as [`JsonLinesBuilder::to_file`] does by default.
    ///
    /// # Errors
    /// When the file cannot be opened, or the thread cannot be started.
    pub fn to_file(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::builder().to_file(path)
    }

    /// Writes to anything, with a queue of [`DEFAULT_QUEUE`] records.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn to_writer(writer: impl Write + Send + 'static) -> io::Result<Self> {
        Self::builder().to_writer(writer)
    }

    /// Writes to anything, with a queue of `records`.
    ///
    /// # Errors
    /// As [`JsonLinesBuilder::to_writer`].
    pub fn to_writer_with_queue(writer: impl Write + Send + 'static, records: usize) -> io::Result<Self> {
        Self::builder().queue(records).to_writer(writer)
    }

    /// The log again, for as long as somebody else has it.
    #[cfg(feature = "metrics")]
    pub(crate) fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + use<> {
        let own = Arc::downgrade(&self.0);
        move || own.upgrade().map(Self)
    }

    /// Records lost so far, because the queue was full or the writer failed.
    pub fn dropped(&self) -> u64 {
        self.0.queue.lost()
    }

    /// Waits until everything accepted so far is written and flushed. Blocks on the disk: for
    /// shutdown and for tests, not for a request.
    ///
    /// # Errors
    /// When the writer fails, or has ended.
    pub fn flush(&self) -> io::Result<()> {
        let ended = || io::Error::other("the audit writer has ended");
        let written = self.0.queue.order_flush().ok_or_else(ended)?;
        self.0.wake();
        written.recv().map_err(|_| ended())?
    }
}

impl AuditSink for JsonLinesAudit {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        self.0.queue.push(|lines, line| lines.add(line, event), || self.0.wake())
    }

    fn record_draft(&self, draft: &Draft<'_>) -> Result<(), AuditError> {
        self.0.queue.push(|lines, line| lines.add_draft(line, draft), || self.0.wake())
    }

    fn ready(&self) -> Result<(), AuditError> {
        self.0.queue.ready()
    }

    fn is_required(&self) -> bool {
        self.0.queue.is_required()
    }
}

impl Handle {
    fn wake(&self) {
        if let Some(writer) = &self.writer {
            writer.thread().unpark();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
        self.wake();
        if let Some(writer) = self.writer.take() {
            // A panic of the writer was reported by the thread itself.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
