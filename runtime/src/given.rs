//! A guard for a function whose arguments are fixed, as those of a trait's methods are, or that no
//! framework calls: what it was given is checked by one statement at its start, or the function returns
//! the refusal.

use crate::{
    authorize::authorize,
    caller::Caller,
    claims::ServiceClaims,
    denial::{Denial, quoted},
    guard::StaticPolicy,
    policy::{Endpoint, Policy},
    recorder::{Recorder, RequestContext},
    verifier::check_times,
};

/// Something that a policy can be applied to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say who calls",
    label = "this argument is checked by `#[service_only]`",
    note = "it checks a `&service_only::Caller` and a `&service_only::ServiceClaims`; a type of your own needs another name"
)]
pub trait Given {
    /// Decides, and records the decision.
    ///
    /// # Errors
    /// When the policy is not met, or the token's time is not now.
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<(), Denial>;
}

/// Proof. Who it is was decided by the verifier, whose clock and audit this decision shares. A caller
/// that was kept does not outlive its key, its token, or its revocation.
impl Given for Caller {
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<(), Denial> {
        let decided = self.recorder().decide(
            || at(endpoint),
            |at, known| {
                known.caller = Some(self.clone());
                self.check_again(at, None)?;
                authorize(self, policy, at)
            },
        );
        decided.map_err(|(denial, _)| denial)
    }
}

/// Data that anyone may build: that a signature was checked is the word of whoever gives it. So the
/// record shows the name as unverified, and goes where that of a verifier goes which was told nothing
/// else.
impl Given for ServiceClaims {
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<(), Denial> {
        let decided = Recorder::default().decide(
            || at(endpoint),
            |at, known| {
                known.unverified_service = Some(quoted(self.service.as_str()));
                check_times(self.exp, self.nbf, at)?;
                authorize(self, policy, at)
            },
        );
        decided.map_err(|(denial, _)| denial)
    }
}

fn at(endpoint: Endpoint) -> RequestContext<'static> {
    RequestContext { endpoint: Some(endpoint), ..RequestContext::default() }
}

/// The check that the attribute puts first in the body.
///
/// # Errors
/// When the caller may not call.
pub fn check<P: StaticPolicy>(given: &impl Given) -> Result<(), Denial> {
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
