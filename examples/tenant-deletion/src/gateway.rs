//! The gateway: the only entry from outside, a reverse proxy that authenticates the caller.
//!
//! It forwards a request only if it has a known method, one host, a canonical path, a verified token and a
//! known service, in this order. Then it removes the identity headers of the client, sets those from the
//! token, and streams both bodies. The service decides whether the caller *may* call it, so the gateway
//! forwards the caller's token.

mod admission;
mod body;
mod headers;
mod path;
mod reserved;
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
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use service_only::{Identity, Rejection, Verifier};
use tokio::sync::watch;
use tokio::time::Instant;
use tower_http::timeout::TimeoutBody;

use self::body::{ClientFault, Passing, Progress, State as BodyState};
use self::path::{PathError, ServicePath};
pub use self::upstreams::{UpstreamError, Upstreams};
use crate::problem::problem;

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
    upstreams: Upstreams,
    limits: Limits,
    client: Client<HttpConnector, Passing>,
}

/// Why the gateway refuses a request.
enum Refusal {
    Method,
    Host,
    Path(PathError),
    Unauthenticated(Rejection),
    UnknownService,
    Body(ClientFault),
    ClientTimeout,
    UpstreamUnreachable(String),
    UpstreamTimeout,
}

impl Gateway {
    /// Creates a gateway to `upstreams` for callers that `verifier` authenticates.
    pub fn new(verifier: Verifier, upstreams: Upstreams, limits: Limits) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(limits.connect));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(limits.idle)
            .build(connector);
        Self(Arc::new(Inner { verifier, upstreams, limits, client }))
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
        if !admission::has_one_host(request.headers(), request.version()) {
            return Err(Refusal::Host);
        }
        let target = request.uri().clone();
        let path = ServicePath::parse(&target).map_err(Refusal::Path)?;
        let (mut parts, body) = request.into_parts();
        let identity = Identity::from_request_parts(&mut parts, &self.0.verifier)
            .await
            .map_err(Refusal::Unauthenticated)?;
        let upstream =
            path.service.and_then(|name| self.0.upstreams.find(name)).ok_or(Refusal::UnknownService)?;
        if declared_length(&parts.headers).is_some_and(|length| length > self.0.limits.body as u64) {
            return Err(Refusal::Body(ClientFault::TooLarge));
        }
        let (body, progress) = Passing::new(body, self.0.limits.body);
        let outbound = outbound(parts, body, upstream, &identity);
        let answer = self.send(outbound, progress).await?;
        Ok(self.inbound(answer))
    }

    /// Waits for the head of the response as long as there is progress. If it fails, the client is
    /// responsible if its body failed or is overdue, and otherwise the service.
    async fn send(
        &self,
        request: Request<Passing>,
        progress: watch::Receiver<Progress>,
    ) -> Result<Response<Incoming>, Refusal> {
        let mut answer = self.0.client.request(request);
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
    target.scheme = Some(Scheme::HTTP);
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
