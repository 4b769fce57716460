//! axum 0.8: a guard and a caller are extractors; a rejection is a response.

#[cfg(feature = "aide")]
mod aide;
pub mod closed;
#[cfg(feature = "axum-extra")]
mod typed;

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, request::Parts};
use serde::de::DeserializeOwned;

#[cfg(feature = "aide")]
pub use self::aide::security_schemes;
pub use self::closed::ClosedRouter;
use super::{
    decided::{Decided, Owner},
    parts::{
        Sent, authorization, await_unknown_key, bytes, earlier, leave_decided, path_parameters, peer,
        response,
    },
};
use crate::{
    caller::{Argument, Caller, Claims, Identity, User},
    guard::{Guard, Public, StaticPolicy, StaticReason},
    policy::Endpoint,
    recorder::Attempted,
    rejection::Rejection,
    verifier::Verifier,
};

/// A router state that contains a verifier: `Verifier` itself, or any state for which
/// `Verifier: FromRef<State>`, for example by `#[derive(FromRef)]`. An `Arc` of such a state works too.
///
/// A state without a verifier does not compile. axum's own message hides the reason (``the trait bound `…: Handler<_,
/// AppState>` is not satisfied``): put `#[debug_handler(state = AppState)]` below `#[service_only]` to see it.
///
/// ```compile_fail,E0277
/// # use axum::{Router, routing::get};
/// # use service_only::service_only;
/// #[derive(Clone)]
/// struct AppState;
///
/// #[service_only]
/// async fn list() {}
///
/// let router: Router<AppState> = Router::new().route("/", get(list));
/// ```
///
/// ```
/// # use std::sync::Arc;
/// # use axum::{Router, extract::FromRef, routing::get};
/// # use service_only::{Verifier, service_only};
/// struct AppState {
///     verifier: Verifier,
/// }
///
/// impl FromRef<AppState> for Verifier {
///     fn from_ref(state: &AppState) -> Self {
///         state.verifier.clone()
///     }
/// }
///
/// # #[service_only]
/// # async fn list() {}
/// let router: Router<Arc<AppState>> = Router::new().route("/", get(list));
/// ```
#[diagnostic::on_unimplemented(
    message = "the router state `{Self}` holds no `Verifier`, so a guarded handler cannot check its caller",
    label = "this handler is guarded",
    note = "give the router a state with a verifier: `.with_state(verifier)`, or a field `verifier: Verifier` in a state that derives `FromRef`"
)]
pub trait HasVerifier {
    /// The verifier of this state.
    fn verifier(&self) -> Verifier;
}

// Show the message above, and not the requirements of this blanket implementation.
#[diagnostic::do_not_recommend]
impl<S> HasVerifier for S
where
    Verifier: FromRef<S>,
{
    fn verifier(&self) -> Verifier {
        Verifier::from_ref(self)
    }
}

/// Takes the verifier from a state that is shared by an `Arc`. It is implemented here, because a crate that owns
/// neither `Arc` nor `Verifier` cannot do so.
impl<T> FromRef<Arc<T>> for Verifier
where
    Self: FromRef<T>,
{
    fn from_ref(state: &Arc<T>) -> Self {
        Self::from_ref(state.as_ref())
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
        let path = if P::POLICY.reads_path() { path_parameters(parts).await } else { Vec::new() };
        let authorization = authorization(&parts.headers);
        await_unknown_key(&verifier, &authorization, || asked(parts, &verifier, Some(P::endpoint()))).await;
        let epoch = verifier.recorder().epoch();
        let request = || (&*parts, earlier(&parts.extensions, &authorization, &verifier));
        let sent = Sent::of(parts, &authorization);
        let (guard, identity) = Self::enforce(&verifier, bytes(&authorization), &sent, &path, request)?;
        leave_decided(&mut parts.extensions, &authorization, &identity, epoch, Owner::Guard);
        Ok(guard)
    }
}

/// Describes the request that is decided about.
fn asked<'r>(parts: &'r Parts, verifier: &Verifier, endpoint: Option<Endpoint>) -> Attempted<&'r Parts> {
    let earlier = earlier(&parts.extensions, &authorization(&parts.headers), verifier);
    Attempted { endpoint, request: parts, earlier, who: None }
}

impl<S, R> FromRequestParts<S> for Public<R>
where
    S: Send + Sync,
    R: StaticReason,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::unchecked())
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: HasVerifier + Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        argument(parts, &state.verifier()).await
    }
}

/// The user that `#[users_only]` has admitted. Without a guard, this argument authenticates the request, and refuses a
/// service.
impl<S> FromRequestParts<S> for User
where
    S: HasVerifier + Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        argument(parts, &state.verifier()).await
    }
}

/// The caller that `#[callers]` has admitted. Without a guard, this argument authenticates a service or a user, for a
/// gateway that forwards both. Together with a guard or a [`Caller`] it shares one decision.
impl<S> FromRequestParts<S> for Identity
where
    S: HasVerifier + Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        argument(parts, &state.verifier()).await
    }
}

/// Reads the claims of the identity that a guard or an earlier argument has admitted, or of a service.
impl<S, T> FromRequestParts<S> for Claims<T>
where
    S: HasVerifier + Send + Sync,
    T: DeserializeOwned + Send + Sync + 'static,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let verifier = state.verifier();
        match identified_before(parts, &verifier) {
            Some(identity) => Self::of(identity),
            None => Self::of(argument::<Caller>(parts, &verifier).await?.into()),
        }
    }
}

/// Authenticates the request for an argument, unless a guard or an earlier argument did. An earlier identity of another
/// kind is refused by a new decision.
async fn argument<I: Argument>(parts: &mut Parts, verifier: &Verifier) -> Result<I, Rejection> {
    if let Some(argument) = identified_before(parts, verifier).and_then(I::of) {
        return Ok(argument);
    }
    let authorization = authorization(&parts.headers);
    await_unknown_key(verifier, &authorization, || asked(parts, verifier, None)).await;
    let epoch = verifier.recorder().epoch();
    let asked = || asked(parts, verifier, None);
    let sent = Sent::of(parts, &authorization);
    let admitted: I = verifier.enforce_argument(bytes(&authorization), &sent, asked)?;
    let identity = admitted.clone().into();
    leave_decided(&mut parts.extensions, &authorization, &identity, epoch, Owner::Extractors);
    Ok(admitted)
}

fn identified_before(parts: &Parts, verifier: &Verifier) -> Option<Identity> {
    let authorization = authorization(&parts.headers);
    parts.extensions.get::<Decided<HeaderValue>>()?.identity(
        verifier,
        &authorization,
        peer(&parts.extensions),
    )
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        response(&self)
    }
}
