//! What a program's own SDK of OpenTelemetry gets to see.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod metrics;
mod traces;
