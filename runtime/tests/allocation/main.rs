//! Work that allocates nothing, counted by an allocator of this program's own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod audit;
mod verification;
