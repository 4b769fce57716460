//! The built program, run as an operator runs it: every command, exit code and file mode.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod attack;
mod audit_log;
mod bound;
mod ca;
mod changes;
mod completion;
mod configuration;
mod corpus;
#[cfg(feature = "dashboard")]
mod dashboard;
mod dev;
mod docs;
mod doctor;
#[cfg(unix)]
mod elsewhere;
mod endpoints;
mod exit_codes;
mod from_config;
mod generate;
mod hostile;
mod inspect;
mod interop;
mod jwks;
mod k8s_secret;
mod keygen;
mod misuse;
mod names;
mod packaging;
mod presentation;
mod presented;
mod profile;
mod redaction;
mod registry;
mod renew;
mod revoked;
mod rotate;
mod sandbox;
mod serve;
mod setup;
mod store;
mod store_maintenance;
mod store_trouble;
mod times;
mod verify;
mod verify_store;
