//! tonic 0.14: a request is let in by the first statement of a method; a rejection is a status.
//!
//! tonic has decoded the one message of a unary call before its method runs, within tonic's own limit.
//! Where a stranger shall not get that far, [`ServiceOnlyLayer`](crate::ServiceOnlyLayer) guards the
//! whole service.

use std::{
    borrow::Cow,
    net::IpAddr,
    task::{Context, Poll},
};

use http::{HeaderMap, Method, Uri, header::CONTENT_TYPE, request::Parts};
use tonic::{
    Code, Request, Status,
    metadata::{MetadataMap, MetadataValue},
    server::NamedService,
};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    parts::{authorization, await_unknown_key, bytes, client_address, route, trace, uri},
    tower::ServiceOnly,
};
use crate::{
    given::Admit,
    guard::{Guard, StaticPolicy},
    recorder::RequestContext,
    rejection::Rejection,
    verifier::Verifier,
};

/// After it, the extensions of the request hold the [`Caller`](crate::Caller). One that was there
/// before proves nothing and is replaced.
impl<T: Send> Admit for Request<T> {
    type Refusal = Rejection;

    async fn admit<P: StaticPolicy>(self) -> Result<Self, Rejection> {
        let client_address = self.remote_addr().map(|address| address.ip());
        let (metadata, mut extensions, message) = self.into_parts();
        let headers: &HeaderMap = metadata.as_ref();
        let Some(Installed { verifier, request }) = extensions.get() else {
            let request =
                || RequestContext { client_address, trace: trace(headers), ..RequestContext::default() };
            return Err(Guard::<P>::refuse_unverifiable(request, REMEDY));
        };
        let authorization = authorization(headers);
        await_unknown_key(verifier, &authorization).await;
        let request = || RequestContext {
            client_address: client_address.or(request.client_address),
            trace: trace(headers),
            ..request.context()
        };
        let (_, caller) = Guard::<P>::enforce(verifier, bytes(&authorization), request)?;
        extensions.insert(caller);
        Ok(Self::from_parts(metadata, extensions, message))
    }
}

const REMEDY: &str = "give the server one by `Server::builder().layer(VerifierLayer::new(verifier))`";

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.status() {
            // gRPC's table for answers that are not gRPC says INTERNAL, as no client of it sends a
            // malformed request. This one has, and is not to try again.
            400 => Code::InvalidArgument,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            503 => Code::Unavailable,
            _ => Code::Internal,
        };
        let instance = rejection.instance().urn().to_string();
        let mut metadata = MetadataMap::new();
        let entries = [("www-authenticate", rejection.challenge()), ("instance", Some(instance.as_str()))];
        for (name, text) in entries {
            if let Some(Ok(value)) = text.map(MetadataValue::try_from) {
                metadata.insert(name, value);
            }
        }
        Self::with_metadata(code, rejection.title(), metadata)
    }
}

/// Gives the requests of a tonic server its verifier, and guards nothing: its methods are guarded one by
/// one. A guarded method without it refuses everybody.
///
/// Where several layers are nested, the innermost counts.
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
    /// A layer that installs `verifier`.
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

/// A service whose requests [`VerifierLayer`] gives the verifier.
#[derive(Debug, Clone)]
pub struct WithVerifier<S> {
    verifier: Verifier,
    inner: S,
}

/// What the layer leaves in a request. Only this file can make one, and nothing of the wire becomes
/// an extension.
#[derive(Clone)]
struct Installed {
    verifier: Verifier,
    request: Asked,
}

/// What tonic does not tell a method of its request.
#[derive(Clone)]
struct Asked {
    method: Method,
    uri: Uri,
    route: Option<String>,
    client_address: Option<IpAddr>,
}

impl Asked {
    fn new(parts: &Parts) -> Self {
        Self {
            method: parts.method.clone(),
            uri: uri(parts).clone(),
            route: route(&parts.extensions).map(str::to_owned),
            client_address: client_address(&parts.extensions),
        }
    }

    fn context(&self) -> RequestContext<'_> {
        RequestContext {
            method: Some(self.method.as_str()),
            path: Some(self.uri.path()),
            route: self.route.as_deref().map(Cow::Borrowed),
            client_address: self.client_address,
            ..RequestContext::default()
        }
    }
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
        let installed = Installed { verifier: self.verifier.clone(), request: Asked::new(&parts) };
        parts.extensions.insert(installed);
        self.inner.call(http::Request::from_parts(parts, body))
    }
}

/// Adds the status to the refusal of a request that speaks gRPC: tonic's client would read the body as a
/// message. The HTTP status stays what it is. gRPC's own 200 would let a stranger choose, by his content
/// type, that a refusal looks like an answer to whoever sees the HTTP status only.
pub(super) fn with_status<B>(
    mut response: http::Response<B>,
    rejection: Rejection,
    request: &HeaderMap,
) -> http::Response<B> {
    let kind = request.get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        // What cannot be written as a header is left out, and the HTTP status says enough.
        let _ = Status::from(rejection).add_header(response.headers_mut());
    }
    response
}

impl<S: NamedService> NamedService for ServiceOnly<S> {
    const NAME: &'static str = S::NAME;
}

impl<S: NamedService> NamedService for WithVerifier<S> {
    const NAME: &'static str = S::NAME;
}
