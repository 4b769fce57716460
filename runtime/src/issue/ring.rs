//! The issuer's side of a key rotation: the private keys, of which the active one signs.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{PublicJwk, SigningKey};
use crate::{
    clock::{Clock, SystemClock},
    keys::{KeyError, KeyId, KeyRing, KeySet, KeySource, KeyState, KeysUnavailable},
};

/// The signing keys of an issuer that rotates them. It is cheap to clone, and all clones share one ring.
///
/// It is also a [`KeySource`] of all prepared, active and retiring keys, for a verifier in the
/// same process. Other verifiers need its [`jwks`](Self::jwks).
///
/// ```
/// use std::time::Duration;
/// use service_only::{Algorithm, issue::{SigningKey, SigningRing}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ring = SigningRing::new(SigningKey::generate(Algorithm::ES256)?, Duration::from_secs(3600))?;
///
/// let next = SigningKey::generate(Algorithm::ES256)?;
/// let kid = next.kid().clone();
/// ring.prepare(next)?;
/// assert!(ring.jwks().contains(kid.as_str()));
/// // … once every verifier has refreshed its copy …
/// ring.activate(kid.as_str())?;
/// assert_eq!(ring.signing_key().kid(), &kid);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SigningRing(Arc<Signing>);

struct Signing {
    ring: KeyRing,
    active: ArcSwap<SigningKey>,
    /// All keys except the retired ones, by name. Locked during every change, so that both sides agree.
    keys: Mutex<BTreeMap<KeyId, Arc<SigningKey>>>,
}

impl SigningRing {
    /// Creates a ring whose first key signs immediately. `overlap` is the same as in [`KeyRing::new`].
    ///
    /// # Errors
    /// As [`KeyRing::new`].
    pub fn new(active: impl Into<Arc<SigningKey>>, overlap: Duration) -> Result<Self, KeyError> {
        Self::with_clock(active, overlap, SystemClock)
    }

    /// Creates a ring like [`SigningRing::new`], which reads the time from `clock`.
    ///
    /// # Errors
    /// As [`KeyRing::new`].
    pub fn with_clock(
        active: impl Into<Arc<SigningKey>>,
        overlap: Duration,
        clock: impl Clock,
    ) -> Result<Self, KeyError> {
        let active = active.into();
        let ring = KeyRing::with_clock(active.verifying_key(), overlap, clock)?;
        let keys = Mutex::new(BTreeMap::from([(active.kid().clone(), Arc::clone(&active))]));
        Ok(Self(Arc::new(Signing { ring, active: ArcSwap::new(active), keys })))
    }

    /// Adds a key that is published from now on but does not sign yet.
    ///
    /// # Errors
    /// As [`KeyRing::prepare`].
    #[doc(alias = "announce")]
    pub fn prepare(&self, key: impl Into<Arc<SigningKey>>) -> Result<(), KeyError> {
        let key = key.into();
        let mut keys = self.keys();
        self.0.ring.prepare(key.verifying_key())?;
        keys.insert(key.kid().clone(), key);
        Ok(())
    }

    /// Makes a prepared key the one that signs; see [`KeyRing::activate`].
    ///
    /// # Errors
    /// As [`KeyRing::activate`].
    #[doc(alias = "rotate")]
    pub fn activate(&self, kid: &str) -> Result<(), KeyError> {
        let keys = self.keys();
        self.0.ring.activate(kid)?;
        if let Some(key) = keys.get(&KeyId::new(kid)) {
            self.0.active.store(Arc::clone(key));
        }
        Ok(())
    }

    /// Ends the trust in a key immediately; see [`KeyRing::retire`]. The private key is dropped, and its
    /// material zeroed.
    ///
    /// # Errors
    /// As [`KeyRing::retire`].
    pub fn retire(&self, kid: &str) -> Result<(), KeyError> {
        let mut keys = self.keys();
        self.0.ring.retire(kid)?;
        keys.remove(&KeyId::new(kid));
        Ok(())
    }

    /// The key that signs now. Call this for every token: a key that you store would sign after its time is over.
    pub fn signing_key(&self) -> Arc<SigningKey> {
        self.0.active.load_full()
    }

    /// All keys and their current states; see [`KeyRing::states`].
    pub fn states(&self) -> Vec<(KeyId, KeyState)> {
        self.0.ring.states()
    }

    /// The JWK set to publish: the public keys of all prepared, active and retiring keys. HMAC
    /// keys have no public key.
    pub fn jwks(&self) -> String {
        let keys = self.keys();
        let public: Vec<_> = keys.values().filter_map(|key| key.public_jwk()).collect();
        PublicJwk::set(&public)
    }

    /// Locks the keys, without those that have retired in the meantime.
    fn keys(&self) -> MutexGuard<'_, BTreeMap<KeyId, Arc<SigningKey>>> {
        let mut keys = self.0.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.retain(|kid, _| self.0.ring.state(kid.as_str()) != Some(KeyState::Retired));
        keys
    }
}

impl KeySource for SigningRing {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        self.0.ring.snapshot()
    }

    fn refreshes(&self) -> bool {
        false
    }

    fn is_current(&self, keys: &KeySet) -> bool {
        self.0.ring.is_current(keys)
    }
}

impl fmt::Debug for SigningRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningRing").field(&self.0.ring).finish()
    }
}
