//! A test kit for services that are guarded by [`#[service_only]`](service_only::service_only). Its tokens
//! have real signatures, and a real verifier verifies them.
//!
//! If a test replaces the guard, the guard stays untested. With this crate a test creates its own authority,
//! mints a valid token, breaks one property, and asserts the exact denial:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use axum::{Router, routing::delete};
//! use service_only::{Caller, Verifier, service_only};
//! use service_only_testkit::{TestAuthority, assert_allowed, assert_audited, assert_denied, call};
//!
//! #[service_only(services("orchestrator"), scopes("tenants:delete"))]
//! async fn delete_tenant(caller: Caller) -> String {
//!     format!("deleted for {}", caller.service())
//! }
//!
//! fn app(verifier: Verifier) -> Router {
//!     Router::new().route("/tenant/{id}", delete(delete_tenant)).with_state(verifier)
//! }
//!
//! let authority = TestAuthority::new();
//! let app = call(app(authority.verifier())).audit(authority.audit());
//! let valid = authority.service("orchestrator").scope("tenants:delete");
//!
//! let response = app.delete("/tenant/7").bearer(valid.token()).await;
//! assert_allowed!(response);
//! assert_eq!(response.text(), "deleted for orchestrator");
//!
//! let response = app.delete("/tenant/7").bearer(valid.clone().expired().token()).await;
//! assert_denied!(response, 401);
//! assert_audited!(authority.audit(), deny, code = "expired", route = "/tenant/{id}");
//!
//! // All other known defects, one at a time.
//! for fixture in valid.fixtures() {
//!     let response = app.delete("/tenant/7").fixture(&fixture).await;
//!     fixture.assert_met(&response, authority.audit());
//! }
//! # }
//! ```
//!
//! | to | use |
//! | --- | --- |
//! | get keys, a verifier and tokens | [`TestAuthority`] |
//! | break a token | [`TokenDraft`], or [`TokenDraft::fixtures`] for all known defects |
//! | move the time | [`ManualClock`], at [`TestAuthority::clock`] |
//! | read the audit records | [`RecordingAudit`], at [`TestAuthority::audit`] |
//! | test a client of a guarded service | `StubService`, of the feature `stub` |
//! | call a router | [`call`], which returns a [`TestApp`] |
//! | call a guarded function directly | [`TokenDraft::guard`], [`TokenDraft::caller`]; not in a release build |
//! | mint tokens of Kubernetes, SPIFFE, OAuth | [`TestAuthority::kubernetes`], [`spiffe`](TestAuthority::spiffe), [`oauth`](TestAuthority::oauth) |
//! | mint valid and hostile tokens of identity providers | [`Provider`], [`TestAuthority::keycloak`] and others, [`TestAuthority::impostors`] |
//! | start an issuer that publishes keys | `JwksServer`, of the feature `jwks-server` |
//! | get certificates for mutual TLS | `TestCa`, of the feature `tls` |
//! | sign valid and hostile proofs of DPoP | [`TestDpopKey`], at [`TestAuthority::dpop_key`]; [`TokenDraft::proven_by`] |
//! | deliver SVIDs to a program | `WorkloadApi`, of the feature `workload-api` |
//! | check that no route is open | [`assert_guarded`], or [`Strangers`] for any app |
//! | send all known attacks | [`attack`] on a router or any tower service, such as tonic's; `attack_actix`; `attack_url` |
//! | test a later event | [`Incident`]: a retired key, an expiry, a revocation |
//! | print which caller may call which route | [`authz_matrix!`] |
//! | assert a decision | [`assert_denied!`], [`assert_allowed!`], [`assert_audited!`], about any [`Answer`] |
//! | take a snapshot | [`snapshot::settings`] |
//!
//! [`attack`] sends all known attacks to every route. Its report begins with the checks that the service lacks.
//!
//! Tests share no state, and none sleeps. Only `JwksServer` and `StubService::listen` open a port. They choose a free
//! one.
//!
//! The crate mints tokens and is for tests only. Put it into `[dev-dependencies]`, which are not part of any
//! build of a service.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `axum` (default) | calls to axum routers and tower services inside the test's process |
//! | `snapshot` | settings and redactions for insta |
//! | `http` | `attack_url`: attacks on a service at a URL, in any language |
//! | `actix` | `attack_actix`: attacks on apps of actix-web; assertions about its responses |
//! | `tonic` | assertions about tonic's responses and statuses |
//! | `stub` | `StubService`: a service that expects a client's token, in the process or on a loopback port |
//! | `tls` | `TestCa`: certificates of a test's own authority. With `http`, also attacks over TLS |
//! | `workload-api` | `WorkloadApi`: a SPIFFE Workload API on a Unix socket |
//! | `jwks-server` | `JwksServer`: an issuer's JWK set on a loopback port |
//! | `experimental-wimse` | valid and hostile tokens and proofs of WIMSE. This API may change in any version |
//! | `double-in-release` | `TokenDraft::guard` and `TokenDraft::caller` in tests that run with `--release` |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]
// Without a way to send requests, the code that only an attack uses is unused.
#![cfg_attr(
    not(any(feature = "axum", feature = "http")),
    allow(dead_code, reason = "used by the ways to send")
)]

