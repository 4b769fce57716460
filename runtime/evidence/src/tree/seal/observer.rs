//! Hashes the lines of the log on the writer's thread, and passes the hashes to the thread of the tree.

use std::{
    fs::File,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, SyncSender, TrySendError, channel},
    },
    thread,
    time::Duration,
};

use service_only::__satellite::{LogObserver, Stopwatch};
use tlog_tiles::{Hash, record_hash};

use super::Batch;
use crate::tree::{MAX_UNSEALED, RECORDS_PER_CHECKPOINT, resume::Resumed};

/// How often a checkpoint is signed while records arrive.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long a rotation waits for the checkpoint of the old file. The disk of the tree may be full.
const ROTATION_WAIT: Duration = Duration::from_secs(5);

/// How long the end of the program waits for the last checkpoint.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Hashes the lines of the file, on the writer's thread.
pub(in crate::tree) struct Observer {
    file: Option<Arc<File>>,
    is_first_file: bool,
    begun: Vec<u8>,
    leaves: Vec<Hash>,
    size: u64,
    file_start: u64,
    file_bytes: u64,
    /// The losses of earlier processes.
    lost_before: u64,
    lost: u64,
    lost_sealed: u64,
    foreign: u64,
    /// Whether the next checkpoint is kept in the history.
    keep: bool,
    last: Stopwatch,
    /// See [`INTERVAL`].
    interval: Duration,
    rotation_wait: Duration,
    /// See [`MAX_UNSEALED`].
    max_unsealed: usize,
    orders: Option<SyncSender<Batch>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Observer {
    /// The leaves of the resumed log are sealed already.
    pub(super) fn new(resumed: Resumed, orders: SyncSender<Batch>, thread: thread::JoinHandle<()>) -> Self {
        let size = resumed.size();
        Self {
            file: None,
            is_first_file: true,
            begun: resumed.begun,
            leaves: Vec::new(),
            size,
            file_start: resumed.current.start,
            file_bytes: resumed.current.bytes,
            lost_before: resumed.lost,
            lost: 0,
            lost_sealed: 0,
            foreign: resumed.foreign,
            keep: false,
            last: Stopwatch::start(),
            interval: INTERVAL,
            rotation_wait: ROTATION_WAIT,
            max_unsealed: MAX_UNSEALED,
            orders: Some(orders),
            thread: Some(thread),
        }
    }

    fn add(&mut self, leaf: Hash) {
        self.leaves.push(leaf);
        self.size += 1;
    }

    fn batch(&mut self, is_last: bool, done: Option<Sender<()>>) -> Batch {
        self.last = Stopwatch::start();
        self.lost_sealed = self.lost;
        Batch {
            leaves: std::mem::take(&mut self.leaves),
            file: self.file.clone(),
            file_start: self.file_start,
            file_bytes: self.file_bytes,
            lost: self.lost_before + self.lost,
            foreign: self.foreign,
            keep: std::mem::take(&mut self.keep),
            is_last,
            done,
        }
    }

    /// Sends the leaves to the thread of the tree. If that one is behind, they wait, up to a limit.
    fn send(&mut self) {
        let batch = self.batch(false, None);
        let Some(orders) = &self.orders else { return };
        if let Err(TrySendError::Full(batch)) = orders.try_send(batch) {
            self.keep |= batch.keep;
            let newer = std::mem::replace(&mut self.leaves, batch.leaves);
            self.leaves.extend(newer);
        }
    }

    /// The same, and waits for room.
    fn send_and_wait(&mut self, is_last: bool, done: Option<Sender<()>>) {
        let batch = self.batch(is_last, done);
        if let Some(orders) = &self.orders {
            // An error means that the thread has panicked, which it has reported.
            let _ = orders.send(batch);
        }
    }

    fn is_due(&self) -> bool {
        let has_news = !self.leaves.is_empty() || self.lost != self.lost_sealed || self.keep;
        self.leaves.len() >= RECORDS_PER_CHECKPOINT || has_news && self.last.elapsed() >= self.interval
    }
}

#[cfg(test)]
impl Observer {
    /// Signs a checkpoint now.
    pub(in crate::tree) fn seal(&mut self) {
        let (done, told) = channel();
        self.send_and_wait(false, Some(done));
        told.recv().unwrap_or_default();
    }

    /// Ends as a process that is killed: what was not sent is lost.
    pub(in crate::tree) fn kill(mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
    }
}

impl LogObserver for Observer {
    fn opened(&mut self, file: &File) {
        if !std::mem::take(&mut self.is_first_file) {
            if !self.begun.is_empty() {
                let line = std::mem::take(&mut self.begun);
                self.add(record_hash(&line));
            }
            // The last checkpoint of the old file. It waits, because rotation may delete an old file, and a file whose
            // lines are in no checkpoint would look like one that an attacker has removed.
            self.keep = true;
            let (done, told) = channel();
            self.send_and_wait(false, Some(done));
            if told.recv_timeout(self.rotation_wait).is_err() {
                tracing::error!(
                    target: "service_only::audit",
                    "the log was rotated before its lines were in the tree; do not delete the old file yet"
                );
            }
            self.file_start = self.size;
            self.file_bytes = 0;
            self.keep = true;
        }
        match file.try_clone() {
            Ok(file) => self.file = Some(Arc::new(file)),
            Err(error) => {
                tracing::error!(target: "service_only::audit", %error, "the audit log cannot be synced");
                self.file = None;
            }
        }
    }

