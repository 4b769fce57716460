//! The gateway: the only entry from outside, a reverse proxy that authenticates the caller.
//!
//! It forwards a request only if it has a known method, one host, a canonical path, a verified token and a
//! known service, in this order. Then it removes the identity headers of the client, sets those from the
//! token, and streams both bodies. The service decides whether the caller *may* call it. The caller's token ends here:
//! the service gets one of the gateway's own, which names the caller and is for this service only.

mod admission;
mod body;
mod headers;
mod links;
mod path;
mod reserved;
mod tokens;
mod upstreams;

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version, header};
use hyper::body::Incoming;
use service_only::issue::IssueError;
use service_only::{Identity, Proof, Rejection, Verifier};
use service_only_tls::Tls;
use tokio::sync::watch;
use tokio::time::Instant;
use tower_http::timeout::TimeoutBody;

use self::body::{ClientFault, Passing, Progress, State as BodyState};
use self::links::{Link, Links};
use self::path::{PathError, ServicePath};
pub use self::tokens::Tokens;
pub use self::upstreams::{UpstreamError, Upstreams};
use crate::problem::problem;

/// The name of the gateway in certificates, and as the actor in its tokens.
pub const GATEWAY: &str = "gateway";

/// The size and time limits of the gateway.
#[derive(Copy, Clone, Debug)]
pub struct Limits {
    /// The largest request body. The largest legitimate one is a year of sales as CSV, about
    /// 4 MiB.
    pub body: usize,
    /// The timeout without progress of the request body or the response head. A deletion takes milliseconds;
    /// after ten seconds a service has a problem.
    pub upstream: Duration,
    /// The timeout of a connection to a service, inside one network.
    pub connect: Duration,
    /// The timeout without progress of the response body.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 10 * 1024 * 1024,
            upstream: Duration::from_secs(10),
            connect: Duration::from_secs(2),
            idle: Duration::from_secs(30),
        }
    }
}

/// The reverse proxy. Cheap to clone.
#[expect(missing_debug_implementations, reason = "holds keys, tokens or handles")]
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    verifier: Verifier,
    tokens: Tokens,
    upstreams: Upstreams,
    links: Links,
    limits: Limits,
}

/// Why the gateway refuses a request.
enum Refusal {
    Method,
    Host,
    Path(PathError),
    Unauthenticated(Rejection),
    UnknownService,
    NoToken(IssueError),
    TokenRefused,
    Body(ClientFault),
    ClientTimeout,
    UpstreamUnreachable(String),
    UpstreamTimeout,
}

impl Gateway {
    /// Creates a gateway to `upstreams` for callers that `verifier` authenticates. It connects with the certificate of
    /// `tls`, and sends `tokens`.
    pub fn new(verifier: Verifier, tokens: Tokens, tls: Tls, upstreams: Upstreams, limits: Limits) -> Self {
        let links = Links::new(tls, limits);
        Self(Arc::new(Inner { verifier, tokens, upstreams, links, limits }))
    }

    /// Serves `/healthz` and `/readyz` for the gateway itself; it forwards everything else.
    pub fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            // A running gateway has usable keys. It stays ready if a service is down.
            .route("/readyz", get(|| async { "ready\n" }))
            .fallback(handle)
            .with_state(self)
    }

    async fn forward(&self, request: Request) -> Result<Response, Refusal> {
        if !admission::is_forwarded(request.method()) {
            return Err(Refusal::Method);
        }
        if !admission::has_one_host(request.headers(), request.uri(), request.version()) {
            return Err(Refusal::Host);
        }
        let target = request.uri().clone();
        let path = ServicePath::parse(&target).map_err(Refusal::Path)?;
        let (mut parts, body) = request.into_parts();
        let identity = Identity::from_request_parts(&mut parts, &self.0.verifier)
            .await
            .map_err(Refusal::Unauthenticated)?;
        let identity = with_proof(identity)?;
        let link = self.0.links.current();
        let (service, upstream) = path
            .service
            .and_then(|name| Some((name, self.0.upstreams.find(name)?)))
            .ok_or(Refusal::UnknownService)?;
        if declared_length(&parts.headers).is_some_and(|length| length > self.0.limits.body as u64) {
            return Err(Refusal::Body(ClientFault::TooLarge));
        }
        let (body, progress) = Passing::new(body, self.0.limits.body);
        let authorization = self.0.tokens.authorization(&identity, service, link.certificate);
        let authorization = authorization.map_err(Refusal::NoToken)?;
        let mut outbound = outbound(parts, body, upstream, &identity);
        outbound.headers_mut().insert(header::AUTHORIZATION, authorization);
        let answer = self.send(&link, service, outbound, progress).await?;
        // The token of the gateway was refused, and not that of the client.
        if answer.status() == StatusCode::UNAUTHORIZED {
            return Err(Refusal::TokenRefused);
        }
        Ok(self.inbound(answer))
    }

    /// Waits for the head of the response as long as there is progress. If it fails, the client is
    /// responsible if its body failed or is overdue, and otherwise the service.
    async fn send(
        &self,
        link: &Link,
        service: &str,
        request: Request<Passing>,
        progress: watch::Receiver<Progress>,
    ) -> Result<Response<Incoming>, Refusal> {
        let mut answer = link.client(service).ok_or(Refusal::UnknownService)?.request(request);
        loop {
            let deadline = progress.borrow().moved + self.0.limits.upstream;
            tokio::select! {
                answer = &mut answer => return answer.map_err(|error| failed(&error, *progress.borrow())),
                () = tokio::time::sleep_until(deadline) => {}
            }
            let Progress { moved, state } = *progress.borrow();
            if moved + self.0.limits.upstream <= Instant::now() {
                return Err(match state {
                    BodyState::AwaitingClient => Refusal::ClientTimeout,
                    BodyState::Passing | BodyState::Failed(_) => Refusal::UpstreamTimeout,
                });
            }
        }
    }

    fn inbound(&self, answer: Response<Incoming>) -> Response {
        let (mut parts, body) = answer.into_parts();
        headers::remove_hop_by_hop(&mut parts.headers);
        Response::from_parts(parts, Body::new(TimeoutBody::new(self.0.limits.idle, body)))
    }
}

