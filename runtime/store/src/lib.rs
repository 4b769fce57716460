//! The shared state of a fleet: minted tokens, revocations, and the life of its signing keys.
//!
//! - [`Store`] is the registry, in SQLite or PostgreSQL. One address chooses the database.
//! - [`SqlRevocations`] gives a verifier the revocations of a store. It reads them in the background, so no request
//!   waits for the database.
//! - [`rotation`] decides when a signing key is prepared, takes over and retires.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]

mod background;
mod revocations;
pub mod rotation;
mod store;

pub use self::{
    revocations::{SqlRevocations, SqlRevocationsBuilder},
    store::{
        KeyRecord, KeyStep, KeyUse, ListedToken, NewRevocation, PastRevocation, RevocationRecord,
        RevocationTarget, Revoked, SequenceHead, Store, StoreError, TokenFilter, TokenRecord, TokenState,
        Undoing, Undone, VerifierReport,
    },
};
