//! Stores a decision in a request, so that later extractors share it. A guard, a caller and an identity may follow in
//! any order: one request has one decision about its caller, and one record.

#[cfg(any(feature = "actix", feature = "axum"))]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

#[cfg(any(feature = "actix", feature = "axum"))]
use crate::recorder::Recorded;
use crate::{
    caller::Identity,
    peer::PeerCertificate,
    recorder::{Attempt, Recorder},
    verifier::{Companion, Verifier},
};

/// The headers of a request that its decision depends on. `V` is the framework's header value.
pub(crate) trait Credentials<V: 'static> {
    fn authorization(&self) -> impl Iterator<Item = &V>;

    /// The headers that accompany it.
    fn companions(&self, companion: Companion) -> impl Iterator<Item = &V>;
}

/// A decision that admitted a service or a user. It is ignored if it comes from another verifier, or if a layer has
/// put another token into the request since. A layer may also carry it over to a later request. So it is ignored if
/// its key or its token has become invalid, or if it is older than a revocation.
#[derive(Clone)]
pub(crate) struct Decided<V> {
    authorization: Option<V>,
    /// The header that accompanies the `Authorization` header, if the token is bound to a key.
    companion: Option<V>,
    identity: Identity,
    /// The epoch of the revocations, read before the decision.
    #[cfg_attr(not(any(feature = "actix", feature = "axum")), expect(dead_code, reason = "for extractors"))]
    epoch: Option<u64>,
    #[cfg_attr(not(any(feature = "actix", feature = "axum")), expect(dead_code, reason = "for extractors"))]
    owner: Owner,
}

/// The owner of the attempt, which keeps it open.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A guard or a layer, until the handler has ended.
    Guard,
    /// Each extractor, because the handler has no guard.
    #[cfg(any(feature = "actix", feature = "axum"))]
    Extractors,
}

impl<V: Clone + PartialEq + 'static> Decided<V> {
    /// Stores a decision that is linked to the attempt. A guard, a layer or an extractor owns the attempt.
    pub(crate) fn new(
        credentials: &impl Credentials<V>,
        identity: &Identity,
        epoch: Option<u64>,
        owner: Owner,
    ) -> Self {
        let companion = companion(identity).and_then(|name| credentials.companions(name).next().cloned());
        let authorization = credentials.authorization().next().cloned();
        Self { authorization, companion, identity: identity.clone(), epoch, owner }
    }

    /// Stores a decision that also owns the attempt, for as long as the request exists: a layer may drop what it
    /// extracted before the handler runs.
    #[cfg(feature = "axum")]
    pub(crate) fn owning(self) -> Self {
        match self.identity.attempts().current() {
            Some(attempt) => Self { identity: self.identity.owning(attempt), ..self },
            None => self,
        }
    }

    /// Returns the attempt that this decision opened, for a decision about the same token.
    pub(crate) fn attempt(
        &self,
        verifier: &Verifier,
        credentials: &impl Credentials<V>,
        peer: Option<&PeerCertificate>,
    ) -> Option<Arc<Attempt>> {
        if !self.is_about(verifier.recorder(), credentials, peer) {
            return None;
        }
        self.identity.attempts().current()
    }

    /// Returns the identity, if this verifier decided about these headers and would accept the token now.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) fn identity(
        &self,
        verifier: &Verifier,
        credentials: &impl Credentials<V>,
        peer: Option<&PeerCertificate>,
    ) -> Option<Identity> {
        // A part of the verifier that panics is asked again by the decision, which records the refusal.
        let check = || {
            let at = verifier.recorder().moment();
            // A layer may have carried the decision over to a request of another connection. The other proofs are
            // headers, which were compared.
            let is_proven = self.companion.is_some() || self.identity.check_proof(peer.into(), at).is_ok();
            is_proven && self.identity.check_again(at, self.epoch).is_ok()
        };
        let is_good = || catch_unwind(AssertUnwindSafe(check)).unwrap_or(false);
        if !(self.is_about(verifier.recorder(), credentials, peer) && is_good()) {
            return None;
        }
        Some(match (self.owner, self.identity.attempts().current()) {
            (Owner::Extractors, Some(attempt)) => self.identity.without_attempt().owning(attempt),
            _ => self.identity.clone(),
        })
    }

    /// Returns the key of the proof of these headers, if this decision has accepted and recorded it.
    pub(crate) fn accepted_key(
        &self,
        recorder: &Arc<Recorder>,
        credentials: &impl Credentials<V>,
    ) -> Option<[u8; 32]> {
        let is_accepted = self.companion.is_some() && self.is_about(recorder, credentials, None);
        if is_accepted { self.identity.bound_key() } else { None }
    }

    fn is_about(
        &self,
        recorder: &Arc<Recorder>,
        credentials: &impl Credentials<V>,
        peer: Option<&PeerCertificate>,
    ) -> bool {
        self.identity.is_of(recorder)
            && self.identity.is_of_connection(peer)
            && is_only(credentials.authorization(), self.authorization.as_ref())
            && companion(&self.identity)
                .is_none_or(|name| is_only(credentials.companions(name), self.companion.as_ref()))
    }
}

/// The header that accompanies the `Authorization` header of a token that is bound to a key.
fn companion(identity: &Identity) -> Option<Companion> {
    identity.bound_key()?;
    #[cfg(feature = "experimental-wimse")]
    if identity.is_workload() {
        return Some(Companion::IdentityToken);
    }
    Some(Companion::Proof)
}

/// Whether this is the only value, or there is none.
fn is_only<'v, V: PartialEq + 'v>(mut values: impl Iterator<Item = &'v V>, expected: Option<&V>) -> bool {
    values.next() == expected && values.next().is_none()
}
