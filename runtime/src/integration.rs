//! The integrations with frameworks, one file each. Only these files name a framework.

#[cfg(feature = "actix")]
mod actix;
#[cfg(feature = "axum")]
mod axum;
#[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
mod decided;
#[cfg(feature = "tonic")]
mod grpc_status;
#[cfg(any(feature = "axum", feature = "tower"))]
mod parts;
#[cfg(feature = "tonic")]
mod tonic;
#[cfg(feature = "tower")]
mod tower;
#[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
mod unfinished;

#[cfg(feature = "aide")]
pub use self::axum::security_schemes;
#[cfg(feature = "axum")]
pub use self::axum::{ClosedRouter, HasVerifier, closed};
#[cfg(feature = "tonic")]
pub use self::tonic::{VerifierLayer, WithVerifier};
#[cfg(feature = "tower")]
pub use self::tower::{ServiceOnly, ServiceOnlyBody, ServiceOnlyLayer};
