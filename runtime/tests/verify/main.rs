//! Verification: verdicts, issuers, keys, revocations and the token cache.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod bound;
mod corpus;
mod delegated;
mod differential;
mod issuers;
mod keys_file;
#[cfg(feature = "remote")]
mod keys_remote;
mod keys_ring;
mod keys_rotation;
mod limits;
mod proof;
mod properties;
mod revocation;
mod svid;
mod token_cache;
