//! A signed size and root of the tree, with what the log knows about its files.

use std::fmt;

use signed_note::{Note, VerifierList};
use tlog_tiles::{Checkpoint as TreeHead, Hash};

use super::key::{LogKey, LogPublicKey};

/// A checkpoint whose signature is valid.
///
/// The extension lines contain facts that are not in the tree: where the current file begins, how many of its bytes are
/// in the tree, how many records were lost, and whether the program ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The name of the log.
    pub origin: String,
    /// The number of lines in the tree.
    pub size: u64,
    /// The root of the tree.
    pub(super) root: Hash,
    /// The number of the first line of the current file.
    pub file_start: u64,
    /// How many bytes of the current file are in the tree.
    pub file_bytes: u64,
    /// How many records were lost: they are in no file.
    pub lost: u64,
    /// How many lines other programs added while no process had the log open.
    pub foreign: u64,
    /// Whether the program ended, so that no line may follow.
    pub closed: bool,
}

const FILE: &str = "service-only-file";
const LOST: &str = "service-only-lost";
const FOREIGN: &str = "service-only-foreign";
const CLOSED: &str = "service-only-closed";

impl Checkpoint {
    pub(super) fn sign(&self, key: &LogKey) -> Result<String, CheckpointError> {
        let mut extension = format!("{FILE} {} {}\n", self.file_start, self.file_bytes);
        if self.lost > 0 {
            extension.push_str(&format!("{LOST} {}\n", self.lost));
        }
        if self.foreign > 0 {
            extension.push_str(&format!("{FOREIGN} {}\n", self.foreign));
        }
        if self.closed {
            extension.push_str(&format!("{CLOSED}\n"));
        }
        let head = TreeHead::new(&self.origin, self.size, self.root, &extension)
            .map_err(|error| CheckpointError::Malformed(error.to_string()))?;
        let malformed = |error: signed_note::NoteError| CheckpointError::Malformed(error.to_string());
        let mut note = Note::new(&head.to_bytes(), &[]).map_err(malformed)?;
        note.add_sigs(&[&key.signer]).map_err(malformed)?;
        String::from_utf8(note.to_bytes()).map_err(|error| CheckpointError::Malformed(error.to_string()))
    }

    /// Reads a checkpoint and checks its signature.
    ///
    /// # Errors
    /// When the text is not a checkpoint, when another key signed it, or when the signature is not valid.
    pub fn read(text: &str, key: &LogPublicKey) -> Result<Self, CheckpointError> {
        let malformed = |text: String| CheckpointError::Malformed(text);
        let note = Note::from_bytes(text.as_bytes()).map_err(|error| malformed(error.to_string()))?;
        let known = VerifierList::new(vec![Box::new(key.verifier.clone())]);
        let (verified, _) = note.verify(&known).map_err(|error| match error {
            signed_note::NoteError::InvalidSignature { .. } => CheckpointError::BadSignature,
            _ => CheckpointError::OtherKey(format!("the checkpoint is not signed by `{key}`")),
        })?;
        if verified.is_empty() {
            return Err(CheckpointError::OtherKey(format!("the checkpoint is not signed by `{key}`")));
        }
        let head = TreeHead::from_bytes(note.text()).map_err(|error| malformed(error.to_string()))?;
        let mut checkpoint = Self {
            origin: head.origin().to_owned(),
            size: head.size(),
            root: *head.hash(),
            file_start: 0,
            file_bytes: 0,
            lost: 0,
            foreign: 0,
            closed: false,
        };
        for line in head.extension().lines() {
            checkpoint.extend(line).ok_or_else(|| malformed(format!("extension `{line}`")))?;
        }
        if checkpoint.file_start > checkpoint.size {
            return Err(malformed("the current file begins after the tree ends".to_owned()));
        }
        Ok(checkpoint)
    }

    /// Reads an extension line. Lines that this version does not know are ignored.
    fn extend(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        match words.next()? {
            FILE => {
                self.file_start = words.next()?.parse().ok()?;
                self.file_bytes = words.next()?.parse().ok()?;
            }
            LOST => self.lost = words.next()?.parse().ok()?,
            FOREIGN => self.foreign = words.next()?.parse().ok()?,
            CLOSED => self.closed = true,
            _ => {}
        }
        Some(())
    }

    /// The root of the tree in base64, as the checkpoint has it.
    pub fn root(&self) -> String {
        self.root.to_string()
    }
}

/// Why a checkpoint is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The text is not a checkpoint.
    Malformed(String),
    /// Another key signed it.
    OtherKey(String),
    /// The signature is not valid: the checkpoint was changed.
    BadSignature,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) => write!(f, "this is not a checkpoint: {text}"),
            Self::OtherKey(text) => f.write_str(text),
            Self::BadSignature => f.write_str("the signature of the checkpoint is not valid"),
        }
    }
}

impl std::error::Error for CheckpointError {}
