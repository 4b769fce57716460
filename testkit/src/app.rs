//! Calls an axum router inside the test's own process, without a port or an HTTP client.

use std::{
    future::{Future, IntoFuture},
    net::SocketAddr,
    pin::Pin,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{
    HeaderName, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde::Serialize;
use service_only::ClosedRouter;
use tower::ServiceExt;

use crate::{
    audit::{RecordingAudit, Tick},
    fail::OrFail,
    fixture::Fixture,
    response::TestResponse,
};

/// Calls `router`; a short form of [`TestApp::new`].
pub fn call(router: impl TestRouter) -> TestApp {
    TestApp::new(router)
}

/// A router to call. A request passes through everything that a network request passes through, except the
/// network.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use axum::{Router, routing::get};
/// use service_only::{Verifier, service_only};
/// use service_only_testkit::{TestApp, TestAuthority, assert_denied};
///
/// #[service_only]
/// async fn stock() -> &'static str {
///     "12 loaves"
/// }
///
/// let authority = TestAuthority::new();
/// let router = Router::new().route("/stock", get(stock)).with_state(authority.verifier());
/// let app = TestApp::new(router).audit(authority.audit());
///
/// let response = app.get("/stock").bearer(authority.service("orders").token()).await;
/// assert_eq!((response.status().as_u16(), response.text()), (200, "12 loaves"));
///
/// assert_denied!(app.get("/stock").await, 401);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TestApp {
    router: Router,
    audit: Option<RecordingAudit>,
}

impl TestApp {
    /// Creates an app of this router, open or closed.
    pub fn new(router: impl TestRouter) -> Self {
        Self { router: router.into_router(), audit: None }
    }

    /// Sets the audit log of this app. A failing assertion about a response then prints it, and
    /// [`assert_audited!`](crate::assert_audited) accepts a response in its place.
    #[must_use]
    pub fn audit(self, audit: &RecordingAudit) -> Self {
        Self { audit: Some(audit.clone()), ..self }
    }

    /// Starts a GET request.
    #[track_caller]
    pub fn get(&self, path: &str) -> TestRequest {
        self.request(Method::GET, path)
    }

    /// Starts a HEAD request.
    #[track_caller]
    pub fn head(&self, path: &str) -> TestRequest {
        self.request(Method::HEAD, path)
    }

    /// Starts a POST request.
    #[track_caller]
    pub fn post(&self, path: &str) -> TestRequest {
        self.request(Method::POST, path)
    }

    /// Starts a PUT request.
    #[track_caller]
    pub fn put(&self, path: &str) -> TestRequest {
        self.request(Method::PUT, path)
    }

    /// Starts a PATCH request.
    #[track_caller]
    pub fn patch(&self, path: &str) -> TestRequest {
        self.request(Method::PATCH, path)
    }

    /// Starts a DELETE request.
    #[track_caller]
    pub fn delete(&self, path: &str) -> TestRequest {
        self.request(Method::DELETE, path)
    }

    /// Starts a request of any method; `path` may have a query.
    ///
    /// # Panics
    /// When `path` is not valid in a request line.
    #[track_caller]
    pub fn request(&self, method: Method, path: &str) -> TestRequest {
        let uri: Uri = path.parse().or_fail("the path of a request");
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        TestRequest { app: self.clone(), request }
    }
}

/// A router that already has its state: axum's, or a closed one.
pub trait TestRouter {
    /// The router to call.
    fn into_router(self) -> Router;
}

impl TestRouter for Router {
    fn into_router(self) -> Router {
        self
    }
}

impl TestRouter for ClosedRouter {
    fn into_router(self) -> Router {
        self.into_open_router()
    }
}

/// A request that is not yet sent. Await it, or call [`send`](Self::send).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use axum::{Router, routing::post};
/// use service_only::service_only;
/// use service_only_testkit::{TestAuthority, assert_allowed, assert_denied, call};
///
/// #[service_only]
/// async fn order(body: String) -> String {
///     format!("ordered {body}")
/// }
///
/// let authority = TestAuthority::new();
/// let token = authority.service("shop").token();
/// let app = call(Router::new().route("/orders", post(order)).with_state(authority.verifier()));
///
/// let response = app.post("/orders").bearer(&token).header("x-priority", "1").body("bread").await;
/// assert_allowed!(response);
///
/// // A second `Authorization` header makes the request ambiguous.
/// let response = app.post("/orders").bearer(&token).authorization("Basic YTpi").await;
/// assert_denied!(response, 400);
/// # }
/// ```
#[must_use = "nothing is sent until the request is awaited"]
#[derive(Debug)]
pub struct TestRequest {
    app: TestApp,
    request: Request<Body>,
}

impl TestRequest {
    /// Adds `Authorization: Bearer …`. After a second call the request has two headers, which is refused with
    /// 400.
    #[track_caller]
    pub fn bearer(self, token: impl AsRef<str>) -> Self {
        self.authorization(format!("Bearer {}", token.as_ref()))
    }

    /// Adds `Authorization: DPoP …` and a proof (RFC 9449 section 7.1).
    #[track_caller]
    pub fn dpop(self, token: impl AsRef<str>, proof: &crate::ProofDraft) -> Self {
        self.authorization(format!("DPoP {}", token.as_ref())).header("dpop", proof.text())
    }

    /// Adds `Authorization: WPT …` and `Workload-Identity-Token`.
    #[cfg(feature = "experimental-wimse")]
    #[track_caller]
    pub fn experimental_wpt(self, token: impl AsRef<str>, proof: &crate::ProofDraft) -> Self {
        self.authorization(format!("WPT {}", proof.text())).header("workload-identity-token", token.as_ref())
    }

    /// Sends the request as if over a connection with this client certificate.
    #[cfg(feature = "tls")]
    pub fn certificate(mut self, certificate: &crate::TestCertificate) -> Self {
        self.request.extensions_mut().insert(certificate.peer());
        self
    }

    /// Adds an `Authorization` header with any value.
    ///
    /// # Panics
    /// When the value is not valid in HTTP.
    #[track_caller]
    pub fn authorization(self, value: impl AsRef<[u8]>) -> Self {
        self.header(AUTHORIZATION, value)
    }

    /// Adds a header. Existing headers of the same name stay.
    ///
    /// # Panics
    /// When name or value is not valid in HTTP.
    #[track_caller]
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName, Error: std::fmt::Display>,
        value: impl AsRef<[u8]>,
    ) -> Self {
        let (name, value) = header(name, value);
        self.request.headers_mut().append(name, value);
        self
    }

    /// Makes this the request of a fixture: with its `Authorization` headers, one, none or several, and with
    /// its method, path, headers and body if it changes them.
    ///
    /// # Panics
    /// When the result is not a valid HTTP request.
    #[track_caller]
    pub fn fixture(mut self, fixture: &Fixture) -> Self {
        let target = self.request.uri().to_string();
        let outgoing = fixture.outgoing(self.request.method().clone(), &target);
        *self.request.method_mut() = outgoing.method;
        *self.request.uri_mut() = outgoing.target.parse().or_fail("the path of a fixture");
        let request =
            outgoing.headers.iter().fold(self, |request, (name, value)| request.header(name.as_str(), value));
        match outgoing.body {
            Some(body) => request.body(body),
            None => request,
        }
    }

    /// Sends a JSON body.
    #[track_caller]
    pub fn json(self, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).or_fail("the body of a request");
        self.header(CONTENT_TYPE, "application/json").body(body)
    }

    /// Sends a body.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    /// Sets the client address of the connection, as `ConnectInfo` returns it.
    pub fn from_address(mut self, address: SocketAddr) -> Self {
        self.request.extensions_mut().insert(ConnectInfo(address));
        self
    }

    /// Sends the request and reads the whole response.
    pub async fn send(self) -> TestResponse {
        let Self { app: TestApp { router, audit }, request } = self;
        let line = format!("{} {}", request.method(), request.uri());
        let called = audit.as_ref().map_or_else(Tick::of_call, RecordingAudit::call);
        let response = match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        TestResponse::read(line, response, audit, called).await
    }
}

/// A header of a test, or a failed test.
#[track_caller]
pub(crate) fn header(
    name: impl TryInto<HeaderName, Error: std::fmt::Display>,
    value: impl AsRef<[u8]>,
) -> (HeaderName, HeaderValue) {
    let name = name.try_into().or_fail("the name of a header");
    let value = HeaderValue::from_bytes(value.as_ref()).or_fail("the value of a header");
    (name, value)
}

impl IntoFuture for TestRequest {
    type Output = TestResponse;
    type IntoFuture = Pin<Box<dyn Future<Output = TestResponse> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
