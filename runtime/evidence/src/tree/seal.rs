//! Writes the tree while the log is written.
//!
//! The writer of the log hashes each line after it is in the file (`observer`). A thread of the tree takes the hashes once a
//! second: it syncs the file, writes the tiles, and signs the checkpoint (`sealer`). So a checkpoint never has a line that
//! a power failure can still lose, and no request waits for the tree.

mod observer;
mod sealer;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Sender, sync_channel},
    },
    thread,
};

use service_only::{__satellite::observed, JsonLinesAudit, audit::JsonLinesBuilder};
use tlog_tiles::Hash;

pub(super) use self::observer::Observer;
use self::sealer::Sealer;
use super::{folder::Folder, key::LogKey, resume::Resumed};

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

    /// Calls a function with each signed checkpoint. Send the checkpoint to a place that an attacker of this machine
    /// cannot change: only a copy elsewhere reveals that the end of a log was cut off together with its tree. The
    /// function is called on the thread of the tree.
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
        let mut sealer = Sealer::new(resumed.edge.clone(), folder, self.key, self.on_checkpoint, lock);
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

/// The leaves of one checkpoint.
pub(super) struct Batch {
    pub(super) leaves: Vec<Hash>,
    pub(super) file: Option<Arc<File>>,
    pub(super) file_start: u64,
    pub(super) file_bytes: u64,
    pub(super) lost: u64,
    pub(super) foreign: u64,
    pub(super) keep: bool,
    /// Whether the program ends.
    pub(super) is_last: bool,
    /// Receives a message when the checkpoint is written.
    pub(super) done: Option<Sender<()>>,
}
