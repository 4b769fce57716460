//! Handlers that only other services may call.
//!
//! Put [`#[service_only]`](service_only) on a handler. From then on it runs only for a caller that
//! presents a valid service token: 401 when the token is missing or not authentic, 403 when it is
//! authentic but not a service's or not an allowed one, and one audit record for every attempt.
//!
//! Two questions, two places. *Who is it?* is said once, on the [`Verifier`]: issuer, keys,
//! audience. *May it do this?* is said on the handler: services, roles, scopes, freshness.
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
//! No feature changes a decision. `issue` is off by default, so that a service that only verifies cannot mint.
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
//! | `shutdown` | `shutdown_signal` and `drain`: end a server on SIGTERM and flush the audit |
//! | `compress` | compression of rotated audit logs |
//!
//! Other crates add the rest: `service-only-client` sends tokens, `service-only-store` keeps minted tokens and the
//! revocations of a fleet, `service-only-otel` measures and traces, `service-only-export` writes policies for meshes, and
//! `service-only-testkit` tests guarded handlers.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Without a framework nobody asks for what only requests need.
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
mod build_error;
mod caller;
mod claims;
mod clock;
mod columns;
mod const_text;
mod denial;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod given;
mod guard;
mod handle;
mod handler;
mod hashed;
mod integration;
#[cfg(feature = "issue")]
mod issue;
mod json;
mod keys;
mod policy;
mod recorder;
mod registry;
mod rejection;
mod revocation;
mod routes;
#[cfg(feature = "shutdown")]
mod shutdown;
mod text;
mod threads;
mod times;
mod token;
mod trace_context;
mod trusted;
mod verifier;
mod watched_file;

pub use service_only_macros::{public, service_only};

#[cfg(feature = "axum")]
pub use crate::integration::{ClosedRouter, HasVerifier, closed};
#[cfg(feature = "tower")]
pub use crate::integration::{ServiceOnly, ServiceOnlyBody, ServiceOnlyLayer};
#[cfg(feature = "tonic")]
pub use crate::integration::{VerifierLayer, WithVerifier};
#[cfg(feature = "issue")]
pub use crate::issue::{
    DEFAULT_LIFETIME, IssueError, Issuer, IssuerBuilder, LONG_LIFETIME, MAX_LIFETIME, MintedToken, PublicJwk,
    STRICT_LIFETIME, SigningKey, SigningRing, TokenRequest,
};
#[cfg(feature = "remote")]
pub use crate::keys::{
    DEFAULT_MAX_RESPONSE_BYTES, DEFAULT_MAX_STALENESS, DEFAULT_REMOTE_KEYS, DEFAULT_TIMEOUT,
    DEFAULT_UNKNOWN_KID_INTERVAL, DEFAULT_UNKNOWN_KID_WAIT, RemoteError, RemoteErrorKind, RemoteJwks,
    RemoteJwksBuilder,
};
#[cfg(feature = "shutdown")]
pub use crate::shutdown::{DRAIN_TIMEOUT, drain, shutdown_signal};
pub use crate::{
    audit::{
        AuditError, AuditEvent, AuditRecord, AuditSink, DEFAULT_FLUSH_TIMEOUT, DEFAULT_QUEUE,
        DEFAULT_WRITE_TIMEOUT, Decision, JsonLinesAudit, JsonLinesBuilder, MAX_QUEUE, NoAudit, TracingAudit,
        WhenFull,
    },
    bearer::MAX_TOKEN_LENGTH,
    build_error::{BuildError, MAX_CACHED_TOKENS},
    caller::{Caller, Identity, User},
    claims::{
        InvalidScope, InvalidServiceName, MAX_AUDIENCES, MAX_CLAIM_LENGTH, MAX_SCOPES, MAX_SERVICE_NAME,
        Scopes, ServiceClaims, ServiceName, UserClaims,
    },
    clock::{Clock, FixedClock, SystemClock, Timestamp},
    denial::{Code, Denial, MAX_QUOTED, Stage},
    handler::{GuardedHandler, PolicyTable, guarded, policy_of},
    json::{MAX_JSON_DEPTH, MAX_JSON_MEMBERS},
    keys::{
        Algorithm, DEVELOPMENT_KID_PREFIX, FileKeys, FileKeysBuilder, KeyError, KeyErrorKind, KeyId, KeyRing,
        KeySet, KeySource, KeyState, KeysUnavailable, MAX_JWKS_BYTES, MAX_KEY_FILE_BYTES, MAX_KEYS,
        MAX_KEYS_PER_KID, MAX_KID_LENGTH, MAX_RETIRED, MAX_RSA_BITS, MIN_RSA_BITS, MIN_RSA_EXPONENT, Refresh,
        SecretEncoding, SkippedKey, UnknownAlgorithm, VerifyingKey,
    },
    policy::{Endpoint, Policy},
    registry::{GuardedEndpoint, PublicEndpoint, endpoints, public_endpoints},
    rejection::Rejection,
    revocation::{
        MAX_REVOCATIONS, MemoryRevocations, PresentedToken, RevocationOutage, RevocationStatus,
        RevocationStore, RevocationsFull,
    },
    routes::{Access, Route, RouteTable},
    times::{MAX_ISSUED_AHEAD, MAX_LEEWAY},
    trace_context::ParentSpan,
    trusted::TrustedIssuer,
    verifier::{DEFAULT_CACHED_TOKENS, Verifier, VerifierBuilder},
    watched_file::DEFAULT_POLL_INTERVAL,
};
