//! The sources of a verifier's keys: any type that publishes immutable snapshots.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

use super::{KeySet, VerifyingKey};

/// Publishes the current keys of one issuer.
///
/// A [`KeySet`] is a source that never changes. `snapshot` is called for every token: it must not
/// wait for a network, a disk, or a lock that is held for long.
pub trait KeySource: Send + Sync + 'static {
    /// Returns the keys that are valid now.
    ///
    /// # Errors
    /// When the source has no trusted keys any more. The verifier answers 503 then.
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable>;

    /// Offers a wait for newer keys. A verifier calls it when a token names a `kid` that the snapshot does not
    /// have, or when the snapshot failed (`kid` is empty then for a token without a `kid`).
    ///
    /// Return a future that ends within a bounded time, after which the verifier reads the snapshot again. Return
    /// `None` if waiting is pointless. An attacker chooses `kid`, so a source must limit how often it fetches.
    fn refresh_for(&self, kid: &str) -> Option<Refresh<'_>> {
        let _ = kid;
        None
    }

    /// Whether [`refresh_for`](Self::refresh_for) may ever return a future. It is called once, when a verifier is
    /// built. A source that returns `false` saves every request that call.
    fn refreshes(&self) -> bool {
        true
    }

    /// Whether `keys`, which came from this source, are the same set that `snapshot` would return now. A
    /// verifier calls it before it accepts a cached token, and evicts the entries that depend on other keys.
    ///
    /// The default compares `keys` with a snapshot. If every snapshot of a source is a new set, that is always
    /// `false`, and none of its tokens is cached.
    fn is_current(&self, keys: &KeySet) -> bool {
        self.snapshot().is_ok_and(|now| now.is(keys))
    }
}

/// A bounded wait for newer keys.
pub type Refresh<'s> = Pin<Box<dyn Future<Output = ()> + Send + 's>>;

impl KeySource for KeySet {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        Ok(self.clone())
    }

    fn refreshes(&self) -> bool {
        false
    }

    fn is_current(&self, keys: &KeySet) -> bool {
        self.is(keys)
    }
}

impl<K: KeySource + ?Sized> KeySource for Arc<K> {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        (**self).snapshot()
    }

    fn refresh_for(&self, kid: &str) -> Option<Refresh<'_>> {
        (**self).refresh_for(kid)
    }

    fn refreshes(&self) -> bool {
        (**self).refreshes()
    }

    fn is_current(&self, keys: &KeySet) -> bool {
        (**self).is_current(keys)
    }
}

/// A single key is a source that never changes.
impl KeySource for VerifyingKey {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        Ok(self.alone().clone())
    }

    fn refreshes(&self) -> bool {
        false
    }

    fn is_current(&self, keys: &KeySet) -> bool {
        self.alone().is(keys)
    }
}

/// Why a source has no trusted keys, with a reason for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysUnavailable {
    reason: String,
    pending: bool,
}

impl KeysUnavailable {
    /// Creates an error with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), pending: false }
    }

    /// Creates an error for a source that was started and has not loaded its first keys yet. A verifier can be
    /// built with such a source, and answers 503 until the keys are loaded.
    pub fn pending(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), pending: true }
    }

    /// Whether the source has not loaded its first keys yet.
    pub fn is_pending(&self) -> bool {
        self.pending
    }
}

impl fmt::Display for KeysUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for KeysUnavailable {}
