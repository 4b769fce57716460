//! Handlers that only other services may call.
//!
//! Put [`#[service_only]`](service_only) on a handler. The handler then runs only for a caller that
//! presents a valid service token. A request with a missing or invalid token gets a 401. A valid token of a user, or
//! of a service that the handler does not allow, gets a 403. Every attempt writes one audit record.
//!
//! You configure the check in two places. The [`Verifier`] authenticates callers for all handlers: you set its issuer,
//! keys and audience. The attribute authorizes callers for one handler: it lists services, roles, scopes and the maximum
//! age of the token.
//!
//! ```
//! # #[cfg(feature = "axum")] mod example {
//! use axum::{Router, routing::delete};
//! use service_only::{Algorithm, Caller, Verifier, VerifyingKey, service_only};
//!
//! #[service_only(services("tenant-deletion-orchestrator"), scopes("tenants:delete"))]
//! async fn delete_tenant(caller: Caller) -> String {
//!     format!("deleted for {}", caller.service())
//! }
//!
//! # pub
//! fn app(public_key: &[u8]) -> Result<Router, Box<dyn std::error::Error>> {
//!     let verifier = Verifier::builder()
//!         .issuer("bakery-auth")
//!         .keys(VerifyingKey::from_pem(Algorithm::ES256, public_key)?)
//!         .build()?;
//!     Ok(Router::new().route("/tenant", delete(delete_tenant)).with_state(verifier))
//! }
//! # }
//! ```
//!
//! # Features
//!
//! No feature changes which callers are accepted. `issue` is off by default, so that a service that only verifies tokens
//! cannot mint them.
//!
//! | feature | adds |
//! | --- | --- |
//! | `axum` (default) | extractors and responses for axum 0.8, and `ClosedRouter` |
//! | `axum-extra` | guarded handlers with the typed paths of axum-extra 0.12 |
//! | `aide` | the policy of each guarded handler in the OpenAPI document of aide 0.15 |
//! | `actix` | extractors and responses for actix-web 4 |
//! | `tower` | `ServiceOnlyLayer`, for a tower service without handler functions |
//! | `tonic` | guarded services of tonic 0.14 |
//! | `remote` | `RemoteJwks`: keys from a JWK set at a URL, or from OIDC discovery |
//! | `issue` | `Issuer` and `SigningKey`: mint tokens |
//! | `config` | `VerifierConfig`: a verifier from `service-token.toml` or from environment variables |
//! | `shutdown` | `shutdown_signal` and `drain`: end a server on SIGTERM and flush the audit |
//! | `compress` | compression of rotated audit logs |
//! | `experimental-wimse` | `experimental_wimse`: tokens and proofs of WIMSE, by its Internet-Drafts. This API may change in any version |
//!
//! # Related crates
//!
//! | crate | use it to |
//! | --- | --- |
//! | `service-only-client` | send tokens to other services |
//! | `service-only-store` | store revocations, and the registry of minted tokens, in a database that a fleet shares |
//! | `service-only-otel` | export metrics and traces |
//! | `service-only-tls` | encrypt between services: mutual TLS with certificates that reload |
//! | `service-only-evidence` | make the audit log tamper-evident, and read it back |
//! | `service-only-signer` | sign with a key in a PKCS#11 token, in an encrypted file, or with an external command |
//! | `service-only-export` | export policies for service meshes, and OpenAPI documents |
//! | `service-only-testkit` | test guarded handlers |
//!
//! The program `service-token` mints, verifies and revokes tokens, and rotates keys on the command line.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]
// Some code only serves requests, so it is unused without a framework.
#![cfg_attr(
    not(any(feature = "actix", feature = "axum", feature = "tower")),
    allow(dead_code, reason = "used by the integrations")
)]

#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[doc(hidden)]
pub mod __private;
#[doc(hidden)]
pub mod __satellite;
pub mod audit;
mod authorize;
mod bearer;
mod caller;
pub mod claims;
pub mod clock;
mod columns;
#[cfg(feature = "config")]
pub mod config;
mod const_text;
mod denial;
pub mod dpop;
pub mod error;
mod evidence;
#[cfg(feature = "experimental-wimse")]
pub mod experimental_wimse;
mod file_identity;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod given;
mod guard;
mod handle;
mod handler;
mod hashed;
#[cfg(feature = "remote")]
mod http_client;
pub mod integration;
#[cfg(feature = "issue")]
pub mod issue;
mod json;
pub mod keys;
mod others;
mod peer;
mod policy;
mod policy_digest;
mod proof;
mod recorder;
mod registry;
pub mod rejection;
mod resource;
pub mod revocation;
pub mod routes;
mod sets;
#[cfg(feature = "shutdown")]
pub mod shutdown;
mod text;
mod threads;
mod times;
mod token;
mod trace_context;
mod trusted;
pub mod verifier;
mod watched_file;

pub use service_only_macros::{callers, public, service_only, users_only};

#[cfg(feature = "tower")]
pub use crate::integration::ServiceOnlyLayer;
#[cfg(feature = "tonic")]
pub use crate::integration::VerifierLayer;
#[cfg(feature = "aide")]
pub use crate::integration::security_schemes;
#[cfg(feature = "axum")]
pub use crate::integration::{ClosedRouter, closed};
#[cfg(feature = "remote")]
pub use crate::keys::RemoteJwks;
pub use crate::{
    audit::JsonLinesAudit,
    caller::{Caller, Claims, Identity, User},
    denial::Denial,
    dpop::Dpop,
    keys::{Algorithm, FileKeys, KeySet, VerifyingKey},
    peer::PeerCertificate,
    policy::Policy,
    proof::{Proof, RequiredProof},
    rejection::Rejection,
    resource::ResourceMetadata,
    trusted::{AccessTokens, GrantClaim, TrustedIssuer},
    verifier::Verifier,
};
