//! A Merkle tree beside the log, which reveals every change of it.
//!
//! [`Sealing`] opens an audit log whose lines are the leaves of a tree. The tree does not change the log. The folder
//! `LOG.tree` beside it contains:
//!
//! - `tile/…`: the hashes of the tree, in the layout of C2SP tlog-tiles.
//! - `checkpoint`: size and root of the tree, signed (C2SP tlog-checkpoint, signed-note). It is signed once a second, after
//!   10,000 records, and at the end of the program.
//! - `history/…`: the signed checkpoints at each start, rotation and end.
//! - `lock`: only one process at a time may write the log.
//!
//! A leaf is the RFC 6962 hash of a line without its end. [`verify`] compares lines, tiles and checkpoints. [`prove`] writes
//! a proof that one record is in the tree (C2SP tlog-proof), which [`check`] verifies without the log.
//!
//! The mathematics of the tree and its proofs are those of the crates `tlog_tiles` and `signed_note`, ports of Go's checksum
//! database.

mod checkpoint;
mod edge;
mod folder;
mod key;
mod lines;
mod proof;
mod resume;
mod seal;
mod verify;

pub use self::{
    checkpoint::{Checkpoint, CheckpointError},
    key::{KeyError, LogKey, LogPublicKey},
    lines::files_of,
    proof::{Checked, Proof, ProofError, check, export, prove},
    seal::Sealing,
    verify::{Change, Intact, Tampering, Verdict, VerifyOptions, verify},
};

/// After how many records a checkpoint is signed.
pub const RECORDS_PER_CHECKPOINT: usize = 10_000;

/// How many records wait at most for the disk of the tree. After that, the log waits too.
pub const MAX_UNSEALED: usize = 1_000_000;

#[cfg(test)]
mod tests;
