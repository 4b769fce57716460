//! The thread of the tree: writes the tiles, signs the checkpoints, and tries again if its disk fails.

use std::{fs::File, io, sync::mpsc::Receiver, thread, time::Duration};

use tlog_tiles::Tile;

use super::{Batch, OnCheckpoint};
use crate::tree::{checkpoint::Checkpoint, edge::Edge, folder::Folder, key::LogKey};

/// How long the tree waits after a failure of its disk.
const RETRY: Duration = Duration::from_secs(1);

/// The thread of the tree.
pub(super) struct Sealer {
    edge: Edge,
    folder: Folder,
    key: LogKey,
    on_checkpoint: Option<OnCheckpoint>,
    /// The incomplete tiles of the last two checkpoints, which later ones replace.
    partial: Vec<Vec<Tile>>,
    _lock: File,
}

impl Sealer {
    pub(super) fn new(
        edge: Edge,
        folder: Folder,
        key: LogKey,
        on_checkpoint: Option<OnCheckpoint>,
        lock: File,
    ) -> Self {
        Self { edge, folder, key, on_checkpoint, partial: Vec::new(), _lock: lock }
    }

    pub(super) fn run(mut self, orders: &Receiver<Batch>) {
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

    pub(super) fn take(&mut self, batch: &Batch) -> io::Result<()> {
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
