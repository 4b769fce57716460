//! The one choke point: authenticate, authorize, record. Every way in ends here.

use std::{fmt, marker::PhantomData};

use crate::{
    authorize::authorize,
    bearer::BearerToken,
    caller::{Caller, Identity},
    denial::Denial,
    policy::{Endpoint, Policy},
    recorder::{Recorded, RequestContext},
    rejection::Rejection,
    verifier::{Known, Moment, Verifier, user_refused},
};
#[cfg(any(feature = "actix", feature = "tonic"))]
use crate::{denial::Code, recorder::Recorder};

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
/// It has one constructor, which follows a decision. One that is `ALONE` is the only argument: where a framework
/// has a trait for that, it takes the whole request, so that nobody can ask after it who calls.
pub struct Guard<P, const ALONE: bool = false>(PhantomData<fn() -> P>);

impl<P: StaticPolicy, const ALONE: bool> Guard<P, ALONE> {
    /// Decides about one request.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tonic"))]
    pub(crate) fn enforce<'a, 'r>(
        verifier: &Verifier,
        authorization: impl Iterator<Item = &'a [u8]>,
        request: impl FnOnce() -> RequestContext<'r>,
    ) -> Result<(Self, Caller), Rejection> {
        let caller = verifier.enforce_request(authorization, &P::POLICY, || at::<P>(request()))?;
        Ok((Self::granted(&caller), caller))
    }

    /// Decides about one token, for a test that calls the handler as a function.
    ///
    /// # Errors
    /// When the verifier refuses the token, or the policy the caller.
    pub fn of_token(verifier: &Verifier, token: &str) -> Result<Self, Denial> {
        verifier.enforce_token(token, &P::POLICY).map(|caller| Self::granted(&caller))
    }

    /// The one constructor: a caller for whom the policy was decided.
    fn granted(_: &Caller) -> Self {
        Self(PhantomData)
    }

    /// Refuses because there is no verifier to ask.
    #[cfg(any(feature = "actix", feature = "tonic"))]
    pub(crate) fn refuse_unverifiable<'r>(
        request: impl FnOnce() -> RequestContext<'r>,
        remedy: &str,
    ) -> Rejection {
        refuse_unverifiable(|| at::<P>(request()), remedy)
    }
}

#[cfg(any(feature = "actix", feature = "axum", feature = "tonic"))]
fn at<P: StaticPolicy>(request: RequestContext<'_>) -> RequestContext<'_> {
    RequestContext { endpoint: Some(P::endpoint()), ..request }
}

impl<P, const ALONE: bool> fmt::Debug for Guard<P, ALONE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

impl Verifier {
    /// A request: its `Authorization` headers, a policy, and what to record beside the decision.
    pub(crate) fn enforce_request<'a, 'r>(
        &self,
        authorization: impl Iterator<Item = &'a [u8]>,
        policy: &Policy<'_>,
        request: impl FnOnce() -> RequestContext<'r>,
    ) -> Result<Caller, Rejection> {
        self.decide_request(authorization, request, |verifier, token, at, known| {
            verifier.permit(token, policy, at, known)
        })
    }

    /// A request of a service or of a user, without a policy: what a gateway forwards.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) fn enforce_identity_request<'a, 'r>(
        &self,
        authorization: impl Iterator<Item = &'a [u8]>,
        request: impl FnOnce() -> RequestContext<'r>,
    ) -> Result<Identity, Rejection> {
        self.decide_request(authorization, request, Self::identify)
    }

    /// Decides about the one bearer token of a request, and makes a refusal fit for the wire.
    fn decide_request<'a, 'r, T: Recorded>(
        &self,
        authorization: impl Iterator<Item = &'a [u8]>,
        request: impl FnOnce() -> RequestContext<'r>,
        decision: impl FnOnce(&Self, BearerToken<'_>, Moment, &mut Known) -> Result<T, Denial>,
    ) -> Result<T, Rejection> {
        let decided = self.recorder().decide(request, |at, known| {
            decision(self, BearerToken::from_header_values(authorization)?, at, known)
        });
        decided.map_err(|(denial, instance)| Rejection::new(&denial, self.realm(), instance))
    }

    pub(crate) fn enforce_token(&self, token: &str, policy: &Policy<'_>) -> Result<Caller, Denial> {
        let token = BearerToken::Text(token);
        let decided = self
            .recorder()
            .decide(RequestContext::default, |at, known| self.permit(token, policy, at, known));
        decided.map_err(|(denial, _)| denial)
    }

    pub(crate) fn enforce_identity(&self, token: &str) -> Result<Identity, Denial> {
        let token = BearerToken::Text(token);
        let decided =
            self.recorder().decide(RequestContext::default, |at, known| self.identify(token, at, known));
        decided.map_err(|(denial, _)| denial)
    }

    /// Authenticates, and applies the policy to a service.
    fn permit(
        &self,
        token: BearerToken<'_>,
        policy: &Policy<'_>,
        at: Moment,
        known: &mut Known,
    ) -> Result<Caller, Denial> {
        let caller = match self.identify(token, at, known)? {
            Identity::Service(caller) => caller,
            Identity::User(user) => {
                known.user = Some(user);
                return Err(user_refused());
            }
        };
        match authorize(&caller, policy, at) {
            Ok(()) => Ok(caller),
            Err(denial) => {
                known.caller = Some(caller);
                Err(denial)
            }
        }
    }
}

/// Decides where no verifier was installed: nobody is let in. The record goes where those of a verifier
/// go that was not told otherwise.
#[cfg(any(feature = "actix", feature = "tonic"))]
pub(crate) fn refuse_unverifiable<'r>(
    request: impl FnOnce() -> RequestContext<'r>,
    remedy: &str,
) -> Rejection {
    tracing::error!(target: "service_only", remedy, "no verifier is installed, so every caller is refused");
    let denial = Denial::new(Code::NoVerifier, format!("no verifier is installed: {remedy}"));
    let (denial, instance) = Recorder::default().refuse(request, denial);
    Rejection::new(&denial, "", instance)
}
