//! What a verification finds: the kind of change, and the first bad record.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// How the log was changed.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A line has other bytes.
    Changed,
    /// Lines are missing.
    Removed,
    /// A line was added.
    Added,
    /// Lines are in another order.
    Moved,
    /// The end is missing.
    Truncated,
    /// Lines and tiles agree with each other, but not with the signed checkpoint.
    Rewritten,
    /// Tiles were changed or removed. The lines are intact.
    TilesChanged,
    /// The checkpoint is older than one that was signed.
    RolledBack,
    /// The checkpoint was changed after it was signed.
    CheckpointForged,
    /// The checkpoint is that of another log.
    OtherLog,
}

impl Change {
    /// The change as reports print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Moved => "moved",
            Self::Truncated => "truncated",
            Self::Rewritten => "rewritten",
            Self::TilesChanged => "tiles_changed",
            Self::RolledBack => "rolled_back",
            Self::CheckpointForged => "checkpoint_forged",
            Self::OtherLog => "other_log",
        }
    }
}

/// The first bad record, and the kind of change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tampering {
    /// The kind of change.
    pub change: Change,
    /// The number of the first bad record in the tree, from 0, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// The file of the first bad record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The line of the first bad record, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The change in words.
    pub text: String,
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some(line)) = (&self.file, self.line) {
            write!(f, "{}:{line}: ", file.display())?;
        }
        f.write_str(&self.text)
    }
}

impl Tampering {
    pub(super) fn new(change: Change, record: Option<u64>, text: impl Into<String>) -> Self {
        Self { change, record, file: None, line: None, text: text.into() }
    }

    pub(super) fn at(self, file: &Path, line: u64) -> Self {
        Self { file: Some(file.to_owned()), line: Some(line), ..self }
    }
}

/// Why a check ended early.
#[derive(Debug)]
pub(in crate::tree) enum Stop {
    Tampered(Tampering),
    Undecided(String),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Undecided(format!("the files cannot be read: {error}"))
    }
}

impl From<Tampering> for Stop {
    fn from(tampering: Tampering) -> Self {
        Self::Tampered(tampering)
    }
}

/// Ends a check whose place in the files is not known.
pub(super) fn tampered<T>(change: Change, record: Option<u64>, text: impl Into<String>) -> Result<T, Stop> {
    Err(Tampering::new(change, record, text).into())
}
