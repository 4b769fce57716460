//! Audit records as JSON lines, written by a thread of their own so that no request waits for a disk.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread::JoinHandle,
};

use super::{AuditError, AuditEvent, AuditSink};

/// Records that may wait for the writer: some seconds of a busy service, about 4 MiB.
pub const DEFAULT_QUEUE: usize = 8192;

/// The buffer is written when it has grown to this, or when no record is waiting.
const BUFFER: usize = 64 * 1024;

/// Writes each record as one line of JSON.
///
/// Records wait in a bounded queue for a writer thread, which writes as soon as none is waiting. A
/// full queue or a failing disk loses records: each is counted ([`JsonLinesAudit::dropped`]) and
/// logged, and until the disk takes one again the sink is not [ready](AuditSink::ready). Cloning
/// shares the writer; when the last clone is dropped, what was accepted is written and flushed.
#[derive(Clone)]
pub struct JsonLinesAudit(Arc<Handle>);

struct Handle {
    queue: Option<SyncSender<Message>>,
    losses: Arc<Losses>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer could not write.
#[derive(Default)]
struct Losses {
    records: AtomicU64,
    failing: AtomicBool,
}

enum Message {
    Record(Box<AuditEvent<'static>>),
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
        let losses = Arc::new(Losses::default());
        let shared = Arc::clone(&losses);
        let thread = std::thread::Builder::new()
            .name("service-only-audit".to_owned())
            .spawn(move || Writer::new(writer, shared).run(&messages))?;
        Ok(Self(Arc::new(Handle { queue: Some(queue), losses, writer: Mutex::new(Some(thread)) })))
    }

    /// Records lost so far, because the queue was full or the writer failed.
    pub fn dropped(&self) -> u64 {
        self.0.losses.records.load(Ordering::Relaxed)
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
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        let message = Message::Record(Box::new(event.clone().into_owned()));
        let sent = match &self.0.queue {
            Some(queue) => queue.try_send(message),
            None => Err(TrySendError::Disconnected(message)),
        };
        sent.map_err(|error| {
            self.0.losses.records.fetch_add(1, Ordering::Relaxed);
            AuditError::new(match error {
                TrySendError::Full(_) => "the audit queue is full",
                TrySendError::Disconnected(_) => "the audit writer has ended",
            })
        })
    }

    fn ready(&self) -> Result<(), AuditError> {
        if self.0.losses.failing.load(Ordering::Relaxed) {
            return Err(AuditError::new("the audit log cannot be written"));
        }
        Ok(())
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
    out: W,
    losses: Arc<Losses>,
    buffer: Vec<u8>,
    /// Records in the buffer.
    buffered: u64,
    /// The last write may have ended within a line.
    torn: bool,
}

impl<W: Write> Writer<W> {
    fn new(out: W, losses: Arc<Losses>) -> Self {
        Self { out, losses, buffer: Vec::with_capacity(BUFFER), buffered: 0, torn: false }
    }

    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            self.take(message);
            while let Ok(message) = messages.try_recv() {
                self.take(message);
            }
            // A failure is reported where it happens, and by `ready`.
            let _ = self.write();
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Record(event) => {
                self.add(&event);
                if self.buffer.len() >= BUFFER {
                    let _ = self.write();
                }
            }
            Message::Flush(done) => {
                // Nobody waiting any more is no error.
                let _ = done.send(self.write());
            }
        }
    }

    fn add(&mut self, event: &AuditEvent<'_>) {
        let start = self.buffer.len();
        match serde_json::to_writer(&mut self.buffer, event) {
            Ok(()) => {
                self.buffer.push(b'\n');
                self.buffered += 1;
            }
            Err(error) => {
                self.buffer.truncate(start);
                self.failed(1, &error.into());
            }
        }
    }

    /// Writes the buffer. What cannot be written is lost, and counted: kept, it would grow for as
    /// long as the disk is full.
    fn write(&mut self) -> io::Result<()> {
        let records = std::mem::take(&mut self.buffered);
        let line_end: &[u8] = if self.torn && records > 0 { b"\n" } else { b"" };
        let written = self.out.write_all(line_end).and_then(|()| self.out.write_all(&self.buffer));
        let written = written.and_then(|()| self.out.flush());
        self.buffer.clear();
        match &written {
            Ok(()) if records > 0 => {
                self.torn = false;
                self.losses.failing.store(false, Ordering::Relaxed);
            }
            Ok(()) => {}
            Err(error) => {
                self.torn = true;
                self.failed(records, error);
            }
        }
        written
    }

    /// Logged once per failure, not once per record.
    fn failed(&self, records: u64, error: &io::Error) {
        self.losses.records.fetch_add(records, Ordering::Relaxed);
        if !self.losses.failing.swap(true, Ordering::Relaxed) {
            tracing::error!(target: "service_only::audit", %error, records, "the audit log cannot be written");
        }
    }
}

#[cfg(test)]
mod tests;
