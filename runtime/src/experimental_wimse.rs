//! Workload Identity Tokens and Workload Proof Tokens of WIMSE, an **experimental** feature (`experimental-wimse`).
//!
//! The documents are Internet-Drafts of the IETF: draft-ietf-wimse-wpt-02 and draft-ietf-wimse-workload-creds-02. A later
//! version of this crate may follow a later draft, and then refuse what this one accepts.
//!
//! A caller sends two JWTs with each request:
//!
//! - `Workload-Identity-Token`: the token (WIT). Its issuer names the workload in `sub`, and puts the workload's public key
//!   in `cnf.jwk`. It is not a secret: it proves nothing without the other.
//! - `Authorization: WPT …`: the proof (WPT). The workload's key signs it for this service, this token and a short time.
//!
//! ```
//! use service_only::{KeySet, TrustedIssuer, Verifier, error::BuildError, experimental_wimse::Wpt};
//!
//! fn verifier(keys: KeySet) -> Result<Verifier, BuildError> {
//!     Verifier::builder()
//!         .trust(TrustedIssuer::experimental_wimse("wimse://bakery.example").keys(keys))
//!         .experimental_wpt(Wpt::new("https://orders.internal"))
//!         .build()
//! }
//! # let signing = service_only::issue::SigningKey::generate(service_only::Algorithm::ES256).unwrap();
//! # assert!(verifier(signing.verifying_key().into()).is_ok());
//! ```
//!
//! A handler requires a proof as for other tokens: `proof = "any"` in its attribute accepts a WPT. To accept nothing but a
//! WPT, add `issuers("wimse://bakery.example")`, because tokens of that issuer always need one. The record of the request
//! has `proof: "wpt"`.
//!
//! # Rules
//!
//! The verifier refuses the request unless all of these hold:
//!
//! | rule | source |
//! | --- | --- |
//! | one `Authorization` header, one `Workload-Identity-Token` header | wpt section 2, creds section 5.1.1 |
//! | WIT: `typ` is `wit+jwt`; `alg` is of a key pair; the signature verifies with a key of the trusted origin | creds sections 3 and 5.1 |
//! | WIT: `sub` begins with the origin; `exp` has not passed, and is at most 24 hours ahead | creds section 5.1 |
//! | WIT: `cnf` has the one member `jwk`, a public key with `alg`, and no private member | creds section 5.1, RFC 7800 section 3.2 |
//! | WPT: `typ` is `wpt+jwt`; `alg` equals that of `cnf.jwk`, and is one of [`Wpt::algorithms`]; no `crit` | wpt section 2, RFC 7515 section 4.1.11 |
//! | WPT: the signature verifies with `cnf.jwk` | wpt section 2 |
//! | WPT: `aud` is a configured URL with the path of the request. `Host` is never used | wpt sections 2 and 3.1 |
//! | WPT: `exp` has not passed, and is at most [`Wpt::max_lifetime`] ahead; `nbf`, if present, has passed | wpt section 2, RFC 7519 section 4.1.5 |
//! | WPT: `wth` is the hash of the WIT | wpt section 2 |
//! | WPT: `jti` was not used before with this key | wpt section 3.1 |
//! | WPT: `tth` is the hash of the header `Txn-Token`, and is present if that header is | wpt section 2 |
//! | WPT: each entry of `oth` is the hash of the header that it names | wpt section 2 |
//!
//! A WPT does not name the method and the body of its request. If a request never arrives, an observer can send its proof with
//! another method to the same URL, once. Use TLS.

use std::{fmt, time::Duration};

use crate::{
    dpop::{Dpop, Proofs, ReplayStore},
    keys::Algorithm,
};

/// Which Workload Proof Tokens a verifier accepts. Every limit has a default; the URL of the service has none.
#[must_use = "it is used when you pass it to a verifier"]
// The settings are those of DPoP, without the ones for its nonces.
pub struct Wpt(Dpop);

impl Wpt {
    /// The maximum length of a proof, in bytes.
    pub const MAX_PROOF_LENGTH: usize = Dpop::MAX_PROOF_LENGTH;

    /// The maximum length of a proof's `jti`, in bytes.
    pub const MAX_ID_LENGTH: usize = Dpop::MAX_ID_LENGTH;

    /// How far `exp` of a proof may be ahead of the clock by default. The draft asks for seconds or minutes.
    pub const DEFAULT_MAX_LIFETIME: Duration = Duration::from_secs(120);

    /// The longest time that you can set with [`Wpt::max_lifetime`].
    pub const LONGEST_MAX_LIFETIME: Duration = Dpop::LONGEST_MAX_AGE;

    /// The default algorithms of proofs, the same as those of DPoP.
    pub const DEFAULT_ALGORITHMS: [Algorithm; 4] = Dpop::DEFAULT_ALGORITHMS;

    /// Accepts proofs for the service at this URL, such as `https://orders.internal`. A proof names the URL of its request in
    /// `aud`, which must be this URL with the path of the request. A query and a fragment are ignored. The header `Host` is
    /// never used, because the sender chooses it.
    ///
    /// Include a path if something in front of the service removes it.
    pub fn new(url: impl Into<String>) -> Self {
        Self(Dpop::new(url).max_age(Self::DEFAULT_MAX_LIFETIME))
    }

    /// Adds another URL of the same service. You may call it repeatedly.
    pub fn also(self, url: impl Into<String>) -> Self {
        Self(self.0.also(url))
    }

    /// Sets the accepted algorithms of proofs, instead of [`Wpt::DEFAULT_ALGORITHMS`]. HMAC is refused when the verifier is
    /// built, because a token contains the key of its proofs.
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self(self.0.algorithms(algorithms))
    }

    /// Sets how far `exp` of a proof may be ahead of the clock, in whole seconds up to [`Wpt::LONGEST_MAX_LIFETIME`]. The
    /// leeway of the verifier extends it. The default is [`Wpt::DEFAULT_MAX_LIFETIME`].
    pub fn max_lifetime(self, lifetime: Duration) -> Self {
        Self(self.0.max_age(lifetime))
    }

    /// Sets how many proofs the memory of this process holds, instead of
    /// [`MemoryReplays::DEFAULT_CAPACITY`](crate::dpop::MemoryReplays::DEFAULT_CAPACITY). A full memory refuses requests (503),
    /// because an accepted proof that is not stored could be replayed.
    pub fn replay_capacity(self, proofs: usize) -> Self {
        Self(self.0.replay_capacity(proofs))
    }

    /// Sets where accepted proofs are stored, instead of the memory of this process. Use it for a fleet: with
    /// separate memories, each replica accepts a proof once.
    pub fn replay_store(self, store: impl ReplayStore) -> Self {
        Self(self.0.replay_store(store))
    }

    /// Checks the settings.
    pub(crate) fn build(self) -> Result<Proofs, String> {
        self.0.build()
    }
}

impl fmt::Debug for Wpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wpt").field(&self.0).finish()
    }
}
