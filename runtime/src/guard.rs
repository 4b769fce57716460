//! The one choke point: authenticate, authorize, record. Every way in ends here.

use std::{fmt, marker::PhantomData, sync::Arc};

#[cfg(any(feature = "actix", feature = "tonic"))]
use crate::audit::RequestContext;
use crate::{
    caller::Caller,
    denial::Denial,
    policy::{Endpoint, Policy},
    recorder::Attempt,
    verifier::Verifier,
};
#[cfg(any(feature = "actix", feature = "tonic"))]
use crate::{denial::Code, recorder::Recorder};
#[cfg(any(feature = "actix", feature = "axum", feature = "tonic"))]
use crate::{
    recorder::{Asked, Attempted},
    rejection::Rejection,
};

/// A policy and an endpoint carried by a type; what the attribute puts into the signature.
pub trait StaticPolicy: 'static {
    /// What the handler asks of its caller.
    const POLICY: Policy<'static>;
    /// The handler.
    fn endpoint() -> Endpoint;
}

/// A reason and an endpoint carried by a type; what `#[public]` puts into the signature.
pub trait StaticReason: 'static {
    /// Why anybody may call.
    fn reason() -> &'static str;
    /// The handler.
    fn endpoint() -> Endpoint;
}

/// The hidden first argument of a handler that anybody may call.
pub struct Public<R>(PhantomData<fn() -> R>);

impl<R: StaticReason> Public<R> {
    /// Asks nothing of the caller.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) const fn anybody() -> Self {
        Self(PhantomData)
    }
}

impl<R> fmt::Debug for Public<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Public")
    }
}

/// The hidden first argument of a guarded handler: proof that the policy `P` was met.
///
/// It has one constructor, which follows a decision. It keeps the attempt open until the handler ends, which drops
/// it.
pub struct Guard<P> {
    /// `None` where the record is written, or none is wanted.
    #[cfg_attr(not(feature = "tonic"), expect(dead_code, reason = "its drop is what counts"))]
    attempt: Option<Arc<Attempt>>,
    policy: PhantomData<fn() -> P>,
}

impl<P: StaticPolicy> Guard<P> {
    /// Decides about one request. The caller is linked to the attempt that the guard keeps open.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tonic"))]
    pub(crate) fn enforce<'a, A: Asked>(
        verifier: &Verifier,
        authorization: impl Iterator<Item = &'a [u8]>,
        request: impl FnOnce() -> (A, Option<Arc<Attempt>>),
    ) -> Result<(Self, Caller), Rejection> {
        let asked = || {
            let (request, earlier) = request();
            Attempted { endpoint: Some(P::endpoint()), request, earlier }
        };
        let mut caller = verifier.enforce_request(authorization, &P::POLICY, asked)?;
        let attempt = caller.release();
        Ok((Self::granted(&caller, attempt), caller))
    }

    /// Decides about one token, for a test that calls the handler as a function.
    ///
    /// # Errors
    /// When the verifier refuses the token, or the policy the caller.
    pub fn of_token(verifier: &Verifier, token: &str) -> Result<Self, Denial> {
        let mut caller = verifier.verify_with(token, &P::POLICY)?;
        let attempt = caller.release();
        Ok(Self::granted(&caller, attempt))
    }

    /// The one constructor: a caller for whom the policy was decided.
    fn granted(_: &Caller, attempt: Option<Arc<Attempt>>) -> Self {
        Self { attempt, policy: PhantomData }
    }

    /// What it keeps open.
    #[cfg(feature = "tonic")]
    pub(crate) fn into_attempt(self) -> Option<Arc<Attempt>> {
        self.attempt
    }

    /// Refuses because there is no verifier to ask.
    #[cfg(any(feature = "actix", feature = "tonic"))]
    pub(crate) fn refuse_unverifiable(request: &impl Asked, remedy: &str) -> Rejection {
        refuse_unverifiable(Some(P::endpoint()), request, remedy)
    }
}

impl<P> fmt::Debug for Guard<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

/// Decides where no verifier was installed: nobody is let in. The record goes where those of a verifier
/// go that was not told otherwise.
#[cfg(any(feature = "actix", feature = "tonic"))]
pub(crate) fn refuse_unverifiable(
    endpoint: Option<Endpoint>,
    request: &impl Asked,
    remedy: &str,
) -> Rejection {
    tracing::error!(target: "service_only", remedy, "no verifier is installed, so every caller is refused");
    let denial = Denial::new(Code::NoVerifier, format!("no verifier is installed: {remedy}"));
    let request = || RequestContext { endpoint, ..request.context() };
    let (denial, instance) = Recorder::default().refuse(request, denial.into());
    Rejection::new(denial, "", instance)
}
