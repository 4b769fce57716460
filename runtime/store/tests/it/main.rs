//! The store, the revocations and the reports of keys, on SQLite and on PostgreSQL.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a skipped test says so")]

mod backup;
mod checkpoints;
mod database;
mod fixtures;
mod grants;
mod key_reports;
mod metrics;
mod registry;
mod replays;
mod revocations;
mod store;
