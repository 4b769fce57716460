//! The authority that mints the tokens of a test, and the verifier that trusts it.

mod keys;
#[cfg(feature = "axum")]
mod known;
mod verifying;

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use service_only::{Algorithm, issue::SigningKey};
use uuid::Uuid;

use crate::{audit::RecordingAudit, clock::ManualClock};

/// A token issuer for one test, with its own key, clock and audit log.
///
/// Two authorities share nothing, so tests run in parallel and in any order. Clones of one authority share
/// everything. Tokens have real signatures, and the verifier of [`TestAuthority::verifier`] really verifies
/// them.
///
/// ```
/// use service_only_testkit::TestAuthority;
///
/// let authority = TestAuthority::new();
/// let verifier = authority.verifier();
///
/// let caller = verifier.verify(&authority.service("orders").token()).unwrap();
/// assert_eq!(caller.service(), "orders");
///
/// let denial = verifier.verify(&authority.service("orders").expired().token()).unwrap_err();
/// assert_eq!(denial.code().as_str(), "expired");
/// ```
#[derive(Debug, Clone)]
pub struct TestAuthority {
    issuer: String,
    audience: Option<String>,
    /// The URL of the service, if its verifiers accept proofs of DPoP.
    url: Option<String>,
    clock: ManualClock,
    audit: RecordingAudit,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    key: Arc<SigningKey>,
    /// A key that the verifier does not know, for forgeries. It is created on first use, because RSA keys are
    /// slow to generate.
    impostor: OnceLock<Arc<SigningKey>>,
    seed: Option<u64>,
    minted: AtomicU64,
    /// Whether the test took the key with its key id, so that a verifier can compare the id.
    published: AtomicBool,
}

impl TestAuthority {
    /// The default `iss` of an authority.
    pub const ISSUER: &'static str = "test-authority";

    /// Creates an authority with a new ES256 key, the fastest to generate of those that the RFCs recommend.
    #[track_caller]
    pub fn new() -> Self {
        Self::with(Algorithm::ES256)
    }

    /// Creates an authority with a new key for `algorithm`. RSA keys have 2048 bits, the minimum that a
    /// verifier accepts, because larger ones are slow to generate.
    ///
    /// ```
    /// use service_only::Algorithm;
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::with(Algorithm::HS512);
    /// assert!(authority.verifier().verify(&authority.service("orders").token()).is_ok());
    ///
    /// // Its verifier does not know the key of another authority.
    /// let other = TestAuthority::with(Algorithm::EdDSA);
    /// let denial = authority.verifier().verify(&other.service("orders").token()).unwrap_err();
    /// assert_eq!(denial.code().as_str(), "unknown_key");
    /// ```
    #[track_caller]
    pub fn with(algorithm: Algorithm) -> Self {
        Self::from_key(keys::generate(algorithm))
    }

    /// Creates an authority whose key and tokens depend only on `seed`, for snapshots of whole tokens. The
    /// key is for EdDSA, whose signatures are deterministic (RFC 8032).
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let token = |seed| TestAuthority::seeded(seed).service("orders").token();
    /// assert_eq!(token(7), token(7));
    /// assert_ne!(token(7), token(8));
    /// ```
    #[track_caller]
    pub fn seeded(seed: u64) -> Self {
        Self::assemble(keys::seeded("key", seed), Some(seed))
    }

    /// Creates an authority with a given key: from a file, or a fixed HMAC secret.
    ///
    /// ```
    /// use service_only::{Algorithm, issue::SigningKey};
    /// use service_only_testkit::TestAuthority;
    ///
    /// let key = SigningKey::hmac(Algorithm::HS256, &[7; 32]).unwrap();
    /// let authority = TestAuthority::from_key(key.with_kid("2026-01"));
    /// assert_eq!(authority.kid(), "2026-01");
    ///
    /// // The name is the key's: a token that names another key is refused.
    /// let token = authority.service("orders").header("kid", "2025-12").token();
    /// assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "unknown_key");
    /// ```
    pub fn from_key(key: SigningKey) -> Self {
        Self::assemble(key, None)
    }

