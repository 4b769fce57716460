//! Audit records as JSON lines. A separate thread writes them, so that no request waits for a disk.
//!
//! A request formats its line (`line`) into memory of its thread (`slot`). The line waits there and takes one of
//! the places of the bounded queue (`queue`). The thread (`writer`) writes the queued lines to a file (`file`) or
//! to any other writer (`output`). A single record wakes no thread, unless the request waits until its record is
//! written (`commit`). When the program exits, the lines that are still in memory are written (`exit`).

mod commit;
mod exit;
mod file;
mod line;
mod observe;
mod output;
mod queue;
mod rotate;
mod rotated;
mod slot;
mod tidy;
mod trouble;
mod writer;

use std::{
    fmt,
    io::{self, Write},
    path::Path,
    sync::{Arc, mpsc::RecvTimeoutError},
    thread::JoinHandle,
    time::Duration,
};

pub use self::observe::LogObserver;
use self::{
    file::{FileSettings, LogFile},
    output::{Output, Plain},
    queue::Queue,
    rotate::Rotation,
    writer::Writer,
};
use super::{AuditError, AuditEvent, AuditSink, Decision};
use crate::handle::{self, WeakHandle};

/// What happens to a record when the queue is full, because records arrive faster than the disk takes them.
///
/// Each lost record is counted ([`JsonLinesAudit::dropped`]). An error is logged when losses begin. Their
/// number is logged after a second without a loss.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// The record is lost, and no request waits. A verifier that [requires the
    /// audit](crate::verifier::VerifierBuilder::require_audit) refuses the caller; any other verifier admits it.
    #[default]
    Drop,
    /// Blocks the request's thread until there is room, but no longer than this; then the record is
    /// lost. On an async runtime a blocked thread delays every request that it serves.
    Wait(Duration),
    /// Refuses callers (503) while at least seven eighths of the queue are full, even if the
    /// verifier is not configured to require the audit. The last eighth is for the records of these refusals.
    Deny,
}

/// Writes each record as one line of JSON.
///
/// Records wait in a bounded queue for a writer thread, which writes some milliseconds later;
/// [`WhenFull`] decides what happens when the queue is full. With
/// [`write_before_handler`](JsonLinesBuilder::write_before_handler) each request waits until its record is
/// written. The module [`audit`](crate::audit) lists what each mode guarantees.
///
/// While records cannot be written, the sink is not [ready](AuditSink::ready). It recovers automatically:
///
/// - On Unix, a file that was renamed, deleted or replaced (log rotation) is opened again by its path, within
///   a second even if no record arrives. Until this succeeds, records stay in the queue.
/// - If the disk is full, the record is lost and counted.
/// - A FIFO without a reader is an error at the start. A reader that takes no data for a second makes the sink
///   not ready.
///
/// Clones share the writer. When the last clone is dropped, or the program exits with a sink in a
/// `static`, the accepted records are written, for at most the
/// [flush timeout](JsonLinesBuilder::flush_timeout).
///
/// ```no_run
/// use service_only::{JsonLinesAudit, audit::WhenFull};
///
/// # fn main() -> std::io::Result<()> {
/// let audit = JsonLinesAudit::builder().when_full(WhenFull::Deny).to_file("/var/log/bakery/audit.jsonl")?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct JsonLinesAudit(Arc<Handle>);

impl fmt::Debug for JsonLinesAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLinesAudit")
            .field("dropped", &self.dropped())
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}

struct Handle {
    queue: Arc<Queue>,
    writer: Option<JoinHandle<()>>,
    flush_timeout: Duration,
}

/// The settings of a [`JsonLinesAudit`]. Each has a default.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is given a file or a writer"]
pub struct JsonLinesBuilder {
    records: usize,
    when_full: WhenFull,
    file: FileSettings,
    write_before_handler: bool,
    write_timeout: Duration,
    flush_timeout: Duration,
}