#[cfg(feature = "axum")]
mod app;
mod assertions;
mod attack;
mod audit;
mod authority;
#[cfg(feature = "axum")]
mod authz_matrix;
mod clock;
#[cfg(any(debug_assertions, feature = "double-in-release"))]
mod double;
mod dpop;
mod draft;
mod fail;
mod fixture;
mod grpc;
mod incident;
#[cfg(feature = "jwks-server")]
mod jwks_server;
#[cfg(any(feature = "jwks-server", feature = "stub"))]
mod loopback;
mod provider;
#[cfg(feature = "axum")]
mod response;
#[cfg(feature = "snapshot")]
pub mod snapshot;
#[cfg(feature = "axum")]
mod strangers;
#[cfg(feature = "stub")]
mod stub;
#[cfg(feature = "tls")]
pub mod tls;
mod token;
#[cfg(any(feature = "axum", feature = "tls"))]
mod trust;
#[cfg(feature = "experimental-wimse")]
mod wimse;
#[cfg(all(unix, feature = "workload-api"))]
mod workload_api;

#[cfg(feature = "actix")]
pub use crate::attack::attack_actix;
#[cfg(feature = "http")]
pub use crate::attack::{InvalidUrl, attack_url};
#[cfg(feature = "axum")]
pub use crate::{
    app::{TestApp, TestRequest, TestRouter, call},
    attack::attack,
    response::TestResponse,
    strangers::{Findings, Strangers, assert_guarded},
};
pub use crate::{
    assertions::{Answer, Answered},
    attack::{Attack, AttackReport, Control, EndpointReport, Finding, Matrix, Outcome},
    audit::{Audited, Mark, RecordingAudit, Until},
    authority::TestAuthority,
    clock::ManualClock,
    dpop::{ProofDraft, TestDpopKey},
    draft::{Impersonation, Impostor, TokenDraft},
    fixture::{Defect, Expectation, Fixture, Outgoing},
    incident::{Incident, Scene},
    provider::Provider,
    token::FixtureToken,
};

#[cfg(feature = "axum")]
pub use crate::authz_matrix::AuthzMatrix;
#[cfg(feature = "jwks-server")]
pub use crate::jwks_server::JwksServer;
#[cfg(feature = "stub")]
pub use crate::stub::{StubAnswer, StubCall, StubListener, StubService};
#[cfg(feature = "tls")]
pub use crate::tls::{TestCa, TestCertificate};
#[cfg(feature = "experimental-wimse")]
pub use crate::wimse::HostileProof;
#[cfg(all(unix, feature = "workload-api"))]
pub use crate::workload_api::WorkloadApi;

/// What the macros of this crate expand to.
#[doc(hidden)]
pub mod __private {
    pub use serde_json::Value;
    pub use service_only::audit::Decision;

    pub use crate::assertions::{allowed, answer_audited, audited, denied};
}
