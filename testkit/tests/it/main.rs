//! The test kit against guarded and broken services.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod app;
mod assertions;
mod attack;
#[cfg(feature = "actix")]
mod attack_actix;
mod attack_grpc;
mod audit;
mod broken;
mod broken_dpop;
mod broken_providers;
#[cfg(feature = "tls")]
mod broken_tls;
mod clock;
mod incidents;
#[cfg(feature = "jwks-server")]
mod jwks_server;
mod minting;
mod providers;
mod snapshots;
mod strangers;
#[cfg(feature = "stub")]
mod stub;
#[cfg(feature = "http")]
mod url;
mod users;
mod verdicts;
