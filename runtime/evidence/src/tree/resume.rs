//! The state of a tree when a process starts: the last checkpoint, its tiles, and the lines that came after it.
//!
//! A process that was killed leaves lines that are not in the tree. They are added now. A log with fewer or other lines
//! than its checkpoint is an error: the checkpoint is never replaced by one of a smaller or different tree. A checkpoint
//! that is missing, or smaller than one of the history, was removed or set back: that is an error too.

use std::{
    io,
    path::{Path, PathBuf},
};

use tlog_tiles::{HASH_SIZE, Hash, Tile};

use super::{
    checkpoint::Checkpoint,
    edge::{Edge, HEIGHT, WIDTH},
    folder::Folder,
    key::LogKey,
    lines::{RawLines, files_of, is_compressed, line_before},
};

/// Where a log continues.
#[derive(Debug)]
pub(super) struct Resumed {
    /// The tree of the checkpoint.
    pub(super) edge: Edge,
    /// The lines that follow, of files that were rotated since.
    pub(super) rotated: Vec<FileLines>,
    /// The lines that follow, of the current file.
    pub(super) current: FileLines,
    /// The start of a line without an end.
    pub(super) begun: Vec<u8>,
    pub(super) lost: u64,
    pub(super) foreign: u64,
}

/// The lines of a file that are not in the tree yet.
#[derive(Debug, Clone)]
pub(super) struct FileLines {
    pub(super) path: PathBuf,
    /// The number of the file's first line.
    pub(super) start: u64,
    /// The bytes of the file up to the last line's end.
    pub(super) bytes: u64,
    pub(super) leaves: Vec<Hash>,
}

fn broken(log: &Path, text: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "the log `{}` does not continue its last checkpoint: {text}. Run `service-token audit verify`, and keep the \
             files as evidence. To start a new tree, move the log and its `.tree` away",
            log.display()
        ),
    )
}

