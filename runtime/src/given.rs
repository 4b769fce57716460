//! Guards functions without a hidden argument: methods of a trait, whose arguments are fixed, and functions that no
//! framework calls. One statement at the start of the function checks an argument that identifies the caller. If the
//! check fails, the function returns the refusal.

#![expect(missing_debug_implementations, unnameable_types, reason = "hidden")]

use std::sync::Arc;

use crate::{
    audit::{RequestContext, Subject},
    authorize::{Known, authorize},
    caller::{Caller, Identity, User},
    claims::ServiceClaims,
    denial::{Denial, quoted},
    guard::StaticPolicy,
    policy::{Endpoint, Policy},
    recorder::{
        Attempt, Attempted, Attempts, Identified, NoRequest, Recorded, Recorder, Refused as RefusedToken,
    },
    sets::Sets,
    times::{Moment, check_times},
};

/// An argument that a policy can be applied to.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not identify the caller",
    label = "this argument is checked by `#[service_only]`",
    note = "it checks a `&service_only::Caller` and a `&service_only::claims::ServiceClaims`; a type of your own needs another name",
    note = "`#[users_only]` checks a `&service_only::User`, and `#[callers]` a `&service_only::Identity`"
)]
pub trait Given {
    /// Decides whether the policy is met, and records the decision.
    ///
    /// # Errors
    /// When the policy is not met, or the token is expired or not valid yet.
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<Checked, Denial>;
}

/// Proof that a function may run. The function keeps it until it ends.
#[must_use = "the record is written when it is dropped"]
pub struct Checked {
    attempt: Option<Arc<Attempt>>,
    /// Whether the attempt ends with the function. Otherwise it ends with the request that the function answers.
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

/// A caller is proof of its identity. The decision uses the clock and the audit sink of the verifier that verified
/// it. A stored caller is refused after its key or token has expired or was revoked.
///
/// The decision belongs to the attempt of the caller: the request that its handler still answers, or the
/// token that was verified for this function. Otherwise the function starts a new attempt: for a stored caller, and
/// for a caller that another function already uses.
impl Given for Caller {
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<Checked, Denial> {
        decide_again(endpoint, self.attempts(), self.recorder(), self.identified(), |at| {
            let checked = self.check_again(at, None).and_then(|()| self.meets(policy, &[], at));
            checked.map(|()| Identity::Service(self.without_attempt())).map_err(|denial| self.refused(denial))
        })
    }
}

/// A user is checked like a caller.
impl Given for User {
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<Checked, Denial> {
        Identity::User(self.clone()).decide_as(self.attempts(), policy, endpoint)
    }
}

/// A service or a user is checked like a caller.
impl Given for Identity {
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<Checked, Denial> {
        self.decide_as(self.attempts(), policy, endpoint)
    }
}

impl Identity {
    /// `attempts` are those of the argument, which this value may be a clone of.
    fn decide_as(
        &self,
        attempts: &Attempts,
        policy: &Policy<'_>,
        endpoint: Endpoint,
    ) -> Result<Checked, Denial> {
        decide_again(endpoint, attempts, self.recorder(), self.identified(), |at| {
            let checked = self.check_again(at, None).and_then(|()| self.meets(policy, &[], at));
            checked.map(|()| self.without_attempt()).map_err(|denial| self.refused(denial))
        })
    }
}

fn decide_again(
    endpoint: Endpoint,
    attempts: &Attempts,
    recorder: &Arc<Recorder>,
    who: Option<Arc<dyn Identified>>,
    decision: impl FnOnce(Moment) -> Result<Identity, RefusedToken>,
) -> Result<Checked, Denial> {
    let earlier = attempts.current().filter(|earlier| earlier.is_request() || earlier.claim());
    let joins = earlier.clone();
    let asked = || Attempted { endpoint: Some(endpoint), request: NoRequest, earlier, who };
    let attempt = recorder.decide(asked, decision)?.release();
    let is_joined = attempt.as_ref().zip(joins).is_some_and(|(own, joined)| Arc::ptr_eq(own, &joined));
    Ok(match attempt {
        // The attempt ends with the request.
        Some(attempt) if is_joined && attempt.is_request() => Checked::without_attempt(),
        Some(attempt) => {
            if !is_joined {
                attempts.add(&attempt);
            }
            Checked { attempt: Some(attempt), is_last: true }
        }
        None => Checked::without_attempt(),
    })
}

/// Claims are data that any code can build. The record contains the name as unverified, and goes to the default sink,
/// because no verifier is involved.
impl Given for ServiceClaims {
    fn decide(&self, policy: &Policy<'_>, endpoint: Endpoint) -> Result<Checked, Denial> {
        let request = || RequestContext { endpoint: Some(endpoint), ..RequestContext::default() };
        let sets = Sets::default();
        let known = Known { path: &[], sets: &sets };
        let decided = Recorder::default().decide_at_once(request, |at| {
            let unverified = UnverifiedName(quoted(self.service.as_str()));
            match check_times(self.exp, self.nbf, at)
                .and_then(|()| authorize(&self.into(), |_| None, policy, known, at))
            {
                Ok(()) => Ok(Arc::new(unverified)),
                Err(denial) => Err(RefusedToken { unverified_service: Some(unverified.0), ..denial.into() }),
            }
        });
        decided.map(|_| Checked::without_attempt()).map_err(|(denial, _)| denial)
    }
}

/// The service name in claims that no verifier has checked.
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

/// The check that the attribute inserts at the start of the body.
///
/// # Errors
/// When the caller does not meet the policy.
pub fn check<P: StaticPolicy>(given: &impl Given) -> Result<Checked, Denial> {
    given.decide(&P::POLICY, P::endpoint())
}

/// An argument that identifies the caller, and that a decision can be made about.
#[diagnostic::on_unimplemented(
    message = "a guarded method cannot identify its caller from `{Self}`",
    label = "this argument identifies the caller",
    note = "the request comes first, and the cargo feature of its framework must be on"
)]
pub trait Admit: Sized {
    /// The response to a refused caller.
    type Refusal;

    /// Decides, records the decision, and returns `self` if the policy `P` is met.
    fn admit<P: StaticPolicy>(self) -> impl Future<Output = Result<Self, Self::Refusal>> + Send;

    /// Takes out the proof that the method keeps until it ends, because the request may be consumed earlier.
    fn hold(self) -> (Checked, Self) {
        (Checked::without_attempt(), self)
    }
}

/// The return type of a guarded function: a type that can represent a refusal.
#[diagnostic::on_unimplemented(
    message = "a guarded function must return a `Result` whose error can be made from `{R}`, and this one returns `{Self}`",
    label = "this return type cannot contain a denial"
)]
pub trait Refused<R>: Sized {
    /// Converts the refusal to the function's return value.
    fn refused(refusal: R) -> Self;
}

// Show the message above, and not the requirements of this blanket implementation.
#[diagnostic::do_not_recommend]
impl<T, E: From<R>, R> Refused<R> for Result<T, E> {
    fn refused(refusal: R) -> Self {
        Err(refusal.into())
    }
}
