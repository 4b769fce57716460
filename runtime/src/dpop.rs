//! DPoP (RFC 9449): the sender of a token proves with each request that it has the key that the token is bound to.
//!
//! A token of an issuer is bound to a key by `cnf.jkt`, the thumbprint of that key. Each request then has the header
//! `DPoP`, a proof: a JWS that the key signs, about this request and this token. A stolen token is worthless without
//! the key, and a stolen proof is accepted for no other request and never twice.
//!
//! [`Dpop`] configures it; pass it to [`VerifierBuilder::dpop`](crate::verifier::VerifierBuilder::dpop). Without it,
//! bound tokens are refused.
//!
//! ```
//! # use service_only::{Algorithm, Verifier, VerifyingKey, dpop::Dpop};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = [7; 32];
//! let verifier = Verifier::builder()
//!     .issuer("bakery-auth")
//!     .keys(VerifyingKey::hmac(Algorithm::HS256, &secret)?)
//!     .dpop(Dpop::new("https://orders.internal"))
//!     .build()?;
//! # Ok(()) }
//! ```

mod nonce;
mod presented;
mod proof;
mod replay;
mod target;
#[cfg(feature = "experimental-wimse")]
mod wpt;

use std::{fmt, sync::Arc, time::Duration};

pub use self::replay::{MemoryReplays, ReplayError, ReplayStore, SpentProof};
#[cfg(feature = "experimental-wimse")]
pub(crate) use self::wpt::ConfirmedKey;
#[cfg(all(
    feature = "experimental-wimse",
    any(feature = "actix", feature = "axum", feature = "tower", fuzzing)
))]
pub(crate) use self::wpt::NamedHeaders;
use self::{nonce::Nonces, target::Base};
pub(crate) use self::{
    presented::PresentedProof,
    proof::{AboutRequest, VerifiedProof},
};
use crate::{
    clock::Timestamp,
    denial::{Code, Denial, quoted},
    keys::{Algorithm, AlgorithmSet},
    times::Moment,
};

/// Which proofs a verifier accepts. Every limit has a default; the URL of the service has none.
#[must_use = "it is used when you pass it to a verifier"]
pub struct Dpop {
    bases: Vec<String>,
    algorithms: Vec<Algorithm>,
    max_age: Duration,
    replays: Replays,
    nonce: Nonce,
}

enum Replays {
    Memory(usize),
    Store(Arc<dyn ReplayStore>),
}

enum Nonce {
    NotRequired,
    OfProcess,
    OfFleet(Vec<u8>),
}

impl Dpop {
    /// The maximum length of a proof, in bytes: one with an RSA key of 8192 bits fits.
    pub const MAX_PROOF_LENGTH: usize = proof::MAX_PROOF_LENGTH;

    /// The maximum length of a proof's `jti`, in bytes.
    pub const MAX_ID_LENGTH: usize = proof::MAX_ID_LENGTH;

