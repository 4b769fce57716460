//! Mutual TLS between services: configurations of rustls that follow certificate, key and roots in files.
//!
//! [`TlsFiles`] names the files, and [`Tls`] has the configurations. Every handshake uses the current material, and a set of
//! files is checked as a whole before it is used.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `server` | `TlsServer`, which serves any service of tower |
//! | `axum` | the address of the client for axum's extractors, with `server` |
//! | `tonic` | the address of the client for tonic's services, with `server` and `connect` |
//! | `connect` | `TlsConnector`, for channels of tonic and other clients of tower |
//! | `actix` | `Tls::on_connect` and `Tls::remove_certificate_headers`, for `HttpServer` of actix |
//! | `spiffe` | `TlsFiles::workload_api`, for the SPIFFE Workload API in place of files |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]

#[cfg(feature = "actix")]
mod actix;
mod certificate;
#[cfg(any(feature = "actix", feature = "server"))]
mod certificate_headers;
#[cfg(feature = "connect")]
mod connect;
mod error;
mod files;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod material;
mod names;
mod parts;
mod peer;
mod roots;
mod rules;
#[cfg(feature = "server")]
mod server;
mod tls;
#[cfg(feature = "spiffe")]
mod workload;

#[cfg(feature = "connect")]
pub use self::connect::{Connecting, TlsConnector};
#[cfg(feature = "server")]
pub use self::server::TlsServer;
pub use self::{
    certificate::Certificate,
    error::{TlsError, TlsErrorKind},
    files::TlsEvent,
    names::{InvalidSpiffeId, SpiffeId, TrustDomain},
    rules::{RefusalCode, Role},
    tls::{Tls, TlsFiles, TlsStatus},
};
