//! What a function without a framework is given: proof that a caller was verified, or claims. The
//! attribute checks that argument first, and the function returns what was wrong.

use crate::{
    authorize::authorize,
    caller::Caller,
    claims::ServiceClaims,
    denial::{Denial, quoted},
    guard::{RequestContext, StaticPolicy},
    policy::{Endpoint, Policy},
    recorder::Recorder,
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
/// that was kept does not outlive its token.
impl Given for Caller {
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<(), Denial> {
        let decided = self.recorder().decide(at(endpoint), |at, known| {
            known.kid = self.key_id().map(|kid| kid.as_str().to_owned());
            known.profile = Some(self.profile());
            known.caller = Some(self.clone());
            check_times(self.claims().exp, self.claims().nbf, at)?;
            authorize(self.claims(), policy, at)
        });
        decided.map_err(|(denial, _)| denial)
    }
}

/// Data that anyone may build: that a signature was checked is the word of whoever gives it. So the
/// record shows the name as unverified, and goes where that of a verifier goes which was told nothing
/// else.
impl Given for ServiceClaims {
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<(), Denial> {
        let decided = Recorder::default().decide(at(endpoint), |at, known| {
            known.unverified_service = Some(quoted(self.service.as_str()));
            check_times(self.exp, self.nbf, at)?;
            authorize(self, policy, at)
        });
        decided.map_err(|(denial, _)| denial)
    }
}

fn at(endpoint: Endpoint) -> RequestContext {
    RequestContext { endpoint: Some(endpoint), ..RequestContext::default() }
}

/// The check that the attribute puts first in the body.
///
/// # Errors
/// When the caller may not call.
pub fn check<P: StaticPolicy>(given: &impl Given) -> Result<(), Denial> {
    given.decide(&P::POLICY, P::endpoint())
}

/// A return value that can say that the caller was refused.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say that the caller was refused",
    label = "`#[service_only]` refuses a caller here",
    note = "return a `Result` whose error is made from a `{R}`, such as `Result<(), {R}>`"
)]
pub trait Refused<R> {
    /// The value that is returned instead of running the body.
    fn refused(refusal: R) -> Self;
}

// So that the message above is shown, rather than what this blanket needs.
#[diagnostic::do_not_recommend]
impl<T, E: From<R>, R> Refused<R> for Result<T, E> {
    fn refused(refusal: R) -> Self {
        Err(E::from(refusal))
    }
}
