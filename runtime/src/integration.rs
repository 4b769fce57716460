//! The frameworks, one file each. Nothing outside of here names one.

#[cfg(feature = "axum")]
mod axum;

#[cfg(feature = "axum")]
pub use self::axum::{ClosedRouter, HasVerifier, closed};
