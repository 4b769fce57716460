//! What every benchmark here shares, those against the peers too: contenders in turns, tokens to verify,
//! and a report that a program can read.

#![allow(dead_code, unreachable_pub, reason = "no benchmark needs all of it")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark"
)]

pub mod callgrind;
pub mod floor;
pub mod race;
pub mod report;
pub mod tokens;

/// Whether this run is to measure. `cargo test --benches` starts benchmarks too, to see that they work.
pub fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}
