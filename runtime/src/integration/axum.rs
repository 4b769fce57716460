//! axum 0.8: a guard and a caller are extractors; a rejection is a response.

pub mod closed;

use std::convert::Infallible;

use axum::{
    extract::{FromRef, FromRequest, FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use http::{Extensions, HeaderValue, request::Parts};

pub use self::closed::ClosedRouter;
use super::{
    decided::Decided,
    parts::{Authorization, authorization, await_unknown_key, bytes, context, response},
};
use crate::{
    caller::{Caller, Identity},
    guard::{Guard, Public, StaticPolicy, StaticReason},
    policy::Policy,
    rejection::Rejection,
    verifier::Verifier,
};

/// A router state that a verifier can be taken from: `Verifier` itself, or any state for which
/// `Verifier: FromRef<State>`, for example by `#[derive(FromRef)]`.
#[diagnostic::on_unimplemented(
    message = "the router state `{Self}` holds no `Verifier`, so a guarded handler cannot check its caller",
    label = "this handler is guarded",
    note = "give the router a state with a verifier: `.with_state(verifier)`, or a field `verifier: Verifier` in a state that derives `FromRef`"
)]
pub trait HasVerifier {
    /// The verifier of this state.
    fn verifier(&self) -> Verifier;
}

// So that the message above is shown, rather than what this blanket needs.
#[diagnostic::do_not_recommend]
impl<S> HasVerifier for S
where
    Verifier: FromRef<S>,
{
    fn verifier(&self) -> Verifier {
        Verifier::from_ref(self)
    }
}

impl<S, P> FromRequestParts<S> for Guard<P>
where
    S: HasVerifier + Send + Sync,
    P: StaticPolicy,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let authorization = authorization(&parts.headers);
        let (guard, caller, epoch) = decide(parts, &authorization, state).await?;
        leave_decided(&mut parts.extensions, &authorization, caller, epoch);
        Ok(guard)
    }
}

/// Takes the request, so nothing of it is left to whom a decision could be left. Whoever calls such a function
/// by another one lets nobody decide after it, either.
///
/// ```
/// # use axum::{Router, routing::get};
/// # use service_only::{Verifier, service_only};
/// #[service_only]
/// async fn gate() {}
///
/// let router: Router<Verifier> = Router::new().route("/", get(|guard| gate(guard)));
/// ```
///
/// ```compile_fail,E0277
/// # use axum::{Router, routing::get};
/// # use service_only::{Caller, Verifier, service_only};
/// # #[service_only]
/// # async fn gate() {}
/// let router: Router<Verifier> = Router::new().route("/", get(|guard, _: Caller| gate(guard)));
/// ```
impl<S, P> FromRequest<S> for Guard<P, true>
where
    S: HasVerifier + Send + Sync,
    P: StaticPolicy,
{
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let (parts, _) = request.into_parts();
        let (guard, ..) = decide(&parts, &authorization(&parts.headers), state).await?;
        Ok(guard)
    }
}

/// The caller who was let in, and the epoch of the revocations from before.
async fn decide<S, P, const ALONE: bool>(
    parts: &Parts,
    authorization: &Authorization<'_>,
    state: &S,
) -> Result<(Guard<P, ALONE>, Caller, Option<u64>), Rejection>
where
    S: HasVerifier,
    P: StaticPolicy,
{
    let verifier = state.verifier();
    await_unknown_key(&verifier, authorization).await;
    let epoch = verifier.recorder().epoch();
    let (guard, caller) = Guard::enforce(&verifier, bytes(authorization), || context(parts))?;
    Ok((guard, caller, epoch))
}

impl<S, R> FromRequestParts<S> for Public<R>
where
    S: Send + Sync,
    R: StaticReason,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::anybody())
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: HasVerifier + Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let verifier = state.verifier();
        let authorization = authorization(&parts.headers);
        if let Some(caller) = decided_before(&parts.extensions, &authorization, &verifier) {
            return Ok(caller);
        }
        await_unknown_key(&verifier, &authorization).await;
        let epoch = verifier.recorder().epoch();
        let caller =
            verifier.enforce_request(bytes(&authorization), &Policy::any_service(), || context(parts))?;
        leave_decided(&mut parts.extensions, &authorization, caller.clone(), epoch);
        Ok(caller)
    }
}

/// For a gateway, which forwards services and users: authenticates either, with one record. A handler
/// wants `#[service_only]` or [`Caller`].
impl<S> FromRequestParts<S> for Identity
where
    S: HasVerifier + Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let verifier = state.verifier();
        let authorization = authorization(&parts.headers);
        await_unknown_key(&verifier, &authorization).await;
        verifier.enforce_identity_request(bytes(&authorization), || context(parts))
    }
}

pub(super) fn leave_decided(
    extensions: &mut Extensions,
    authorization: &Authorization<'_>,
    caller: Caller,
    epoch: Option<u64>,
) {
    extensions.insert(Decided::new(authorization.iter(), caller, epoch));
}

fn decided_before(
    extensions: &Extensions,
    authorization: &Authorization<'_>,
    verifier: &Verifier,
) -> Option<Caller> {
    extensions.get::<Decided<HeaderValue>>()?.caller(verifier, authorization.iter())
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        response(&self)
    }
}