async fn handle(State(gateway): State<Gateway>, request: Request) -> Response {
    gateway.forward(request).await.unwrap_or_else(IntoResponse::into_response)
}

/// Refuses a service whose token is not bound to its certificate: a stolen copy would work from any connection. A user
/// has no certificate.
fn with_proof(identity: Identity) -> Result<Identity, Refusal> {
    match &identity {
        Identity::Service(caller) if caller.proof() != Some(Proof::Mtls) => {
            let rejection = caller.refuse("the token of a service must be bound to its certificate");
            Err(Refusal::Unauthenticated(rejection))
        }
        _ => Ok(identity),
    }
}

/// The request as the service receives it: only method, path, query, cleaned headers and body. Connection
/// data and extensions are dropped.
fn outbound(
    parts: http::request::Parts,
    body: Passing,
    upstream: &Authority,
    identity: &Identity,
) -> Request<Passing> {
    let mut request = Request::new(body);
    let mut fields = parts.headers;
    headers::remove_hop_by_hop(&mut fields);
    headers::remove_reserved(&mut fields);
    headers::set_identity(&mut fields, identity, client_address(&parts.extensions));
    // The client library sets `Host` from the target below.
    fields.remove(header::HOST);
    *request.method_mut() = parts.method;
    *request.uri_mut() = target(upstream, parts.uri.path_and_query());
    *request.headers_mut() = fields;
    *request.version_mut() = Version::HTTP_11;
    request
}

fn target(upstream: &Authority, path: Option<&PathAndQuery>) -> Uri {
    let mut target = http::uri::Parts::default();
    target.scheme = Some(Scheme::HTTPS);
    target.authority = Some(upstream.clone());
    target.path_and_query = path.cloned().or_else(|| Some(PathAndQuery::from_static("/")));
    // Scheme, authority and path are all set, so this cannot fail.
    Uri::from_parts(target).unwrap_or_default()
}

fn client_address(extensions: &http::Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn failed(error: &hyper_util::client::legacy::Error, progress: Progress) -> Refusal {
    if let BodyState::Failed(fault) = progress.state {
        return Refusal::Body(fault);
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    let mut reasons = Vec::new();
    while let Some(error) = cause {
        // The connection did not open within `Limits::connect`.
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Refusal::UpstreamTimeout;
        }
        reasons.push(error.to_string());
        cause = error.source();
    }
    Refusal::UpstreamUnreachable(reasons.join(": "))
}

/// The response to a request whose body is not read completely. It closes the connection, because the
/// following bytes belong to that body.
fn closing(status: StatusCode, detail: &str) -> Response {
    let mut response = problem(status, detail);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthenticated(rejection) => rejection.into_response(),
            Self::Method => {
                let mut response =
                    problem(StatusCode::METHOD_NOT_ALLOWED, "no service answers to this method");
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(admission::METHODS));
                response
            }
            Self::Host => problem(StatusCode::BAD_REQUEST, "the request must name exactly one host"),
            Self::Path(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
            Self::UnknownService => problem(StatusCode::NOT_FOUND, "no service answers under this path"),
            Self::NoToken(error) => {
                tracing::error!(%error, "no token for the service");
                problem(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the gateway could not create a token for the service",
                )
            }
            Self::TokenRefused => {
                tracing::warn!("the service refused the token of the gateway");
                problem(StatusCode::BAD_GATEWAY, "the service refused the gateway")
            }
            Self::Body(ClientFault::TooLarge) => {
                closing(StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large")
            }
            Self::Body(ClientFault::Malformed) => {
                closing(StatusCode::BAD_REQUEST, "the request body is malformed or ends too early")
            }
            Self::ClientTimeout => {
                closing(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time")
            }
            Self::UpstreamUnreachable(reason) => {
                tracing::warn!(reason, "service unreachable");
                problem(StatusCode::BAD_GATEWAY, "the service could not be reached")
            }
            Self::UpstreamTimeout => {
                tracing::warn!("service timed out");
                problem(StatusCode::GATEWAY_TIMEOUT, "the service did not answer in time")
            }
        }
    }
}