    /// How long a proof is accepted by default, from its `iat` on. Clients sign each request immediately before they
    /// send it.
    pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60);

    /// The longest time that you can set with [`Dpop::max_age`].
    pub const LONGEST_MAX_AGE: Duration = Duration::from_secs(300);

    /// How far `iat` of a proof may be ahead of the verifier's clock, beyond the leeway.
    pub const MAX_AHEAD: Duration = proof::MAX_AHEAD;

    /// How long a nonce of the server is accepted.
    pub const NONCE_LIFETIME: Duration = nonce::LIFETIME;

    /// The default algorithms of proofs. RSA is not among them: the sender chooses the key, so it would choose how much
    /// work the check of a signature is.
    pub const DEFAULT_ALGORITHMS: [Algorithm; 4] =
        [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::Ed25519];

    /// Accepts proofs for the service at this URL, such as `https://orders.internal`. A proof names the URL of its
    /// request in `htu`, which must be this URL with the path of the request. The header `Host` is never used, because
    /// the sender chooses it.
    ///
    /// Include a path if something in front of the service removes it: with `https://gateway.example/orders`, the request
    /// `/loaves` needs a proof for `https://gateway.example/orders/loaves`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            bases: vec![url.into()],
            algorithms: Self::DEFAULT_ALGORITHMS.to_vec(),
            max_age: Self::DEFAULT_MAX_AGE,
            replays: Replays::Memory(MemoryReplays::DEFAULT_CAPACITY),
            nonce: Nonce::NotRequired,
        }
    }

    /// Adds another URL of the same service. You may call it repeatedly.
    pub fn also(mut self, url: impl Into<String>) -> Self {
        self.bases.push(url.into());
        self
    }

    /// Sets the accepted algorithms, instead of [`Dpop::DEFAULT_ALGORITHMS`]. HMAC is refused when the verifier is built,
    /// because a proof contains its key.
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        Self { algorithms: algorithms.into_iter().collect(), ..self }
    }

    /// Sets how long a proof is accepted, in whole seconds up to [`Dpop::LONGEST_MAX_AGE`]. The default is
    /// [`Dpop::DEFAULT_MAX_AGE`].
    pub fn max_age(self, max_age: Duration) -> Self {
        Self { max_age, ..self }
    }

    /// Sets how many proofs the memory of this process holds, instead of [`MemoryReplays::DEFAULT_CAPACITY`]. A full
    /// memory refuses requests (503), because an accepted proof that is not stored could be replayed.
    pub fn replay_capacity(self, proofs: usize) -> Self {
        Self { replays: Replays::Memory(proofs), ..self }
    }

    /// Sets where accepted proofs are stored, instead of the memory of this process. Use it for a fleet: without a
    /// shared store, each replica accepts the same proof once.
    pub fn replay_store(self, store: impl ReplayStore) -> Self {
        Self { replays: Replays::Store(Arc::new(store)), ..self }
    }

    /// Requires each proof to contain a nonce of this process (RFC 9449 section 9). A request without one is refused with
    /// `error="use_dpop_nonce"` and the header `DPoP-Nonce`, and the client sends it again.
    ///
    /// An attacker then cannot send a proof to another replica or after a restart, and cannot prepare one in advance. A
    /// client needs a nonce of each replica. For clients that reach several replicas, use
    /// [`Dpop::require_nonce_of_fleet`].
    pub fn require_nonce(self) -> Self {
        Self { nonce: Nonce::OfProcess, ..self }
    }

    /// As [`Dpop::require_nonce`], with nonces that every process with this secret accepts. The secret has 32 random
    /// bytes or more. A proof with such a nonce is accepted once by each process, unless they share a
    /// [`replay_store`](Dpop::replay_store).
    pub fn require_nonce_of_fleet(self, secret: impl Into<Vec<u8>>) -> Self {
        Self { nonce: Nonce::OfFleet(secret.into()), ..self }
    }

    /// Checks the settings.
    pub(crate) fn build(self) -> Result<Proofs, String> {
        let bases = self.bases.iter().map(|url| {
            Base::parse(url)
                .ok_or_else(|| format!("`{}` is not an `http` or `https` URL of a service", quoted(url)))
        });
        if let Some(algorithm) = self.algorithms.iter().find(|algorithm| algorithm.is_symmetric()) {
            return Err(format!("{algorithm} uses a secret, and a proof contains its key"));
        }
        if self.algorithms.is_empty() {
            return Err("the list of algorithms is empty".to_owned());
        }
        let seconds = self.max_age.as_secs();
        if seconds == 0 || self.max_age.subsec_nanos() != 0 || self.max_age > Self::LONGEST_MAX_AGE {
            let most = Self::LONGEST_MAX_AGE.as_secs();
            return Err(format!("a proof of {:?} is not one of 1 to {most} whole seconds", self.max_age));
        }
        let replays: Arc<dyn ReplayStore> = match self.replays {
            Replays::Store(store) => store,
            Replays::Memory(capacity) => Arc::new(MemoryReplays::new(capacity)?),
        };
        let nonces = match self.nonce {
            Nonce::NotRequired => None,
            Nonce::OfProcess => Some(Nonces::random()?),
            Nonce::OfFleet(secret) => Some(Nonces::of_secret(secret)?),
        };
        let mut algorithms: Vec<_> = Vec::new();
        for algorithm in self.algorithms {
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        Ok(Proofs {
            bases: bases.collect::<Result<_, _>>()?,
            names: algorithms.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>().join(" "),
            algorithms: algorithms.into_iter().collect(),
            max_age: i64::try_from(seconds).unwrap_or(i64::MAX),
            replays,
            nonces,
        })
    }
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop")
            .field("urls", &self.bases)
            .field("algorithms", &self.algorithms)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}

/// The checked settings of a verifier.
pub(crate) struct Proofs {
    bases: Vec<Base>,
    algorithms: AlgorithmSet,
    /// The names of the algorithms, for the challenge.
    names: String,
    /// In seconds.
    max_age: i64,
    replays: Arc<dyn ReplayStore>,
    nonces: Option<Nonces>,
}

impl Proofs {
    /// The accepted algorithms, separated by spaces (RFC 9449 section 7.1).
    pub(crate) fn algorithm_names(&self) -> &str {
        &self.names
    }

    /// A nonce for the next proof of a client, if proofs need one.
    pub(crate) fn next_nonce(&self, now: Timestamp) -> Option<String> {
        self.nonces.as_ref().map(|nonces| nonces.issue(now))
    }

    /// Records an accepted proof, so that it is not accepted again.
    pub(crate) fn spend(&self, proof: &SpentProof, at: Moment) -> Result<(), Denial> {
        self.replays.spend(proof, at.now).map_err(|error| match error {
            ReplayError::Replayed => Denial::new(Code::ProofMismatch, "the proof was used before"),
            ReplayError::Full => Denial::new(
                Code::ProofUnavailable,
                "the memory of proofs is full, so no proof can be recorded",
            ),
            ReplayError::Unavailable(why) => {
                Denial::new(Code::ProofUnavailable, format!("the proof cannot be recorded: {}", quoted(&why)))
            }
        })
    }
}
