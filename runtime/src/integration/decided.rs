//! What a guard leaves in a request for an argument `caller: Caller` that follows: one request, one
//! decision, one record.

use crate::{caller::Caller, verifier::Verifier};

/// A decision in the caller's favour. Another verifier's does not count, nor one about another token
/// that a layer has put into the request since, nor one that has outlived its key or its token or come before its
/// revocation, as it may where a layer carries it over to a later request. `V` is the framework's header
/// value.
#[derive(Clone)]
pub(super) struct Decided<V> {
    authorization: Option<V>,
    caller: Caller,
    /// Of the revocations, from before the decision.
    epoch: Option<u64>,
}

impl<V: Clone + PartialEq> Decided<V> {
    pub(super) fn new<'r>(
        mut authorization: impl Iterator<Item = &'r V>,
        caller: Caller,
        epoch: Option<u64>,
    ) -> Self
    where
        V: 'r,
    {
        Self { authorization: authorization.next().cloned(), caller, epoch }
    }

    /// The caller, if the decision is this verifier's and about these headers, and the token would be accepted now.
    pub(super) fn caller<'r>(
        &self,
        verifier: &Verifier,
        mut authorization: impl Iterator<Item = &'r V>,
    ) -> Option<Caller>
    where
        V: 'r,
    {
        let same = self.caller.is_of(verifier.recorder())
            && authorization.next() == self.authorization.as_ref()
            && authorization.next().is_none();
        let is_good = || self.caller.check_again(verifier.recorder().moment(), self.epoch).is_ok();
        (same && is_good()).then(|| self.caller.clone())
    }
}
