//! The platform on real sockets: real routers, a real gateway, real databases, and at the end real
//! processes. Every test has its own, so they run in parallel and in any order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on should say where and stop"
)]

mod audit;
mod compromised;
mod gateway;
mod guarded;
mod manifests;
mod orchestrator;
#[cfg(unix)]
mod picture;
mod processes;
mod raw;
#[cfg(unix)]
mod readme;
mod serve;
#[cfg(unix)]
mod terminal;
mod town;
