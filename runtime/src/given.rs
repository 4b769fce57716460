//! A guard for a function whose arguments are fixed, as those of a trait's methods are, or that no
//! framework calls: what it was given is checked by one statement at its start, or the function returns
//! the refusal.

#![expect(missing_debug_implementations, reason = "hidden")]

use std::sync::Arc;

use crate::{
    audit::{RequestContext, Subject},
    authorize::authorize,
    caller::Caller,
    claims::ServiceClaims,
    denial::{Denial, quoted},
    guard::StaticPolicy,
    policy::{Endpoint, Policy},
    recorder::{Attempt, Attempted, Identified, NoRequest, Recorded, Recorder, Refused as RefusedToken},
    times::check_times,
};

/// Something that a policy can be applied to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who calls",
    label = "this argument is checked by `#[service_only]`",
    note = "it checks a `&service_only::Caller` and a `&service_only::claims::ServiceClaims`; a type of your own needs another name"
)]
pub trait Given {
    /// Decides, and records the decision.
    ///
    /// # Errors
    /// When the policy is not met, or the token's time is not now.
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<Checked, Denial>;
}

/// Proof that a function may run. The function keeps it until it ends.
#[must_use = "the record is written when it is dropped"]
pub struct Checked {
    attempt: Option<Arc<Attempt>>,
    /// Whether the attempt ends with the function, and not with the request that the function answers.
    is_last: bool,
}

impl Checked {
    const fn without_attempt() -> Self {
        Self { attempt: None, is_last: false }
    }

    /// Keeps the attempt of a request open.
    #[cfg(feature = "tonic")]
    pub(crate) const fn of_request(attempt: Option<Arc<Attempt>>) -> Self {
        Self { attempt, is_last: false }
    }
}

impl Drop for Checked {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.as_ref().filter(|_| self.is_last) {
            attempt.finish();
        }
    }
}

/// Proof. Who it is was decided by the verifier, whose clock and audit this decision shares. A caller
/// that was kept does not outlive its key, its token, or its revocation.
///
/// The decision is about the attempt that the caller belongs to: the request that its handler still answers, or the
/// token that was verified for this function. Otherwise the function starts a new attempt: for a stored caller, and
/// for a caller that another function already uses.
impl Given for Caller {
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<Checked, Denial> {
        let earlier = self.attempts().current().filter(|earlier| earlier.is_request() || earlier.claim());
        let joins = earlier.clone();
        let asked = || Attempted { endpoint: Some(endpoint), request: NoRequest, earlier };
        let decided = self.recorder().decide(asked, |at| {
            let checked = self.check_again(at, None).and_then(|()| authorize(self.claims(), policy, at));
            match checked {
                Ok(()) => Ok(self.without_attempt()),
                Err(denial) => Err(self.refused(denial)),
            }
        });
        let attempt = decided.map_err(|(denial, _)| denial)?.release();
        let is_joined = attempt.as_ref().zip(joins).is_some_and(|(own, joined)| Arc::ptr_eq(own, &joined));
        Ok(match attempt {
            // The request's own end closes it.
            Some(attempt) if is_joined && attempt.is_request() => Checked::without_attempt(),
            Some(attempt) => {
                if !is_joined {
                    self.attempts().add(&attempt);
                }
                Checked { attempt: Some(attempt), is_last: true }
            }
            None => Checked::without_attempt(),
        })
    }
}

/// Data that any code can build. The record shows the name as unverified, and goes to the default sink, as no verifier
/// is involved.
impl Given for ServiceClaims {
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<Checked, Denial> {
        let request = || RequestContext { endpoint: Some(endpoint), ..RequestContext::default() };
        let decided = Recorder::default().decide_at_once(request, |at| {
            let unverified = UnverifiedName(quoted(self.service.as_str()));
            match check_times(self.exp, self.nbf, at).and_then(|()| authorize(self, policy, at)) {
                Ok(()) => Ok(Arc::new(unverified)),
                Err(denial) => Err(RefusedToken { unverified_service: Some(unverified.0), ..denial.into() }),
            }
        });
        decided.map(|_| Checked::without_attempt()).map_err(|(denial, _)| denial)
    }
}

/// The service that claims name which no verifier has seen.
struct UnverifiedName(String);

impl Identified for UnverifiedName {
    fn subject(&self) -> Subject<'_> {
        Subject { unverified_service: Some(&self.0), ..Subject::default() }
    }
}

impl Recorded for Arc<UnverifiedName> {
    fn identified(&self) -> Option<Arc<dyn Identified>> {
        Some(self.clone())
    }

    fn owning(self, _: Arc<Attempt>) -> Self {
        self
    }
}

/// The check that the attribute puts first in the body.
///
/// # Errors
/// When the caller may not call.
pub fn check<P: StaticPolicy>(given: &impl Given) -> Result<Checked, Denial> {
    given.decide(&P::POLICY, P::endpoint())
}

/// Something that says who calls, and can be decided about by itself.
#[diagnostic::on_unimplemented(
    message = "a guarded method cannot check its caller by a `{Self}`",
    label = "this argument is what the caller is known by",
    note = "the request comes first, and the cargo feature of its framework must be on"
)]
pub trait Admit: Sized {
    /// What a stranger gets.
    type Refusal;

    /// Decides, records, and gives back what it was called on, if the policy `P` is met.
    fn admit<P: StaticPolicy>(self) -> impl Future<Output = Result<Self, Self::Refusal>> + Send;

    /// Takes out what the method keeps until it ends: the request itself may be consumed before.
    fn hold(self) -> (Checked, Self) {
        (Checked::without_attempt(), self)
    }
}

/// What a guarded function returns: something that can be a refusal.
#[diagnostic::on_unimplemented(
    message = "a guarded function must return a `Result` whose error can be made from `{R}`, and this one returns `{Self}`",
    label = "a refusal has no place in this return type"
)]
pub trait Refused<R>: Sized {
    /// The refusal as the function's answer.
    fn refused(refusal: R) -> Self;
}

// So that the message above is shown, rather than what this blanket needs.
#[diagnostic::do_not_recommend]
impl<T, E: From<R>, R> Refused<R> for Result<T, E> {
    fn refused(refusal: R) -> Self {
        Err(refusal.into())
    }
}
