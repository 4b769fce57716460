//! Authentication, on one screen: from the text of a token to the proof that a service sent it.

mod builder;
mod validate;

use std::{sync::Arc, time::Duration};

pub use builder::{BuildError, MAX_LEEWAY, VerifierBuilder};
use validate::Expectations;
pub(crate) use validate::user_refused;

use crate::{
    audit::AuditSink,
    caller::{Caller, Identity},
    claims::{RawClaims, unverified_service},
    clock::{Clock, Timestamp},
    denial::Denial,
    keys::{Algorithm, KeySet, VerifyingKey},
    policy::Policy,
    token::Segments,
};

/// Verifies service tokens: keys, expectations, clock and audit. The only thing that a guarded
/// service must be given.
///
/// Cheap to clone; all clones share one state. See [`Verifier::builder`].
///
/// ```
/// # use service_only::{Algorithm, Verifier, VerifyingKey};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let secret = [7; 32];
/// let verifier = Verifier::builder()
///     .issuer("bakery-auth")
///     .keys(VerifyingKey::hmac(Algorithm::HS256, &secret)?)
///     .build()?;
/// assert_eq!(verifier.verify("garbage").unwrap_err().code().as_str(), "malformed");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    keys: KeySet,
    algorithms: Vec<Algorithm>,
    expectations: Expectations,
    clock: Box<dyn Clock>,
    audit: Box<dyn AuditSink>,
    require_audit: bool,
    realm: String,
}

/// What is known of a token when its decision is recorded.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) kid: Option<String>,
    pub(crate) unverified_service: Option<String>,
    /// A caller that was authenticated, whatever the policy says of it.
    pub(crate) caller: Option<Caller>,
}

impl Verifier {
    /// Starts building one. An issuer and keys must be said; they have no default.
    pub fn builder() -> VerifierBuilder {
        VerifierBuilder::default()
    }

    /// Verifies a service token, and records the decision. For code without a framework; handlers
    /// have `#[service_only]`. Uses the CPU only and never waits.
    ///
    /// # Errors
    /// When the token is not authentic (401) or not a service's (403).
    pub fn verify(&self, token: &str) -> Result<Caller, Denial> {
        self.verify_with(token, &Policy::any_service())
    }

    /// Verifies a service token and applies a policy, and records the decision.
    ///
    /// # Errors
    /// As [`Verifier::verify`], and when the policy is not met (403).
    pub fn verify_with(&self, token: &str, policy: &Policy<'_>) -> Result<Caller, Denial> {
        self.enforce_token(token, policy)
    }

    /// Verifies a token of a service or of a user, and records the decision. For a gateway, which
    /// forwards both; a handler wants [`Verifier::verify`].
    ///
    /// # Errors
    /// When the token is not authentic (401), or its type is neither `service` nor `access` (403).
    pub fn authenticate(&self, token: &str) -> Result<Identity, Denial> {
        self.enforce_identity(token)
    }

    /// The stages of authentication; the first that fails is the one reported.
    pub(crate) fn identify(
        &self,
        token: &str,
        now: Timestamp,
        known: &mut Known,
    ) -> Result<Identity, Denial> {
        let segments = Segments::split(token)?;
        let payload = segments.payload();
        let key = self.signing_key(&segments).inspect_err(|_| {
            known.unverified_service = payload.as_deref().ok().and_then(unverified_service);
        })?;
        // Only from here on are the claims the issuer's.
        known.kid = key.kid().map(|kid| kid.as_str().to_owned());
        let payload = payload?;
        let claims = RawClaims::parse(&payload)?;
        self.0
            .expectations
            .check(&claims, now)
            .and_then(|times| validate::identity(claims, &times, key.kid().cloned()))
            .inspect_err(|_| known.unverified_service = unverified_service(&payload))
    }

    /// The key whose signature is on the token.
    fn signing_key(&self, segments: &Segments<'_>) -> Result<&VerifyingKey, Denial> {
        let header = segments.header()?;
        validate::typ(header.typ.as_deref())?;
        // The algorithm must be allowed and the key's own: RFC 8725 section 3.1.
        let algorithm = header.algorithm(&self.0.algorithms)?;
        let key = self.0.keys.key_for(algorithm, header.kid.as_deref())?;
        let signature = segments.signature()?;
        if key.verifies(algorithm, segments.signed(), &signature) {
            Ok(key)
        } else {
            Err(validate::bad_signature(algorithm, key.kid()))
        }
    }

    /// Whether both share one state.
    #[cfg(feature = "axum")]
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn leeway(&self) -> Duration {
        self.0.expectations.leeway
    }

    pub(crate) fn audit(&self) -> &dyn AuditSink {
        &*self.0.audit
    }

    pub(crate) fn requires_audit(&self) -> bool {
        self.0.require_audit
    }

    pub(crate) fn realm(&self) -> &str {
        &self.0.realm
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("expectations", &self.0.expectations)
            .field("algorithms", &self.0.algorithms)
            .field("keys", &self.0.keys)
            .finish_non_exhaustive()
    }
}
