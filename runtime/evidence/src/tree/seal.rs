//! Writes the tree while the log is written.
//!
//! The writer of the log hashes each line after it is in the file. A thread of the tree takes the hashes once a second: it
//! syncs the file, writes the tiles, and signs the checkpoint. So a checkpoint never has a line that a power failure can
//! still lose, and no request waits for the tree.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel},
    },
    thread,
    time::Duration,
};

use service_only::{
    __satellite::{LogObserver, Stopwatch, observed},
    JsonLinesAudit,
    audit::JsonLinesBuilder,
};
use tlog_tiles::{Hash, Tile, record_hash};

use super::{
    MAX_UNSEALED, RECORDS_PER_CHECKPOINT, checkpoint::Checkpoint, edge::Edge, folder::Folder, key::LogKey,
    resume::Resumed,
};

/// How often a checkpoint is signed while records arrive.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long the tree waits after a failure of its disk.
const RETRY: Duration = Duration::from_secs(1);

/// How long a rotation waits for the checkpoint of the old file. The disk of the tree may be full.
const ROTATION_WAIT: Duration = Duration::from_secs(5);

/// How long the end of the program waits for the last checkpoint.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Receives each signed checkpoint.
type OnCheckpoint = Box<dyn FnMut(&str) + Send>;

/// Opens an audit log with a tree.
///
/// ```no_run
/// use service_only::JsonLinesAudit;
/// use service_only_evidence::tree::{LogKey, Sealing};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = LogKey::from_file("/etc/bakery/audit.key")?;
/// let audit = Sealing::with_key(key).to_file(JsonLinesAudit::builder(), "/var/log/bakery/audit.jsonl")?;
/// # Ok(()) }
/// ```
#[must_use = "a sealing does nothing until it is given a file"]
pub struct Sealing {
    key: LogKey,
    folder: Option<PathBuf>,
    on_checkpoint: Option<OnCheckpoint>,
}

impl std::fmt::Debug for Sealing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealing")
            .field("key", &self.key)
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl Sealing {
    /// Signs checkpoints with this key.
    pub fn with_key(key: LogKey) -> Self {
        Self { key, folder: None, on_checkpoint: None }
    }

    /// Sets the folder of the tree. The default is beside the log: `LOG.tree`.
    pub fn folder(self, folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), ..self }
    }

    /// Passes each signed checkpoint on, to a place that an attacker of this machine cannot change. Only a copy elsewhere
    /// reveals that the end of a log was cut off together with its tree. It is called on the thread of the tree.
    ///
    /// Each checkpoint is also an event of `tracing` with the target `service_only::audit::checkpoint`.
    pub fn on_checkpoint(self, receive: impl FnMut(&str) + Send + 'static) -> Self {
        Self { on_checkpoint: Some(Box::new(receive)), ..self }
    }

    /// Opens the log. Lines that a process left without a checkpoint are added to the tree first.
    ///
    /// Only one process may write the log. Rotation by the sink or by logrotate works; `copytruncate` looks like an attack.
    ///
    /// # Errors
    /// As [`JsonLinesBuilder::to_file`]. Also when another process has the log, or when the log does not continue its last
    /// checkpoint.
    pub fn to_file(self, builder: JsonLinesBuilder, path: impl AsRef<Path>) -> io::Result<JsonLinesAudit> {
        let path = std::path::absolute(path)?;
        let observer = self.observer(&path)?;
        observed(builder, &path, Box::new(observer))
    }

    pub(super) fn observer(self, path: &Path) -> io::Result<Observer> {
        let folder = self.folder.map_or_else(|| Folder::beside(path), Folder);
        folder.create()?;
        let lock = folder.lock()?;
        let resumed = Resumed::read(path, &folder, &self.key)?;
        if resumed.foreign > 0 {
            tracing::error!(
                target: "service_only::audit", lines = resumed.foreign,
                "another program added lines to the audit log while no process had it"
            );
        }
        let public = self.key.public().to_string();
        folder.replace("key", format!("{public}\n").as_bytes(), true)?;
        let mut sealer = Sealer {
            edge: resumed.edge.clone(),
            folder,
            key: self.key,
            on_checkpoint: self.on_checkpoint,
            partial: Vec::new(),
            _lock: lock,
        };
        // Signed before the first line, so that no line follows a checkpoint that says that the program has ended. One for
        // each file: the history has the start of every file, so that old ones can be deleted.
        for file in resumed.files() {
            sealer.take(&Batch {
                leaves: file.leaves.clone(),
                file: File::open(&file.path).ok().map(Arc::new),
                file_start: file.start,
                file_bytes: file.bytes,
                lost: resumed.lost,
                foreign: resumed.foreign,
                keep: true,
                is_last: false,
                done: None,
            })?;
        }
        let (orders, taken) = sync_channel(4);
        let thread =
            thread::Builder::new().name("service-only-tree".to_owned()).spawn(move || sealer.run(&taken))?;
        Ok(Observer::new(resumed, orders, thread))
    }
}

