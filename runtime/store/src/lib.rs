//! The shared state of a fleet: data of minted tokens, revocations, and the states of its signing keys.
//!
//! - [`Store`] is the registry, in SQLite or PostgreSQL. Its address selects the database.
//! - [`SqlRevocations`] passes the revocations of a store to a verifier. It reads them in the background, so no request
//!   waits for the database.
//! - [`SqlReplays`] is the memory of accepted proofs of DPoP that the replicas of a service share.
//! - [`CheckpointWriter`] stores the checkpoints of an audit log, which reveal that its end was cut off.
//! - [`rotation`] decides when a signing key is prepared, becomes active and retires.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]

mod background;
mod checkpoints;
mod replays;
mod revocations;
pub mod rotation;
mod store;

pub use self::{
    checkpoints::{CheckpointWriter, CheckpointWriterBuilder},
    replays::{SqlReplays, SqlReplaysBuilder},
    revocations::{SqlRevocations, SqlRevocationsBuilder},
    store::{
        BackupSummary, Coverage, KeyRecord, KeyStep, KeyUse, ListedToken, LogCheckpoint, NewRevocation,
        PastRevocation, PruneRecord, RevocationRecord, RevocationTarget, Revoked, SequenceHead, Store,
        StoreError, TokenFilter, TokenRecord, TokenState, Undoing, Undone, VerifierReport,
    },
};
