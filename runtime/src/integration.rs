//! The frameworks, one file each. Nothing outside of here names one.

#[cfg(feature = "actix")]
mod actix;
#[cfg(feature = "axum")]
mod axum;
#[cfg(any(feature = "actix", feature = "axum"))]
mod decided;
#[cfg(feature = "axum")]
mod parts;

#[cfg(feature = "axum")]
pub use self::axum::{ClosedRouter, HasVerifier, closed};
