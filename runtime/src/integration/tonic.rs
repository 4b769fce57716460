//! tonic 0.14: the first statement of a method admits a request; a rejection is a status.
//!
//! tonic decodes the one message of a unary call before its method runs, within tonic's own limit.
//! If an unauthenticated caller must not get that far, guard the whole service with
//! [`ServiceOnlyLayer`](crate::ServiceOnlyLayer).

use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, uri::PathAndQuery};
use tonic::{Request, server::NamedService};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    decided::Owner,
    parts::{
        KeptParts, Sent, authorization, await_unknown_key, bytes, earlier, leave_decided, leave_identity,
        text, trace, traceparent, without_credentials,
    },
    tower::ServiceOnly,
};
use crate::{
    audit::RequestContext,
    caller::{Caller, User},
    given::{Admit, Checked},
    guard::{Guard, StaticPolicy},
    recorder::{Asked, Attempt, Attempted, KeptRequest, NoRequest},
    rejection::{Rejection, RequestHeaders},
    verifier::Verifier,
};

/// After admission, the extensions of the request contain the [`Caller`](crate::Caller) or the [`User`](crate::User), and
/// the [`Identity`](crate::Identity). Earlier ones in the extensions prove nothing and are replaced.
impl<T: Send> Admit for Request<T> {
    type Refusal = Rejection;

    async fn admit<P: StaticPolicy>(self) -> Result<Self, Rejection> {
        let client_address = self.remote_addr().map(|address| address.ip());
        let (metadata, mut extensions, message) = self.into_parts();
        let headers: &HeaderMap = metadata.as_ref();
        let Some(Installed { verifier, request }) = extensions.get() else {
            return Err(Guard::<P>::refuse_unverifiable(&Bare { client_address, headers }, REMEDY));
        };
        let (authorization, extended) = (authorization(headers), &extensions);
        let asked =
            || (Call { request, client_address, headers }, earlier(extended, &authorization, verifier));
        let attempted = || {
            let (request, earlier) = asked();
            Attempted { endpoint: Some(P::endpoint()), request, earlier, who: None }
        };
        await_unknown_key(verifier, &authorization, attempted).await;
        let epoch = verifier.recorder().epoch();
        let sent = Sent {
            method: &request.method,
            path: request.target.as_ref().map_or("", PathAndQuery::path),
            authorization: &authorization,
            extensions: &extensions,
        };
        let (guard, identity) = Guard::<P>::enforce(verifier, bytes(&authorization), &sent, &[], asked)?;
        // A method may pass its request on to another guarded method.
        leave_decided(&mut extensions, &authorization, &identity, epoch, Owner::Guard);
        extensions.insert(Held(guard.into_attempt()));
        leave_identity(&mut extensions, identity);
        Ok(Self::from_parts(metadata, extensions, message))
    }

    fn hold(mut self) -> (Checked, Self) {
        let held = self.extensions_mut().remove::<Held>();
        (Checked::of_request(held.and_then(|held| held.0)), self)
    }
}

impl Caller {
    /// The caller of a guarded method of tonic. `None` for a request that no guard has admitted, and for a user.
    ///
    /// ```
    /// use service_only::{Caller, service_only};
    /// use tonic::{Request, Response, Status};
    ///
    /// # #[tonic::async_trait] trait Stock { async fn count(&self, request: Request<()>) -> Result<Response<String>, Status>; }
    /// # struct Server;
    /// #[service_only(services("orders"))]
    /// #[tonic::async_trait]
    /// impl Stock for Server {
    ///     async fn count(&self, request: Request<()>) -> Result<Response<String>, Status> {
    ///         let name = Caller::of(&request).map(Caller::service).unwrap_or_default();
    ///         Ok(Response::new(format!("counted for {name}")))
    ///     }
    /// }
    /// ```
    pub fn of<T>(request: &Request<T>) -> Option<&Self> {
        request.extensions().get()
    }
}

