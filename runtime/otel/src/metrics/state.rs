//! The keys of a key ring, as labels and numbers.

use std::time::Duration;

use opentelemetry::KeyValue;
use service_only::{
    __satellite::escaped,
    clock::Timestamp,
    keys::{KeyId, KeyRing, KeyState},
};

pub(crate) struct RingKey {
    kid: KeyId,
    state: KeyState,
    prepared_at: Option<Timestamp>,
}

pub(crate) fn keys(ring: &KeyRing) -> impl Iterator<Item = RingKey> {
    ring.states().into_iter().map(|(kid, state)| {
        let prepared_at = ring.prepared_at(kid.as_str());
        RingKey { kid, state, prepared_at }
    })
}

impl RingKey {
    /// Uses the same text for a key as the counts of its uses, so that the two can be joined.
    pub(crate) fn labels(&self, issuer: &str) -> [KeyValue; 2] {
        let kid = escaped(self.kid.as_str(), KeyId::MAX_LENGTH).into_owned();
        [KeyValue::new("issuer", issuer.to_owned()), KeyValue::new("kid", kid)]
    }

    pub(crate) fn state(&self) -> &'static str {
        self.state.as_str()
    }

    pub(crate) fn age(&self, now: Timestamp) -> Option<Duration> {
        Some(now.since(self.prepared_at?).unwrap_or_default())
    }
}
