//! The Rust code in the guide in `docs` that no other example contains. `tests/pages.rs` looks up each block
//! of the guide here and in the other examples.

#![allow(dead_code, reason = "the guide shows parts of programs")]

mod attribute;
mod audit;
mod calling;
mod encrypting;
mod exporting;
mod identity;
mod issuers;
mod keys;
#[cfg(test)]
mod kms;
mod policies;
mod providers;
mod revocation;
#[cfg(test)]
mod rotating;
mod sealing;
mod stored_checkpoints;
#[cfg(test)]
mod testing;
mod verifier;
