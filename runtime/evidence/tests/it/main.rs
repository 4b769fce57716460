//! The crate as a program uses it: a simulated day, a sealed log of a verifier, and verifiers that others wrote.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a skipped test says so, and a long one what it did"
)]

mod day;
mod peers;
mod platform;
mod sealed;
mod speed;