    fn written(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, after) = rest.split_at(end);
            let leaf = if self.begun.is_empty() {
                self.file_bytes += line.len() as u64 + 1;
                record_hash(line)
            } else {
                self.begun.extend_from_slice(line);
                self.file_bytes += self.begun.len() as u64 + 1;
                let leaf = record_hash(&self.begun);
                self.begun.clear();
                leaf
            };
            self.add(leaf);
            rest = after.get(1..).unwrap_or_default();
        }
        self.begun.extend_from_slice(rest);
        if self.leaves.len() >= RECORDS_PER_CHECKPOINT {
            if self.leaves.len() >= self.max_unsealed {
                self.send_and_wait(false, None);
            } else {
                self.send();
            }
        }
    }

    fn tick(&mut self, lost: u64) {
        self.lost = lost;
        if self.is_due() {
            self.send();
        }
    }

    fn finish(&mut self, lost: u64) {
        self.lost = lost;
        self.keep = true;
        let (done, told) = channel();
        self.send_and_wait(true, Some(done));
        self.orders = None;
        match told.recv_timeout(LAST_WAIT) {
            Ok(()) => {
                if let Some(thread) = self.thread.take() {
                    let _ = thread.join();
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                tracing::error!(
                    target: "service_only::audit",
                    "the last checkpoint of the audit log was not written; the next start writes it"
                );
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{
        path::PathBuf,
        sync::mpsc::{Receiver, sync_channel},
    };

    use super::*;
    use crate::tree::{edge::Edge, resume::FileLines};

    /// An observer whose tree takes batches only when the test does.
    fn observer() -> (Observer, Receiver<Batch>) {
        let current = FileLines { path: PathBuf::new(), start: 0, bytes: 0, leaves: Vec::new() };
        let resumed = Resumed {
            edge: Edge::default(),
            rotated: Vec::new(),
            current,
            begun: Vec::new(),
            lost: 0,
            foreign: 0,
        };
        let (orders, taken) = sync_channel(4);
        (Observer::new(resumed, orders, thread::spawn(|| ())), taken)
    }

    fn lines(count: usize) -> Vec<u8> {
        b"{}\n".repeat(count)
    }

    #[test]
    fn log_waits_for_the_tree_from_the_limit_on() {
        let (mut observer, taken) = observer();
        assert_eq!(observer.max_unsealed, MAX_UNSEALED);
        observer.max_unsealed = 2 * RECORDS_PER_CHECKPOINT;
        // Four batches fill the queue of the tree, and the next lines wait in memory.
        (0..4).for_each(|_| observer.written(&lines(RECORDS_PER_CHECKPOINT)));
        observer.written(&lines(2 * RECORDS_PER_CHECKPOINT - 1));
        assert_eq!(observer.leaves.len(), 2 * RECORDS_PER_CHECKPOINT - 1);
        let writer = thread::spawn(move || {
            observer.written(&lines(1));
            observer
        });
        let batches: Vec<_> =
            (0..5).map(|_| taken.recv_timeout(Duration::from_secs(60)).unwrap().leaves.len()).collect();
        assert_eq!(batches, [10_000, 10_000, 10_000, 10_000, 20_000]);
        assert_eq!(writer.join().unwrap().leaves.len(), 0);
    }

    #[test]
    fn batch_is_sent_from_the_number_of_records_on() {
        let (mut observer, taken) = observer();
        observer.written(&lines(RECORDS_PER_CHECKPOINT - 1));
        assert!(taken.try_recv().is_err());
        observer.written(&lines(1));
        assert_eq!(taken.try_recv().unwrap().leaves.len(), RECORDS_PER_CHECKPOINT);
    }

    #[test]
    fn tick_seals_new_records_and_losses_from_the_interval_on() {
        let (mut observer, taken) = observer();
        assert_eq!(observer.interval, Duration::from_secs(1));
        observer.written(&lines(3));
        observer.interval = Duration::MAX;
        observer.tick(0);
        assert!(taken.try_recv().is_err(), "before the interval");
        observer.interval = Duration::ZERO;
        observer.tick(0);
        assert_eq!(taken.try_recv().unwrap().leaves.len(), 3);
        observer.tick(0);
        assert!(taken.try_recv().is_err(), "nothing is new");
        observer.tick(7);
        let sealed = taken.try_recv().unwrap();
        assert_eq!((sealed.leaves.len(), sealed.lost), (0, 7));
        observer.tick(7);
        assert!(taken.try_recv().is_err(), "nothing is new");
    }

    #[test]
    fn rotation_goes_on_if_the_tree_cannot_be_written() {
        let (mut observer, taken) = observer();
        observer.rotation_wait = Duration::ZERO;
        let file = tempfile::tempfile().unwrap();
        observer.opened(&file);
        observer.written(&lines(3));
        observer.opened(&file);
        observer.written(&lines(1));
        let sealed = taken.try_recv().unwrap();
        assert_eq!((sealed.leaves.len(), sealed.file_start, sealed.keep), (3, 0, true));
        assert_eq!((observer.file_start, observer.leaves.len()), (3, 1));
    }
}