/// Hashes the lines of the file, on the writer's thread.
pub(super) struct Observer {
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
    rotation_wait: Duration,
    /// See [`MAX_UNSEALED`].
    max_unsealed: usize,
    orders: Option<SyncSender<Batch>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The leaves of one checkpoint.
struct Batch {
    leaves: Vec<Hash>,
    file: Option<Arc<File>>,
    file_start: u64,
    file_bytes: u64,
    lost: u64,
    foreign: u64,
    keep: bool,
    /// Whether the program ends.
    is_last: bool,
    /// Receives a message when the checkpoint is written.
    done: Option<Sender<()>>,
}

impl Observer {
    /// The leaves of the resumed log are sealed already.
    fn new(resumed: Resumed, orders: SyncSender<Batch>, thread: thread::JoinHandle<()>) -> Self {
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
        self.leaves.len() >= RECORDS_PER_CHECKPOINT || has_news && self.last.elapsed() >= INTERVAL
    }
}

#[cfg(test)]
impl Observer {
    /// Signs a checkpoint now.
    pub(super) fn seal(&mut self) {
        let (done, told) = channel();
        self.send_and_wait(false, Some(done));
        told.recv().unwrap_or_default();
    }

    /// Ends as a process that is killed: what was not sent is lost.
    pub(super) fn kill(mut self) {
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

/// The thread of the tree.
struct Sealer {
    edge: Edge,
    folder: Folder,
    key: LogKey,
    on_checkpoint: Option<OnCheckpoint>,
    /// The incomplete tiles of the last two checkpoints, which later ones replace.
    partial: Vec<Vec<Tile>>,
    _lock: File,
}

impl Sealer {
    fn run(mut self, orders: &Receiver<Batch>) {
        while let Ok(batch) = orders.recv() {
            let complete = self.add(&batch);
            let mut fails = false;
            while let Err(error) = self.seal(&batch, &complete) {
                // Logged once, not each second.
                if !std::mem::replace(&mut fails, true) {
                    tracing::error!(target: "service_only::audit", %error, "the tree of the audit log cannot be written");
                }
                if batch.is_last {
                    return;
                }
                thread::sleep(RETRY);
            }
            if fails {
                tracing::error!(target: "service_only::audit", "the tree of the audit log can be written again");
            }
            if let Some(done) = &batch.done {
                let _ = done.send(());
            }
        }
    }

    fn take(&mut self, batch: &Batch) -> io::Result<()> {
        let complete = self.add(batch);
        self.seal(batch, &complete)
    }

    /// Adds the leaves. Returns the tiles that they complete.
    fn add(&mut self, batch: &Batch) -> Vec<(Tile, Vec<u8>)> {
        let mut complete = Vec::new();
        for leaf in &batch.leaves {
            self.edge.push(*leaf, |tile, bytes| complete.push((tile, bytes.to_vec())));
        }
        complete
    }

    /// Lines, then tiles, then the checkpoint.
    fn seal(&mut self, batch: &Batch, complete: &[(Tile, Vec<u8>)]) -> io::Result<()> {
        if let Some(file) = &batch.file {
            file.sync_data()?;
        }
        for (tile, bytes) in complete {
            self.folder.write_tile(*tile, bytes)?;
        }
        let mut partial = Vec::new();
        for (tile, bytes) in self.edge.partial_tiles() {
            self.folder.write_tile(tile, bytes)?;
            partial.push(tile);
        }
        let checkpoint = Checkpoint {
            origin: self.key.public().name().to_owned(),
            size: self.edge.size(),
            root: self.edge.root().map_err(io::Error::other)?,
            file_start: batch.file_start,
            file_bytes: batch.file_bytes,
            lost: batch.lost,
            foreign: batch.foreign,
            closed: batch.is_last,
        };
        let note = checkpoint.sign(&self.key).map_err(io::Error::other)?;
        self.folder.replace("checkpoint", note.as_bytes(), true)?;
        // After the checkpoint: a history that is newer than the checkpoint would look like a log that was set back.
        if batch.keep {
            let state = if checkpoint.closed { "closed" } else { "open" };
            let name = format!("history/{:020}-{:020}-{state}", checkpoint.size, checkpoint.file_start);
            self.folder.replace(&name, note.as_bytes(), true)?;
        }
        self.remove_old_tiles(partial);
        tracing::info!(target: "service_only::audit::checkpoint", note, "the audit log was sealed");
        if let Some(receive) = &mut self.on_checkpoint {
            receive(&note);
        }
        Ok(())
    }

    /// Readers of the last checkpoint still need its tiles, those of the one before need them no longer.
    fn remove_old_tiles(&mut self, new: Vec<Tile>) {
        if self.partial.last() != Some(&new) {
            self.partial.push(new);
        }
        while self.partial.len() > 2 {
            let old = self.partial.remove(0);
            for tile in old {
                if !self.partial.iter().flatten().any(|kept| *kept == tile) {
                    self.folder.remove_tile(tile);
                }
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::tree::resume::FileLines;

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
