//! The guard that every framework integration uses: it authenticates, authorizes and records each request.

use std::{fmt, marker::PhantomData, sync::Arc};

#[cfg(any(feature = "actix", feature = "tonic"))]
use crate::audit::RequestContext;
#[cfg(any(feature = "actix", feature = "axum", feature = "tonic"))]
use crate::{
    authorize::PathParameters,
    recorder::{Asked, Attempted},
    rejection::Rejection,
    verifier::Incoming,
};
use crate::{
    caller::Identity,
    denial::Denial,
    peer::PeerCertificate,
    policy::{Endpoint, Policy},
    recorder::Attempt,
    verifier::Verifier,
};
#[cfg(any(feature = "actix", feature = "tonic"))]
use crate::{denial::Code, recorder::Recorder, rejection::Challenges};

/// Carries a policy and an endpoint in a type, which the attribute puts into the signature.
pub trait StaticPolicy: 'static {
    /// What the handler requires of its caller.
    const POLICY: Policy<'static>;
    /// The handler.
    fn endpoint() -> Endpoint;
}

/// Carries a reason and an endpoint in a type, which `#[public]` puts into the signature.
pub trait StaticReason: 'static {
    /// Why the handler is public.
    fn reason() -> &'static str;
    /// The handler.
    fn endpoint() -> Endpoint;
}

/// The hidden first argument of a public handler.
pub struct Public<R>(PhantomData<fn() -> R>);

impl<R: StaticReason> Public<R> {
    /// Creates the argument without any check of the caller.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) const fn unchecked() -> Self {
        Self(PhantomData)
    }
}

impl<R> fmt::Debug for Public<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Public")
    }
}

/// The hidden first argument of a guarded handler: proof that the caller met the policy `P`.
///
/// It has one constructor, which runs after a decision. It keeps the attempt open until the handler ends and drops
/// the guard.
pub struct Guard<P> {
    /// `None` if the record is already written, or no record is wanted.
    #[cfg_attr(not(feature = "tonic"), expect(dead_code, reason = "its drop is what counts"))]
    attempt: Option<Arc<Attempt>>,
    policy: PhantomData<fn() -> P>,
}

impl<P: StaticPolicy> Guard<P> {
    /// Decides about one request. The identity is linked to the attempt that the guard keeps open.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tonic"))]
    pub(crate) fn enforce<'a, A: Asked>(
        verifier: &Verifier,
        authorization: impl Iterator<Item = &'a [u8]>,
        incoming: &impl Incoming,
        path: PathParameters<'_>,
        request: impl FnOnce() -> (A, Option<Arc<Attempt>>),
    ) -> Result<(Self, Identity), Rejection> {
        let asked = || {
            let (request, earlier) = request();
            Attempted { endpoint: Some(P::endpoint()), request, earlier, who: None }
        };
        let mut identity = verifier.enforce_request(authorization, incoming, &P::POLICY, path, asked)?;
        let attempt = identity.release();
        Ok((Self::granted(&identity, attempt), identity))
    }

    /// Decides about one token and the certificate of its sender, for a test that calls the handler as a function.
    ///
    /// # Errors
    /// When the verifier refuses the token, or the caller does not meet the policy.
    pub fn of_token(
        verifier: &Verifier,
        peer: Option<&PeerCertificate>,
        token: &str,
    ) -> Result<Self, Denial> {
        let mut identity = verifier.authenticate_from(peer, token, &P::POLICY)?;
        let attempt = identity.release();
        Ok(Self::granted(&identity, attempt))
    }

    /// The only constructor. It takes a caller that the policy has admitted.
    fn granted(_: &Identity, attempt: Option<Arc<Attempt>>) -> Self {
        Self { attempt, policy: PhantomData }
    }

    /// The attempt that the guard keeps open.
    #[cfg(feature = "tonic")]
    pub(crate) fn into_attempt(self) -> Option<Arc<Attempt>> {
        self.attempt
    }

    /// Refuses the request because no verifier is installed.
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

/// Refuses every caller, because no verifier is installed. The record goes to the default audit sink of a
/// verifier.
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
    Rejection::new(denial, Challenges::bearer(""), instance, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An attribute such as `#[tracing::instrument]` prints the arguments of a handler.
    #[test]
    fn hidden_arguments_print_their_name_only() {
        let guard = Guard::<()> { attempt: None, policy: PhantomData };
        assert_eq!(format!("{guard:?} {:?}", Public::<()>(PhantomData)), "Guard Public");
    }
}
