//! Compares the lines of a log with its tree, and names the first bad record and the kind of change.
//!
//! The order is that of trust: signed checkpoints first, then the tiles, which must have their roots (`tiles`), then the
//! lines, which must be those of the tiles (`lines`). `change` is the answer.

mod change;
mod lines;
mod tiles;

use std::path::{Path, PathBuf};

use serde::Serialize;
use tlog_tiles::{Hash, record_hash};

pub(super) use self::change::Stop;
pub use self::change::{Change, Tampering};
use self::{change::tampered, lines::Compared};
use super::{
    checkpoint::{Checkpoint, CheckpointError},
    folder::Folder,
    key::LogPublicKey,
    lines::files_of,
};

/// How often a log is read that is rotated meanwhile.
const MAX_ATTEMPTS: usize = 5;

/// The settings of [`verify`].
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct VerifyOptions {
    /// The public key of the log. Without it, the key in the tree's folder is used, which an attacker of the log can
    /// replace.
    pub key: Option<LogPublicKey>,
    /// Checkpoints that were kept elsewhere. The log must still contain all lines that they cover.
    pub since: Vec<String>,
    /// The folder of the tree. The default is beside the log.
    pub folder: Option<PathBuf>,
    /// Whether the files must begin with the first record. Otherwise, deleted old files are only reported.
    pub complete: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "these are the three answers")]
pub enum Verdict {
    /// Every line is the one that was written.
    Intact(Intact),
    /// The log, its tree or its checkpoints were changed.
    Tampered(Tampering),
    /// A file that is needed cannot be read, or the files are not enough for a verdict.
    Undecided(String),
}

/// What an intact log contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Intact {
    /// The name of the log.
    pub origin: String,
    /// The number of lines in the tree.
    pub size: u64,
    /// The root of the tree, in base64.
    pub root: String,
    /// How many lines were compared.
    pub compared: u64,
    /// The number of the first compared line. If it is not 0, older files were deleted.
    pub from: u64,
    /// How many lines were added after the last checkpoint. They are not covered.
    pub unsealed: u64,
    /// How many records were lost, because the queue or the disk was full.
    pub lost: u64,
    /// Whether the program ended after the last checkpoint.
    pub closed: bool,
    /// How many checkpoints were compared, including those of the history.
    pub checkpoints: usize,
}

/// Verifies a log with all its rotated files. A process may write it meanwhile.
pub fn verify(log: &Path, options: &VerifyOptions) -> Verdict {
    settled(|| files_of(log), |files| verified(log, files, options))
}

/// Repeats an attempt that has failed while the log was rotated: it has read another file than the list had.
pub(super) fn settled(
    mut list: impl FnMut() -> std::io::Result<Vec<PathBuf>>,
    mut attempt: impl FnMut(&[PathBuf]) -> Result<Intact, Stop>,
) -> Verdict {
    let verdict = |stop| match stop {
        Stop::Tampered(tampering) => Verdict::Tampered(tampering),
        Stop::Undecided(text) => Verdict::Undecided(text),
    };
    let mut files = match list() {
        Ok(files) => files,
        Err(error) => return verdict(error.into()),
    };
    for _ in 0..MAX_ATTEMPTS {
        let stop = match attempt(&files) {
            Ok(intact) => return Verdict::Intact(intact),
            Err(stop) => stop,
        };
        match list() {
            Ok(now) if now == files => return verdict(stop),
            Ok(now) => files = now,
            Err(error) => return verdict(error.into()),
        }
    }
    Verdict::Undecided(format!("the log was rotated during each of {MAX_ATTEMPTS} attempts to read it"))
}

