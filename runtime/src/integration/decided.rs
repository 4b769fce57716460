//! What a decision leaves in a request for those that follow, a guard, a caller or an identity, in any order: one
//! request, one decision about who calls, one record.

use std::sync::Arc;

#[cfg(any(feature = "actix", feature = "axum"))]
use crate::recorder::Recorded;
use crate::{caller::Identity, recorder::Attempt, verifier::Verifier};

/// A decision in favour of a service or a user. Another verifier's does not count, nor one about another token
/// that a layer has put into the request since, nor one that has outlived its key or its token or come before its
/// revocation, as it may where a layer carries it over to a later request. `V` is the framework's header
/// value.
#[derive(Clone)]
pub(crate) struct Decided<V> {
    authorization: Option<V>,
    identity: Identity,
    /// Of the revocations, from before the decision.
    #[cfg_attr(not(any(feature = "actix", feature = "axum")), expect(dead_code, reason = "for extractors"))]
    epoch: Option<u64>,
    #[cfg_attr(not(any(feature = "actix", feature = "axum")), expect(dead_code, reason = "for extractors"))]
    owner: Owner,
}

/// Who keeps the attempt open.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A guard or a layer, until the handler has ended.
    Guard,
    /// Each extractor: the handler has no guard.
    #[cfg(any(feature = "actix", feature = "axum"))]
    Extractors,
}

impl<V: Clone + PartialEq> Decided<V> {
    /// Links to the attempt. A guard, a layer or an extractor owns it.
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

    /// The same, which owns the attempt as well, for as long as the request is there: a layer may drop what it
    /// extracted before the handler runs.
    #[cfg(feature = "axum")]
    pub(crate) fn owning(self) -> Self {
        match self.identity.attempts().current() {
            Some(attempt) => Self { identity: self.identity.owning(attempt), ..self },
            None => self,
        }
    }

    /// The attempt that this decision opened, for a decision about the same token.
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

    /// Who it is, if the decision is this verifier's and about these headers, and the token would be accepted
    /// now. Users are decided about again.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) fn caller<'r>(
        &self,
        verifier: &Verifier,
        authorization: impl Iterator<Item = &'r V>,
    ) -> Option<crate::caller::Caller>
    where
        V: 'r,
    {
        let Identity::Service(caller) = &self.identity else { return None };
        let is_good = || caller.check_again(verifier.recorder().moment(), self.epoch).is_ok();
        if !(self.is_about(verifier, authorization) && is_good()) {
            return None;
        }
        Some(match (self.owner, caller.attempts().current()) {
            (Owner::Extractors, Some(attempt)) => caller.without_attempt().owning(attempt),
            _ => caller.clone(),
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
