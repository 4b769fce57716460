//! Rotation by the sink: when a log file is renamed, to which name, and what happens to the old files.
//!
//! Between two writes, the writer renames the file and opens a new one. A separate thread (`tidy`) compresses and
//! deletes old files. It also finishes what an earlier run left incomplete.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::rotated::{instant_of, rotated_files, stamp_of};
use crate::clock::{Clock, SystemClock, Timestamp};

/// When a file is rotated, and which old ones are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rotation {
    pub(crate) size: Option<u64>,
    pub(crate) age: Option<Duration>,
    pub(crate) keep: Option<usize>,
    pub(crate) compress: bool,
}

impl Rotation {
    pub(crate) fn is_on(&self) -> bool {
        self.size.is_some() || self.age.is_some()
    }

    /// Describes a setting that makes no sense.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        match self {
            Self { size: Some(0), .. } => Some("a log file cannot be rotated at 0 bytes"),
            Self { age: Some(Duration::ZERO), .. } => Some("a log file cannot be rotated at an age of 0"),
            Self { keep: Some(0), .. } => {
                Some("`keep` must be at least 1; leave `keep` out to keep all files")
            }
            Self { keep, compress, .. } if !self.is_on() && (keep.is_some() || *compress) => {
                Some("rotated files are kept or compressed only with `rotate_at_size` or `rotate_at_age`")
            }
            _ => None,
        }
    }

    /// Whether a file of this length must be rotated before `more` bytes are added to it.
    pub(crate) fn is_due(&self, length: u64, since: Timestamp, more: usize) -> bool {
        let outgrown = self.size.is_some_and(|size| length.saturating_add(more as u64) > size);
        let outlived =
            self.age.is_some_and(|age| SystemClock.now().since(since).is_some_and(|own| own >= age));
        length > 0 && (outgrown || outlived)
    }
}

/// The result of a rotation.
pub(crate) enum Rotated {
    /// The path is free for a new file.
    Renamed(PathBuf),
    /// Another process is rotating the file, or has rotated it.
    ByAnother,
}

/// Renames the file of the path. `is_ours` returns whether the path still leads to `file`.
pub(crate) fn rename(path: &Path, file: &File, is_ours: impl Fn() -> bool) -> io::Result<Rotated> {
    // Only one of the processes that write to a file rotates it. The lock ends when the file is closed. If the file
    // system has no locks, only one process may write to a file.
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !is_ours() {
        return Ok(Rotated::ByAnother);
    }
    let renamed = rotated_name(path)?;
    fs::rename(path, &renamed)?;
    Ok(Rotated::Renamed(renamed))
}

/// Returns a name that sorts after those of all earlier files: `audit.jsonl.2026-01-01T00-00-00.000000Z`.
fn rotated_name(path: &Path) -> io::Result<PathBuf> {
    let mut at = SystemClock.now();
    let last = rotated_files(path)?.pop().map(|file| file.stamp);
    let mut stamp = stamp_of(at);
    // Either the clock was set back, or two rotations share a microsecond.
    if let Some(last) = last.filter(|last| *last >= stamp) {
        at = instant_of(&last).ok_or_else(|| io::Error::other(format!("no instant: {last}")))?;
        stamp = stamp_of(at.plus(Duration::from_micros(1)));
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(stamp);
    Ok(name.into())
}

#[cfg(test)]
mod tests;