    fn assemble(key: SigningKey, seed: Option<u64>) -> Self {
        Self {
            issuer: Self::ISSUER.to_owned(),
            audience: None,
            url: None,
            clock: ManualClock::new(),
            audit: RecordingAudit::new(),
            shared: Arc::new(Shared {
                key: Arc::new(key),
                impostor: OnceLock::new(),
                seed,
                minted: AtomicU64::new(0),
                published: AtomicBool::new(false),
            }),
        }
    }

    /// Returns the same authority with another `iss`, in its tokens and its verifiers.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new().issuer("bakery-auth");
    /// let caller = authority.verifier().verify(&authority.service("orders").token()).unwrap();
    /// assert_eq!(caller.issuer(), "bakery-auth");
    ///
    /// // The comparison is byte for byte.
    /// let token = authority.service("orders").claim("iss", "Bakery-Auth").token();
    /// assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "wrong_issuer");
    /// ```
    #[must_use]
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), ..self }
    }

    /// Returns the same authority with an `aud` in its tokens, which its verifiers expect.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new().audience("orders");
    /// let verifier = authority.verifier();
    /// assert!(verifier.verify(&authority.service("invoices").token()).is_ok());
    ///
    /// let denial = verifier.verify(&authority.service("invoices").audience("stock").token());
    /// assert_eq!(denial.unwrap_err().code().as_str(), "wrong_audience");
    /// ```
    #[must_use]
    pub fn audience(self, audience: impl Into<String>) -> Self {
        Self { audience: Some(audience.into()), ..self }
    }

    /// Returns the same authority for a service with this URL that accepts proofs of DPoP (RFC 9449): its verifiers have
    /// [`VerifierBuilder::dpop`](service_only::verifier::VerifierBuilder::dpop), and the requests of
    /// [`TokenDraft::proven_by`](crate::TokenDraft::proven_by) have proofs for the service.
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new().dpop("https://orders.internal");
    /// let draft = authority.service("billing").proven_by(&authority.dpop_key());
    /// let request = draft.fixtures()[0].outgoing(http::Method::GET, "/stock");
    /// assert!(request.headers[0].1.starts_with("DPoP ") && request.headers[1].0 == "dpop");
    /// ```
    #[must_use]
    pub fn dpop(self, url: impl Into<String>) -> Self {
        Self { url: Some(url.into().trim_end_matches('/').to_owned()), ..self }
    }

    /// The clock of this authority and of its verifiers.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// The audit log of this authority's verifiers.
    pub fn audit(&self) -> &RecordingAudit {
        &self.audit
    }

    pub(crate) fn shared_key(&self) -> Arc<SigningKey> {
        Arc::clone(&self.shared.key)
    }

    pub(crate) fn iss(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn aud(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// The URL of the service, as its verifiers know it.
    pub(crate) fn service_url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    pub(crate) fn has_published(&self) -> bool {
        self.shared.published.load(Ordering::Relaxed)
    }

    fn publish(&self) {
        self.shared.published.store(true, Ordering::Relaxed);
        self.hand_out();
    }

    #[cfg(not(feature = "axum"))]
    fn hand_out(&self) {}

    /// A key of the same algorithm that no verifier of this authority has.
    #[track_caller]
    pub(crate) fn impostor(&self) -> Arc<SigningKey> {
        let key = self.shared.impostor.get_or_init(|| {
            Arc::new(match self.shared.seed {
                Some(seed) => keys::seeded("impostor", seed),
                None => keys::generate(self.key().algorithm()),
            })
        });
        Arc::clone(key)
    }

    /// A `jti` that no other token of this authority has.
    pub(crate) fn next_jti(&self) -> Uuid {
        let count = self.shared.minted.fetch_add(1, Ordering::Relaxed);
        self.shared.seed.map_or_else(Uuid::new_v4, |seed| keys::seeded_uuid(seed, count))
    }
}

impl Default for TestAuthority {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}
