//! axum 0.8: a guard and a caller are extractors; a rejection is a response.

pub mod closed;

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::{ConnectInfo, FromRef, FromRequestParts, MatchedPath},
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE},
    request::Parts,
};

pub use self::closed::ClosedRouter;
use crate::{
    caller::{Caller, Identity},
    guard::{Guard, Public, RequestContext, StaticPolicy, StaticReason},
    policy::Policy,
    rejection::Rejection,
    trace_context::trace_id,
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
        let verifier = state.verifier();
        await_unknown_key(&verifier, parts).await;
        let guard = Self::enforce(&verifier, authorization(parts), context(parts))?;
        parts.extensions.insert(Decided::new(verifier, guard.caller(), parts));
        Ok(guard)
    }
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
        match parts.extensions.get::<Decided>() {
            Some(decided) if decided.is_about(&verifier, parts) => return Ok(decided.caller.clone()),
            _ => {}
        }
        await_unknown_key(&verifier, parts).await;
        let caller =
            verifier.enforce_request(authorization(parts), &Policy::any_service(), context(parts))?;
        parts.extensions.insert(Decided::new(verifier, &caller, parts));
        Ok(caller)
    }
}

/// Left in the request by a guard for an argument `caller: Caller` that follows: one request, one
/// decision, one record. Another verifier's decision does not count, nor one about another token that
/// a layer has replaced since.
#[derive(Clone)]
struct Decided {
    verifier: Verifier,
    authorization: Option<HeaderValue>,
    caller: Caller,
}

impl Decided {
    fn new(verifier: Verifier, caller: &Caller, parts: &Parts) -> Self {
        let authorization = parts.headers.get(AUTHORIZATION).cloned();
        Self { verifier, authorization, caller: caller.clone() }
    }

    fn is_about(&self, verifier: &Verifier, parts: &Parts) -> bool {
        let mut now = parts.headers.get_all(AUTHORIZATION).iter();
        self.verifier.is_same_as(verifier)
            && now.next() == self.authorization.as_ref()
            && now.next().is_none()
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
        await_unknown_key(&verifier, parts).await;
        verifier.enforce_identity_request(authorization(parts), context(parts))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body()));
        // A status that is none would be a defect here; it must not become a success.
        *response.status_mut() =
            StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(Self::CONTENT_TYPE));
        // A refusal is about one caller and one moment.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge().and_then(|challenge| HeaderValue::from_str(challenge).ok())
        {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// At most once a request, and bounded by the key source.
async fn await_unknown_key(verifier: &Verifier, parts: &Parts) {
    if let Some(refresh) = verifier.refresh_keys_for_request(authorization(parts)) {
        refresh.await;
    }
}

fn authorization(parts: &Parts) -> impl Iterator<Item = &[u8]> {
    parts.headers.get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes)
}

fn context(parts: &Parts) -> RequestContext {
    RequestContext {
        endpoint: None,
        method: Some(parts.method.as_str().to_owned()),
        route: parts.extensions.get::<MatchedPath>().map(|route| route.as_str().to_owned()),
        path: Some(parts.uri.path().to_owned()),
        client_address: parts
            .extensions
            .get::<ConnectInfo<std::net::SocketAddr>>()
            .map(|ConnectInfo(address)| address.ip().to_string()),
        trace_id: parts.headers.get("traceparent").and_then(|value| trace_id(value.as_bytes())),
    }
}