impl Resumed {
    pub(super) fn read(log: &Path, folder: &Folder, key: &LogKey) -> io::Result<Self> {
        let checkpoint = match std::fs::read_to_string(folder.path("checkpoint")) {
            Ok(text) => {
                Some(Checkpoint::read(&text, key.public()).map_err(|error| broken(log, &error.to_string()))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        check_history(checkpoint.as_ref(), folder, key).map_err(|text| broken(log, &text))?;
        let Some(checkpoint) = checkpoint else {
            // The lines of a log that had no tree are its first leaves.
            return Self::follow(log, &files_of(log)?, None, Edge::default());
        };
        let files = files_of(log)?;
        let current = current_file(&files, &checkpoint, folder)
            .ok_or_else(|| broken(log, "no file has the lines of the checkpoint"))?;
        let rest = files.get(current..).unwrap_or_default();
        if let Some(path) = rest.first() {
            check_end(path, &checkpoint, folder).map_err(|text| broken(log, &text))?;
        }
        let edge = edge(&checkpoint, folder, rest.first()).ok_or_else(|| {
            broken(log, "the tiles are damaged, and the files have no longer all lines to repair them")
        })?;
        Self::follow(log, rest, Some(&checkpoint), edge)
    }

    /// Adds the lines after a checkpoint. The first file is that of the checkpoint.
    fn follow(
        log: &Path,
        files: &[PathBuf],
        checkpoint: Option<&Checkpoint>,
        edge: Edge,
    ) -> io::Result<Self> {
        let current = FileLines {
            path: files.first().map_or(log, PathBuf::as_path).to_owned(),
            start: checkpoint.map_or(0, |checkpoint| checkpoint.file_start),
            bytes: checkpoint.map_or(0, |checkpoint| checkpoint.file_bytes),
            leaves: Vec::new(),
        };
        let mut resumed = Self {
            rotated: Vec::new(),
            current,
            begun: Vec::new(),
            lost: checkpoint.map_or(0, |checkpoint| checkpoint.lost),
            foreign: checkpoint.map_or(0, |checkpoint| checkpoint.foreign),
            edge,
        };
        for (number, file) in files.iter().enumerate() {
            if number > 0 {
                resumed.begin_file(file);
            }
            let mut lines = match number {
                0 if resumed.current.bytes > 0 => RawLines::open_at(file, resumed.current.bytes)?,
                _ => RawLines::open(file)?,
            };
            while let Some(line) = lines.next()? {
                if line.is_ended {
                    resumed.current.bytes += line.bytes.len() as u64 + 1;
                    resumed.current.leaves.push(line.leaf());
                } else {
                    resumed.begun = line.bytes;
                }
            }
        }
        // The process ended between the two steps of a rotation, or the log was moved while none had it.
        if files.last().is_some_and(|last| last != log) {
            resumed.begin_file(log);
        }
        if checkpoint.is_some_and(|checkpoint| checkpoint.closed) {
            resumed.foreign += resumed.files().map(|file| file.leaves.len() as u64).sum::<u64>();
        }
        Ok(resumed)
    }

    /// A line that has no end when its file ends is a leaf too.
    fn begin_file(&mut self, path: &Path) {
        if !self.begun.is_empty() {
            self.current.leaves.push(tlog_tiles::record_hash(&std::mem::take(&mut self.begun)));
        }
        let next = FileLines { path: path.to_owned(), start: self.size(), bytes: 0, leaves: Vec::new() };
        self.rotated.push(std::mem::replace(&mut self.current, next));
    }

    /// The files with lines that are not in the tree yet, in their order.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileLines> {
        self.rotated.iter().chain([&self.current])
    }

    /// The number of lines, with those that are not in the tree yet.
    pub(super) fn size(&self) -> u64 {
        self.edge.size() + self.files().map(|file| file.leaves.len() as u64).sum::<u64>()
    }
}

/// Whether the last checkpoint is as large as each one of the history. A kill cannot make it smaller, also not at the first
/// start, because the history is written after the checkpoint.
fn check_history(last: Option<&Checkpoint>, folder: &Folder, key: &LogKey) -> Result<(), String> {
    for text in folder.history().map_err(|error| format!("its history cannot be read: {error}"))? {
        let kept = Checkpoint::read(&text, key.public())
            .map_err(|error| format!("a checkpoint of the history is not valid: {error}"))?;
        match last {
            Some(last) if kept.size <= last.size => {}
            Some(last) => {
                return Err(format!(
                    "the checkpoint has {} records, and one of the history has {}",
                    last.size, kept.size
                ));
            }
            None => {
                return Err(format!(
                    "the checkpoint is missing, and one of the history has {} records",
                    kept.size
                ));
            }
        }
    }
    Ok(())
}

/// The file that was the current one at a checkpoint. Its first line is the leaf with the number `file_start`. The number of
/// files, if that file was never written.
fn current_file(files: &[PathBuf], checkpoint: &Checkpoint, folder: &Folder) -> Option<usize> {
    let mut leaves = super::folder::Leaves::new(folder, checkpoint.size);
    let first_line = |path: &PathBuf| RawLines::open(path).ok()?.next().ok()?;
    if checkpoint.file_start < checkpoint.size {
        let wanted = leaves.get(checkpoint.file_start);
        let found = files.iter().rposition(|file| {
            first_line(file).is_some_and(|line| wanted.is_none_or(|wanted| wanted == line.leaf()))
        });
        return found;
    }
    // The file had no line yet. It follows the file that ends with the last leaf.
    let Some(last) = checkpoint.size.checked_sub(1).and_then(|last| leaves.get(last)) else {
        return (!files.is_empty()).then_some(0);
    };
    let before = files.iter().rposition(|file| {
        let mut end = None;
        if let Ok(mut lines) = RawLines::open(file) {
            while let Ok(Some(line)) = lines.next() {
                end = Some(line.leaf());
            }
        }
        end == Some(last)
    });
    match before {
        Some(before) => Some(before + 1),
        // The older files were deleted.
        None => (!files.is_empty()).then_some(0),
    }
}

/// Whether the file still has the bytes of the checkpoint, and the last line of the tree at their end.
fn check_end(path: &Path, checkpoint: &Checkpoint, folder: &Folder) -> Result<(), String> {
    let Checkpoint { size, file_start, file_bytes, .. } = *checkpoint;
    // A compressed file cannot be read from a byte; the root decides.
    if file_start == size || is_compressed(path) {
        return Ok(());
    }
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length < file_bytes {
        return Err(format!("`{}` has {length} bytes, and the checkpoint has {file_bytes}", path.display()));
    }
    let line = line_before(path, file_bytes).map_err(|error| error.to_string())?;
    let leaf = super::folder::Leaves::new(folder, size).get(size - 1);
    match (line, leaf) {
        (Some(line), Some(leaf)) if tlog_tiles::record_hash(&line) == leaf => Ok(()),
        // Without a tile, the tree is built again from the lines, and the root decides.
        (Some(_), None) => Ok(()),
        _ => Err(format!("line {} of `{}` was changed", size - file_start, path.display())),
    }
}

/// The edge of the checkpoint's tree, from its tiles, or from the lines if tiles are damaged.
fn edge(checkpoint: &Checkpoint, folder: &Folder, current: Option<&PathBuf>) -> Option<Edge> {
    let is_right = |edge: &Edge| edge.root().is_ok_and(|root| root == checkpoint.root);
    let from_tiles = Edge::of(checkpoint.size, |tile| folder.tile(tile)).filter(is_right);
    from_tiles.or_else(|| rebuild(checkpoint, folder, current?).filter(is_right))
}

/// Builds the tree again: from the tiles of the leaves where they are complete, else from the lines of the current file.
fn rebuild(checkpoint: &Checkpoint, folder: &Folder, current: &Path) -> Option<Edge> {
    let mut edge = Edge::default();
    let mut write = |tile: Tile, bytes: &[u8]| drop(folder.write_tile(tile, bytes));
    let mut lines = RawLines::open(current).ok()?;
    let mut next_line = checkpoint.file_start;
    while edge.size() < checkpoint.size {
        let number = edge.size() >> HEIGHT;
        let whole = Tile::new(HEIGHT, 0, number, 1 << HEIGHT, false);
        let is_whole = (number + 1) << HEIGHT <= checkpoint.size && edge.size().is_multiple_of(WIDTH as u64);
        let before = edge.size() < checkpoint.file_start;
        if is_whole && let Some(bytes) = folder.tile(whole) {
            for hash in bytes.chunks_exact(HASH_SIZE) {
                edge.push(Hash(hash.try_into().ok()?), &mut write);
            }
            continue;
        }
        if before {
            // The incomplete tile of a file that was rotated.
            let leaf = super::folder::Leaves::new(folder, checkpoint.size).get(edge.size())?;
            edge.push(leaf, &mut write);
            continue;
        }
        let line = lines.next().ok()??;
        if next_line >= edge.size() {
            edge.push(line.leaf(), &mut write);
        }
        next_line += 1;
    }
    Some(edge)
}
