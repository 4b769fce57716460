//! The material, the handshakes and the servers, with certificates of an authority of each test's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod attacked;
mod bound;
mod fleet;
mod forwarded;
mod handshakes;
mod peers;
mod rotation;
mod servers;
mod sets;
mod svid;
mod workload;