pub(super) fn verified(log: &Path, files: &[PathBuf], options: &VerifyOptions) -> Result<Intact, Stop> {
    let folder = options.folder.clone().map_or_else(|| Folder::beside(log), Folder);
    let key = key(&folder, options)?;
    // Before the checkpoint, which is the newer one while a process writes the log.
    let history = folder.history()?;
    let text = std::fs::read_to_string(folder.path("checkpoint")).map_err(|error| {
        Stop::Undecided(format!("`{}` cannot be read: {error}", folder.path("checkpoint").display()))
    })?;
    let checkpoint = read_checkpoint(&text, &key, "the checkpoint")?;
    let earlier = earlier_checkpoints(&history, &key, options, &checkpoint)?;

    let signed = Signed { folder: &folder, last: &checkpoint, earlier: &earlier };
    let placed = tiles::compare(&signed, files)?;
    let Compared { compared, from, rest } = lines::compare(&signed, &placed, options.complete)?;
    if checkpoint.foreign > 0 {
        let text = format!(
            "{} lines were added by another program while no process had the log; `history` shows between which records",
            checkpoint.foreign
        );
        return tampered(Change::Added, None, text);
    }
    let unsealed = rest.unsealed(&signed)?;
    Ok(Intact {
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        root: checkpoint.root(),
        compared,
        from,
        unsealed,
        lost: checkpoint.lost,
        closed: checkpoint.closed,
        checkpoints: earlier.len() + 1,
    })
}

fn key(folder: &Folder, options: &VerifyOptions) -> Result<LogPublicKey, Stop> {
    if let Some(key) = &options.key {
        return Ok(key.clone());
    }
    let text = std::fs::read_to_string(folder.path("key"))
        .map_err(|error| Stop::Undecided(format!("the tree `{}` has no key: {error}", folder.0.display())))?;
    LogPublicKey::from_text(&text).map_err(|error| Stop::Undecided(format!("the key of the tree: {error}")))
}

fn read_checkpoint(text: &str, key: &LogPublicKey, which: &str) -> Result<Checkpoint, Stop> {
    match Checkpoint::read(text, key) {
        Ok(checkpoint) if checkpoint.origin == key.name() => Ok(checkpoint),
        Ok(checkpoint) => {
            let text =
                format!("{which} is that of the log `{}`, expected `{}`", checkpoint.origin, key.name());
            tampered(Change::OtherLog, None, text)
        }
        Err(CheckpointError::BadSignature) => tampered(
            Change::CheckpointForged,
            None,
            format!("the signature of {which} is not valid: it was changed"),
        ),
        Err(CheckpointError::Malformed(error)) => {
            tampered(Change::CheckpointForged, None, format!("{which} is damaged: {error}"))
        }
        Err(CheckpointError::OtherKey(error)) => Err(Stop::Undecided(format!("{which}: {error}"))),
    }
}

/// The checkpoints of the history and of the caller, by size. Each is signed, and none may be newer than the last one.
fn earlier_checkpoints(
    history: &[String],
    key: &LogPublicKey,
    options: &VerifyOptions,
    last: &Checkpoint,
) -> Result<Vec<Checkpoint>, Stop> {
    let mut earlier = Vec::new();
    let history = history.iter().map(|text| (text, "a checkpoint of the history"));
    for (text, which) in options.since.iter().map(|text| (text, "the given checkpoint")).chain(history) {
        let checkpoint = read_checkpoint(text, key, which)?;
        if checkpoint.size > last.size {
            let text = format!(
                "{which} has {} records, and the last one only {}: the log was set back",
                checkpoint.size, last.size
            );
            return tampered(Change::RolledBack, Some(last.size), text);
        }
        if checkpoint.lost > last.lost || checkpoint.foreign > last.foreign {
            return tampered(
                Change::RolledBack,
                None,
                format!("{which} counts more losses than the last one"),
            );
        }
        earlier.push(checkpoint);
    }
    earlier.sort_by_key(|checkpoint| checkpoint.size);
    Ok(earlier)
}

/// What a valid signature covers, and where the tiles are.
struct Signed<'a> {
    folder: &'a Folder,
    last: &'a Checkpoint,
    /// Checkpoints that are not larger than the last, by size.
    earlier: &'a [Checkpoint],
}

/// The leaf of a line, for tests and proofs.
pub(super) fn leaf(line: &[u8]) -> Hash {
    record_hash(line)
}
