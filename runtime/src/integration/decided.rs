//! Stores a decision in a request, so that later extractors share it. A guard, a caller and an identity may follow in
//! any order: one request has one decision about its caller, and one record.

#[cfg(any(feature = "actix", feature = "axum"))]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::{caller::Identity, recorder::Attempt, verifier::Verifier};
#[cfg(any(feature = "actix", feature = "axum"))]
use crate::{proof::Evidence, recorder::Recorded};

/// A decision that admitted a service or a user. It is ignored if it comes from another verifier, or if a layer has
/// put another token into the request since. A layer may also carry it over to a later request. So it is ignored if
/// its key or its token has become invalid, or if it is older than a revocation. `V` is the framework's header
/// value.
#[derive(Clone)]
pub(crate) struct Decided<V> {
    authorization: Option<V>,
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

impl<V: Clone + PartialEq> Decided<V> {
    /// Stores a decision that is linked to the attempt. A guard, a layer or an extractor owns the attempt.
    pub(crate) fn new<'r>(
        mut authorization: impl Iterator<Item = &'r V>,
        identity: &Identity,
        epoch: Option<u64>,
        owner: Owner,
    ) -> Self
    where
        V: 'r,
    {
        Self { authorization: authorization.next().cloned(), identity: identity.clone(), epoch, owner }
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
    pub(crate) fn attempt<'r>(
        &self,
        verifier: &Verifier,
        authorization: impl Iterator<Item = &'r V>,
    ) -> Option<Arc<Attempt>>
    where
        V: 'r,
    {
        if !self.is_about(verifier, authorization) {
            return None;
        }
        self.identity.attempts().current()
    }

    /// Returns the identity, if this verifier decided about these headers and would accept the token now.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) fn identity<'r>(
        &self,
        verifier: &Verifier,
        authorization: impl Iterator<Item = &'r V>,
        evidence: Evidence<'_>,
    ) -> Option<Identity>
    where
        V: 'r,
    {
        // A part of the verifier that panics is asked again by the decision, which records the refusal.
        let check = || {
            let at = verifier.recorder().moment();
            // A layer may have carried the decision over to a request of another connection.
            self.identity.check_proof(evidence, at).is_ok()
                && self.identity.check_again(at, self.epoch).is_ok()
        };
        let is_good = || catch_unwind(AssertUnwindSafe(check)).unwrap_or(false);
        if !(self.is_about(verifier, authorization) && is_good()) {
            return None;
        }
        Some(match (self.owner, self.identity.attempts().current()) {
            (Owner::Extractors, Some(attempt)) => self.identity.without_attempt().owning(attempt),
            _ => self.identity.clone(),
        })
    }

    fn is_about<'r>(&self, verifier: &Verifier, mut authorization: impl Iterator<Item = &'r V>) -> bool
    where
        V: 'r,
    {
        self.identity.is_of(verifier.recorder())
            && authorization.next() == self.authorization.as_ref()
            && authorization.next().is_none()
    }
}
