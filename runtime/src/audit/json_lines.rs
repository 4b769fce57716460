//! Audit records as JSON lines, written by a thread of their own so that no request waits for a disk.

use std::{
    fs::OpenOptions,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{AuditError, AuditEvent, AuditSink};

/// Records that may wait for the writer: some seconds of a busy service, about 4 MiB.
pub const DEFAULT_QUEUE: usize = 8192;

/// How long a record may stay in the buffer when no other follows it.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Writes each record as one line of JSON.
///
/// Records wait in a bounded queue for a writer thread. A full queue or a failing disk loses the
/// record: it is counted ([`JsonLinesAudit::dropped`]), the caller of the sink is told, and the
/// verifier logs it. Cloning shares the writer; when the last clone is dropped, what was accepted
/// is written and flushed.
#[derive(Clone)]
pub struct JsonLinesAudit(Arc<Handle>);

struct Handle {
    queue: Option<SyncSender<Message>>,
    dropped: Arc<AtomicU64>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Record(Box<AuditEvent>),
    Flush(SyncSender<io::Result<()>>),
}

impl JsonLinesAudit {
    /// Appends to a file, which is created readable by its owner only: an audit log names callers
    /// and paths.
    ///
    /// # Errors
    /// When the file cannot be opened, or the thread cannot be started.
    pub fn to_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Self::to_writer(options.open(path)?)
    }

    /// Writes to anything, with a queue of [`DEFAULT_QUEUE`] records.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn to_writer(writer: impl Write + Send + 'static) -> io::Result<Self> {
        Self::to_writer_with_queue(writer, DEFAULT_QUEUE)
    }

    /// Writes to anything, with a queue of `records`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn to_writer_with_queue(writer: impl Write + Send + 'static, records: usize) -> io::Result<Self> {
        let (queue, messages) = mpsc::sync_channel(records);
        let dropped = Arc::new(AtomicU64::new(0));
        let lost = Arc::clone(&dropped);
        let thread = std::thread::Builder::new()
            .name("service-only-audit".to_owned())
            .spawn(move || Writer { out: BufWriter::new(writer), lost, failed: false }.run(&messages))?;
        Ok(Self(Arc::new(Handle { queue: Some(queue), dropped, writer: Mutex::new(Some(thread)) })))
    }

    /// Records lost so far, because the queue was full or the writer failed.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything accepted so far is written and flushed. Blocks on the disk: for
    /// shutdown and for tests, not for a request.
    ///
    /// # Errors
    /// When the writer fails, or has ended.
    pub fn flush(&self) -> io::Result<()> {
        let ended = || io::Error::other("the audit writer has ended");
        let (done, wait) = mpsc::sync_channel(1);
        let queue = self.0.queue.as_ref().ok_or_else(ended)?;
        queue.send(Message::Flush(done)).map_err(|_| ended())?;
        wait.recv().map_err(|_| ended())?
    }
}

impl AuditSink for JsonLinesAudit {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        let message = Message::Record(Box::new(event.clone()));
        let sent = match &self.0.queue {
            Some(queue) => queue.try_send(message),
            None => Err(TrySendError::Disconnected(message)),
        };
        sent.map_err(|error| {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            AuditError::new(match error {
                TrySendError::Full(_) => "the audit queue is full",
                TrySendError::Disconnected(_) => "the audit writer has ended",
            })
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Closing the queue makes the writer finish what it holds.
        self.queue = None;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = writer {
            // A panic of the writer was reported by the thread itself.
            let _ = thread.join();
        }
    }
}

struct Writer<W: Write> {
    out: BufWriter<W>,
    lost: Arc<AtomicU64>,
    failed: bool,
}

impl<W: Write> Writer<W> {
    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            match messages.recv_timeout(FLUSH_INTERVAL) {
                Ok(Message::Record(event)) => self.write(&event),
                Ok(Message::Flush(done)) => {
                    // Nobody waiting any more is no error.
                    let _ = done.send(self.out.flush());
                }
                Err(RecvTimeoutError::Timeout) => self.flush(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.flush();
    }

    fn write(&mut self, event: &AuditEvent) {
        let line = serde_json::to_vec(event).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            self.out.write_all(&line)
        });
        if let Err(error) = line {
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.report(&error);
        } else {
            self.failed = false;
        }
    }

    fn flush(&mut self) {
        if let Err(error) = self.out.flush() {
            self.report(&error);
        }
    }

    /// Once per failure, not once per record.
    fn report(&mut self, error: &io::Error) {
        if !self.failed {
            tracing::error!(target: "service_only::audit", %error, "the audit log cannot be written");
            self.failed = true;
        }
    }
}

#[cfg(test)]
mod tests;