impl User {
    /// The user of a guarded method of tonic. `None` for a request that no guard has admitted, and for a service.
    pub fn of<T>(request: &Request<T>) -> Option<&Self> {
        request.extensions().get()
    }
}

/// The attempt of an admitted request, passed to the method.
#[derive(Clone)]
struct Held(Option<Arc<Attempt>>);

/// A call, with the parts of the request that the layer has stored and those that the method sees.
struct Call<'r> {
    request: &'r KeptParts,
    client_address: Option<IpAddr>,
    headers: &'r HeaderMap,
}

impl Asked for Call<'_> {
    type Kept = KeptParts;

    fn context(&self) -> RequestContext<'_> {
        RequestContext {
            client_address: self.client_address.or(self.request.client_address),
            trace: trace(self.headers),
            ..self.request.context()
        }
    }

    fn keep(&self, with_headers: bool) -> KeptParts {
        KeptParts {
            headers: with_headers.then(|| without_credentials(self.headers)),
            client_address: self.client_address.or(self.request.client_address),
            traceparent: traceparent(self.headers).cloned(),
            ..self.request.clone()
        }
    }
}

/// A call whose request did not pass the layer.
struct Bare<'r> {
    client_address: Option<IpAddr>,
    headers: &'r HeaderMap,
}

impl Asked for Bare<'_> {
    type Kept = NoRequest;

    fn context(&self) -> RequestContext<'_> {
        let (client_address, trace) = (self.client_address, trace(self.headers));
        RequestContext { client_address, trace, ..RequestContext::default() }
    }

    fn keep(&self, _: bool) -> NoRequest {
        NoRequest
    }
}

impl RequestHeaders for Call<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        text(self.headers, name)
    }
}

impl RequestHeaders for Bare<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        text(self.headers, name)
    }
}

const REMEDY: &str = "add one to the server with `Server::builder().layer(VerifierLayer::new(verifier))`";

/// Passes the verifier to the guarded methods of a tonic server. The layer itself does not guard a method: each method
/// has its own guard. Without the layer, a guarded method refuses every caller.
///
/// If several layers are nested, the innermost one counts.
///
/// ```
/// use service_only::{Verifier, VerifierLayer};
/// use tonic::transport::server::{Router, Server};
/// use tonic_health::server::health_reporter;
/// use tower::layer::util::{Identity, Stack};
///
/// fn server(verifier: Verifier) -> Router<Stack<VerifierLayer, Identity>> {
///     let (_, health) = health_reporter();
///     Server::builder().layer(VerifierLayer::new(verifier)).add_service(health)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct VerifierLayer(Verifier);

impl VerifierLayer {
    /// Creates a layer that installs `verifier`.
    pub fn new(verifier: Verifier) -> Self {
        Self(verifier)
    }
}

impl<S> Layer<S> for VerifierLayer {
    type Service = WithVerifier<S>;

    fn layer(&self, inner: S) -> WithVerifier<S> {
        WithVerifier { verifier: self.0.clone(), inner }
    }
}

/// A service whose requests receive the verifier of a [`VerifierLayer`].
#[derive(Debug, Clone)]
pub struct WithVerifier<S> {
    verifier: Verifier,
    inner: S,
}

/// What the layer stores in a request: the verifier, and parts of the request that tonic hides from a method. Only
/// this file can create a value, and nothing from the network becomes an extension.
#[derive(Clone)]
struct Installed {
    verifier: Verifier,
    request: KeptParts,
}

impl<S: Service<http::Request<B>>, B> Service<http::Request<B>> for WithVerifier<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> S::Future {
        let (mut parts, body) = request.into_parts();
        let installed = Installed { verifier: self.verifier.clone(), request: (&parts).keep(false) };
        parts.extensions.insert(installed);
        self.inner.call(http::Request::from_parts(parts, body))
    }
}

impl<S: NamedService> NamedService for ServiceOnly<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: NamedService> NamedService for WithVerifier<S> {
    const NAME: &'static str = S::NAME;
}