impl JsonLinesBuilder {
    /// Sets how many records may wait for the writer, including those that it is writing. Memory is allocated only
    /// for records that wait, in pages of 64 KiB. The default is [`JsonLinesAudit::DEFAULT_QUEUE`]; the maximum is [`JsonLinesAudit::MAX_QUEUE`].
    pub fn queue(self, records: usize) -> Self {
        Self { records, ..self }
    }

    /// Sets what happens to a record when the queue is full. The default is [`WhenFull::Drop`]: an audit log
    /// that falls behind must not stop the service unless you choose so.
    pub fn when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }

    /// Writes each record before the handler runs and before a refusal is sent. A process that is
    /// killed then loses no record of a request that it answered. Every caller whose record cannot be written is
    /// refused (503), even if the verifier does not [require the
    /// audit](crate::verifier::VerifierBuilder::require_audit).
    ///
    /// Requests that arrive while the disk is busy share the next write (group commit). A request waits for at
    /// most the [`write_timeout`](Self::write_timeout), and blocks its thread while it waits. On an async
    /// runtime, the other requests of that thread wait too.
    ///
    /// A record is written when the operating system has it. To keep it after a failure of the machine,
    /// add [`sync`](Self::sync).
    pub fn write_before_handler(self) -> Self {
        Self { write_before_handler: true, ..self }
    }

    /// Syncs the file after each write (`fdatasync`), so that records survive a power failure. It needs a file.
    pub fn sync(self) -> Self {
        Self { file: FileSettings { sync: true, ..self.file }, ..self }
    }

    /// Sets how long a request waits for its record with [`write_before_handler`](Self::write_before_handler), before
    /// the caller is refused. The default is [`JsonLinesAudit::DEFAULT_WRITE_TIMEOUT`].
    ///
    /// After a timeout, callers are refused immediately until the disk has taken a record.
    pub fn write_timeout(self, limit: Duration) -> Self {
        Self { write_timeout: limit, ..self }
    }

    /// Sets how long [`flush`](JsonLinesAudit::flush), the drop of the last clone and the exit of the program wait
    /// for the disk. The default is [`JsonLinesAudit::DEFAULT_FLUSH_TIMEOUT`]. Records that are not written by then are lost, and
    /// logged.
    pub fn flush_timeout(self, limit: Duration) -> Self {
        Self { flush_timeout: limit, ..self }
    }

    /// Sets the permissions of a file that is created, on Unix. The default is `0o600`, because an audit log names
    /// callers and paths. The umask of the process applies. An existing file keeps its permissions.
    pub fn mode(self, mode: u32) -> Self {
        Self { file: FileSettings { mode, ..self.file }, ..self }
    }

    /// Starts a new file before the log exceeds this many bytes. By default a file grows without limit, unless
    /// another program rotates it.
    ///
    /// The old file gets a suffix with the time, `audit.jsonl.2026-01-01T00-00-00.000000Z`, so that names sort by
    /// age. No record is split over two files. Records that are written together are not split either, so a
    /// file can be larger than the limit. Several processes may write to one log and rotate it.
    pub fn rotate_at_size(self, bytes: u64) -> Self {
        self.rotation(|rotation| rotation.size = Some(bytes))
    }

    /// Starts a new file when the log reaches this age, as [`rotate_at_size`](Self::rotate_at_size) does. The age
    /// counts from the creation of the file and continues over restarts.
    pub fn rotate_at_age(self, age: Duration) -> Self {
        self.rotation(|rotation| rotation.age = Some(age))
    }

    /// Deletes the oldest rotated files when there are more than this number. By default all are kept.
    pub fn keep(self, files: usize) -> Self {
        self.rotation(|rotation| rotation.keep = Some(files))
    }

    /// Compresses rotated files with gzip, in the background; their names end in `.gz`.
    #[cfg(feature = "compress")]
    pub fn compress(self) -> Self {
        self.rotation(|rotation| rotation.compress = true)
    }

    fn rotation(mut self, set: impl FnOnce(&mut Rotation)) -> Self {
        set(&mut self.file.rotation);
        self
    }

    /// Appends to a file. If it does not exist, it is created and readable only by its owner.
    ///
    /// A FIFO, a terminal or a device such as `/dev/stdout` is opened without waiting for its other end.
    ///
    /// # Errors
    /// When the file cannot be opened, for example a FIFO that no process reads. Also as
    /// [`JsonLinesBuilder::to_writer`].
    pub fn to_file(self, path: impl AsRef<Path>) -> io::Result<JsonLinesAudit> {
        if let Some(mistake) = self.file.rotation.mistake() {
            return Err(invalid(mistake.to_owned()));
        }
        let file = LogFile::open(path.as_ref(), self.file.clone())?;
        self.start(file)
    }

    /// As [`to_file`](Self::to_file), and shows an observer what is in the file.
    pub(crate) fn open_observed(
        self,
        path: &Path,
        observer: Box<dyn LogObserver>,
    ) -> io::Result<JsonLinesAudit> {
        if let Some(mistake) = self.file.rotation.mistake() {
            return Err(invalid(mistake.to_owned()));
        }
        let file = LogFile::open(path, self.file.clone())?.observed_by(observer)?;
        self.start(file)
    }

    /// Writes to any writer. The writer determines how long a write takes, because it cannot be interrupted.
    ///
    /// # Errors
    /// When the queue has room for no record or for more than [`JsonLinesAudit::MAX_QUEUE`], a limit is zero, or the thread cannot be
    /// started. Also when a setting needs a file: [`sync`](Self::sync), [rotation](Self::rotate_at_size).
    pub fn to_writer(self, writer: impl Write + Send + 'static) -> io::Result<JsonLinesAudit> {
        if self.file.sync || self.file.rotation.is_on() {
            return Err(invalid("only a file can be synced or rotated; use `to_file`".to_owned()));
        }
        self.start(Plain::new(writer))
    }

    fn start(self, output: impl Output + Send + 'static) -> io::Result<JsonLinesAudit> {
        if !(1..=JsonLinesAudit::MAX_QUEUE).contains(&self.records) {
            return Err(invalid(format!(
                "an audit queue holds 1 to {} records, not {}",
                JsonLinesAudit::MAX_QUEUE,
                self.records
            )));
        }
        if self.write_timeout.is_zero() {
            return Err(invalid("a write timeout of 0 would refuse every caller".to_owned()));
        }
        let commit_wait = self.write_before_handler.then_some(self.write_timeout);
        let queue = Arc::new(Queue::new(self.records, self.when_full, commit_wait));
        let shared = Arc::clone(&queue);
        let writer = std::thread::Builder::new()
            .name("service-only-audit".to_owned())
            .spawn(move || Writer::new(output, shared).run())?;
        let handle = Arc::new(Handle { queue, writer: Some(writer), flush_timeout: self.flush_timeout });
        exit::close_at_exit(&handle);
        Ok(JsonLinesAudit(handle))
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

impl JsonLinesAudit {
    /// The default number of records that may wait for the writer, including those that it is writing. With lines of
    /// the usual length, about 400 bytes, they take 3 MiB. The longest line that an unauthenticated caller can cause
    /// has 3.2 KB, because each of its characters is escaped. A queue of such lines takes 26 MB at most. Each thread
    /// that records also holds a page of 64 KiB.
    pub const DEFAULT_QUEUE: usize = 8192;

    /// The maximum length of a queue. It takes 400 MiB with lines of the usual length, and 3.4 GB with the longest lines
    /// that an unauthenticated caller can cause.
    pub const MAX_QUEUE: usize = 1 << 20;

    /// The default of how long a request waits for its record if records are [written before the
    /// handler](JsonLinesBuilder::write_before_handler).
    pub const DEFAULT_WRITE_TIMEOUT: Duration = Duration::from_secs(1);

    /// The default time for which [`JsonLinesAudit::flush`], the last drop and the exit of the program wait for the
    /// disk. It is shorter than the 30 s that Kubernetes waits before it kills a pod.
    pub const DEFAULT_FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

    /// Creates a builder with the default settings.
    pub fn builder() -> JsonLinesBuilder {
        JsonLinesBuilder {
            records: JsonLinesAudit::DEFAULT_QUEUE,
            when_full: WhenFull::Drop,
            file: FileSettings { mode: 0o600, sync: false, rotation: Rotation::default() },
            write_before_handler: false,
            write_timeout: JsonLinesAudit::DEFAULT_WRITE_TIMEOUT,
            flush_timeout: JsonLinesAudit::DEFAULT_FLUSH_TIMEOUT,
        }
    }

    /// Appends to a file, as [`JsonLinesBuilder::to_file`] does by default.
    ///
    /// # Errors
    /// When the file cannot be opened, or the thread cannot be started.
    pub fn to_file(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::builder().to_file(path)
    }

    /// Writes to any writer, with a queue of [`JsonLinesAudit::DEFAULT_QUEUE`] records.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn to_writer(writer: impl Write + Send + 'static) -> io::Result<Self> {
        Self::builder().to_writer(writer)
    }

    /// Writes to any writer, with a queue of `records`.
    ///
    /// # Errors
    /// As [`JsonLinesBuilder::to_writer`].
    pub fn to_writer_with_queue(writer: impl Write + Send + 'static, records: usize) -> io::Result<Self> {
        Self::builder().queue(records).to_writer(writer)
    }

    /// The number of records lost so far, because the queue was full or the writer failed.
    pub fn dropped(&self) -> u64 {
        self.0.queue.lost()
    }

    /// Why records cannot be written at the moment, for a health check; `None` while they can.
    pub fn failure(&self) -> Option<String> {
        self.0.queue.trouble()
    }

    /// Waits until every record that was accepted so far is written and flushed, for at most the
    /// [flush timeout](JsonLinesBuilder::flush_timeout). It blocks on the disk: call it at shutdown and in tests,
    /// not in a request.
    ///
    /// # Errors
    /// When records are being lost, the writer has ended, or it does not finish in time.
    pub fn flush(&self) -> io::Result<()> {
        let ended = || io::Error::other("the audit writer has ended");
        let written = self.0.queue.order_flush().ok_or_else(ended)?;
        self.0.wake();
        match written.recv_timeout(self.0.flush_timeout) {
            Ok(written) => written,
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
            Err(RecvTimeoutError::Timeout) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, self.0.unfinished()))
            }
        }
    }
}

impl WeakHandle for JsonLinesAudit {
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static {
        handle::weak(&self.0, Self)
    }
}

impl AuditSink for JsonLinesAudit {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        let admits = event.decision() == Decision::Allow;
        self.0.queue.push(admits, |lines, line| lines.add(line, event), || self.0.wake())
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

/// How long the writer needs to notice that its time is over.
const GRACE: Duration = Duration::from_millis(100);

impl Handle {
    /// Writes the accepted records, and accepts no more.
    fn close(&self) {
        self.queue.close(self.flush_timeout);
        self.wake();
        // The writer ends at the limit, unless it is blocked in a write.
        if !self.queue.await_end(self.flush_timeout.saturating_add(GRACE)) {
            let reason = self.unfinished();
            tracing::error!(target: "service_only::audit", reason, "audit records were lost at the end");
        }
    }

    fn unfinished(&self) -> String {
        let (waiting, limit) = (self.queue.waiting(), self.flush_timeout);
        format!("the audit log did not write all records within {limit:?}: {waiting} are not written")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
        if let Some(writer) = self.writer.take_if(|_| self.queue.has_ended()) {
            // A panic of the writer was reported by the thread itself.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
