//! Where a verifier gets its keys from: anything that publishes immutable snapshots.

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

use super::{KeySet, VerifyingKey};

/// Publishes the current keys of one issuer.
///
/// A [`KeySet`] is a source that never changes. `snapshot` is called for every token: it must not
/// wait, for a network, a disk, or a lock that is held for long.
pub trait KeySource: Send + Sync + 'static {
    /// The keys that are good now.
    ///
    /// # Errors
    /// When there are none to trust any more. The verifier answers 503 then.
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable>;

    /// Asked when a token names a `kid` that the snapshot does not have, or there is no snapshot (`kid` is
    /// empty then for a token that names none): a future that ends when it is worth looking again, within a bounded time, or `None` when waiting
    /// is pointless. An attacker chooses `kid`, so a source must bound how often it goes looking.
    fn refresh_for(&self, kid: &str) -> Option<Refresh<'_>> {
        let _ = kid;
        None
    }

    /// Whether [`refresh_for`](Self::refresh_for) may ever offer to look. Asked once, when a verifier is
    /// built: a source that says no spares every request the question.
    fn refreshes(&self) -> bool {
        true
    }

    /// Whether `keys`, which came from this source, are the very set that `snapshot` would give now. A
    /// verifier asks before it lets in a token that it remembers, and forgets what rests on other keys.
    ///
    /// Left out, it compares with a snapshot. A source whose snapshots are a new set each time says no
    /// each time then, and none of its tokens is remembered.
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

/// A single key, as a source that never changes.
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

/// A source that has no keys to trust; says why, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysUnavailable {
    reason: String,
    pending: bool,
}

impl KeysUnavailable {
    /// An error with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), pending: false }
    }

    /// The source was started and has not loaded its first keys yet. A verifier is built with such a
    /// source, and answers 503 until the keys are there.
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
