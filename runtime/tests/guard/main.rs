//! Guarded handlers: each framework, plain functions, closed routers, and what a program lists of them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod actix;
#[cfg(feature = "aide")]
mod aide;
mod attempts;
mod axum;
#[cfg(feature = "axum-extra")]
mod axum_extra;
mod claim_policies;
mod closed;
mod closed_table;
mod conformance;
mod dpop;
mod endpoints;
mod frameworks;
mod headers;
mod impl_blocks;
mod lints;
mod own_claims;
mod plain_functions;
mod refusal_bodies;
mod required_proof;
mod rewritten;
mod tonic;
mod tower;
mod users;
