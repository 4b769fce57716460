//! A stub of a guarded service, for tests of the service that calls it.
//!
//! The stub verifies each token with the real guard. A client that sends no token, or an old one, therefore gets
//! the response that the real service would send.

mod answer;
mod calls;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use service_only::{Caller, Policy, ServiceOnlyLayer};
use tower::{Layer, ServiceExt, service_fn};

pub use self::{answer::StubAnswer, calls::StubCall};
use crate::{
    authority::TestAuthority,
    fail::{OrFail, fail},
    loopback::{Port, Server},
};

/// A service that expects the token of the client under test. It verifies the token as a guarded service does,
/// answers as the test specifies, and records each call. Clones share one state.
///
/// [`router`](Self::router) is the service without a port. [`listen`](Self::listen) puts it on a loopback port
/// for a client that needs a URL.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use http::Method;
/// use service_only_testkit::{StubAnswer, StubService, TestAuthority, assert_denied, call};
///
/// let authority = TestAuthority::new();
/// let stock = StubService::new(&authority);
/// stock.on(Method::GET, "/stock/{shelf}", StubAnswer::json(&["bread", "rolls"]));
///
/// // The client under test would send these requests.
/// let client = call(stock.router());
/// let token = authority.service("orders").token();
/// assert_eq!(client.get("/stock/7").bearer(&token).await.text(), r#"["bread","rolls"]"#);
/// assert_denied!(client.get("/stock/7").await, 401);
///
/// // One call had an accepted token.
/// stock.assert_called(1);
/// assert_eq!(stock.calls()[0].service(), Some("orders"));
///
/// // How does the client behave if the service fails twice?
/// stock.fail(2, 503);
/// assert_eq!(client.get("/stock/7").bearer(&token).await.status(), 503);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct StubService(Arc<Mutex<Behaviour>>);

#[derive(Debug)]
struct Behaviour {
    authority: TestAuthority,
    layer: ServiceOnlyLayer,
    answers: Vec<(Method, String, StubAnswer)>,
    delay: Duration,
    /// How many calls fail, and with which status.
    failures: (usize, StatusCode),
    calls: Vec<StubCall>,
}

impl StubService {
    /// Creates a service that accepts the tokens of `authority`, from any service. It answers 404 until the
    /// test adds an answer.
    #[track_caller]
    pub fn new(authority: &TestAuthority) -> Self {
        Self(Arc::new(Mutex::new(Behaviour {
            authority: authority.clone(),
            layer: layer(authority, Policy::any_service()),
            answers: Vec::new(),
            delay: Duration::ZERO,
            failures: (0, StatusCode::SERVICE_UNAVAILABLE),
            calls: Vec::new(),
        })))
    }

    /// Answers requests of this method and path, from callers with an accepted token. A segment such as `{id}` matches
    /// any segment. If several answers match a request, the one that was set last is used.
    pub fn on(&self, method: Method, path: impl Into<String>, answer: StubAnswer) {
        self.lock().answers.push((method, path.into(), answer));
    }

    /// Requires this policy of each caller from now on: services, roles, scopes, age.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use service_only_testkit::{StubService, TestAuthority, assert_denied, call};
    /// use service_only::Policy;
    ///
    /// let authority = TestAuthority::new();
    /// let stock = StubService::new(&authority);
    /// stock.require(Policy::any_service().scopes(&["stock:read"]));
    ///
    /// let token = authority.service("orders").token();
    /// assert_denied!(call(stock.router()).get("/stock").bearer(token).await, 403);
    /// # }
    /// ```
    #[track_caller]
    pub fn require(&self, policy: Policy<'static>) {
        let mut behaviour = self.lock();
        behaviour.layer = layer(&behaviour.authority, policy);
    }

    /// Accepts only the tokens of this authority from now on, as after a rotation of the issuer's key. The
    /// token that the client still has is refused with 401.
    ///
    /// The service then uses the clock and the audit log of this authority.
    #[track_caller]
    pub fn rotate(&self, authority: &TestAuthority) {
        let mut behaviour = self.lock();
        behaviour.layer = layer(authority, *behaviour.layer.policy());
        behaviour.authority = authority.clone();
    }

    /// Waits this long before each answer, refusals included.
    #[doc(alias = "slow")]
    pub fn delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// Answers the next `times` calls that have an accepted token with this status, in place of their answer.
    ///
    /// # Panics
    /// When the number is not an HTTP status.
    #[track_caller]
    #[doc(alias = "down")]
    pub fn fail(&self, times: usize, status: u16) {
        let status = StatusCode::from_u16(status).or_fail("the status of a failure");
        self.lock().failures = (times, status);
    }

    /// The service without a port: a router, which is a tower service.
    pub fn router(&self) -> Router {
        Router::new().fallback(receive).with_state(self.clone())
    }

    /// Serves on a free port of 127.0.0.1 until the result is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or without a free port.
    pub async fn listen(&self) -> StubListener {
        let port = Port::bind().await;
        StubListener { url: format!("http://{}", port.address()), _server: port.serve(self.router()) }
    }

    /// Each call that the service has received, in order.
    #[doc(alias = "requests")]
    pub fn calls(&self) -> Vec<StubCall> {
        self.lock().calls.clone()
    }

    /// Asserts that this many calls had an accepted token. A refused call does not count.
    ///
    /// # Panics
    /// When there were more or fewer. The message lists all calls, and the audit log has the reason of each
    /// refusal.
    #[track_caller]
    pub fn assert_called(&self, times: usize) {
        self.assert_accepted(times, "", |_| true);
    }

    /// Asserts that this many calls of a method and path had an accepted token. The path is compared without
    /// its query, and `{id}` matches any segment.
    ///
    /// # Panics
    /// As [`assert_called`](Self::assert_called).
    #[track_caller]
    pub fn assert_called_at(&self, method: Method, path: &str, times: usize) {
        let at = format!(" of `{method} {path}`");
        self.assert_accepted(times, &at, |call| *call.method() == method && matches(path, call.path()));
    }

    #[track_caller]
    fn assert_accepted(&self, times: usize, at: &str, counts: impl Fn(&StubCall) -> bool) {
        let behaviour = self.lock();
        let accepted = behaviour.calls.iter().filter(|call| call.service().is_some() && counts(call)).count();
        if accepted != times {
            let (calls, audit) = (calls::listed(&behaviour.calls), behaviour.authority.audit());
            fail(format_args!(
                "expected {times} calls{at} with an accepted token, received {accepted}\n\n{calls}\n{audit}"
            ));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Behaviour> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A [`StubService`] on a loopback port. It stops when it is dropped.
#[derive(Debug)]
pub struct StubListener {
    url: String,
    _server: Server,
}

impl StubListener {
    /// The origin, without a slash at the end: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

#[track_caller]
fn layer(authority: &TestAuthority, policy: Policy<'static>) -> ServiceOnlyLayer {
    ServiceOnlyLayer::new(authority.verifier(), policy).endpoint(module_path!(), "StubService")
}

/// Decides and records first, then waits: a client that gives up has still called.
async fn receive(State(stub): State<StubService>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
    let received = StubCall::received(&parts, body.to_bytes().to_vec());
    let guarded = stub.lock().layer.layer(service_fn(admit));
    let Ok(decided) = guarded.oneshot(Request::from_parts(parts, Body::empty())).await;
    let (response, delay) = stub.lock().answer(received, decided.map(Body::new));
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    response
}

/// The name of the service that the guard has admitted.
#[derive(Debug, Clone)]
struct Admitted(String);

/// The handler behind the guard: its response carries the name of the caller.
async fn admit(request: Request) -> Result<Response, Infallible> {
    let mut response = Response::default();
    if let Some(caller) = request.extensions().get::<Caller>() {
        response.extensions_mut().insert(Admitted(caller.service().to_owned()));
    }
    Ok(response)
}

impl Behaviour {
    /// Adds the call to the list, and returns the response: the guard's refusal, a failure, or an answer.
    fn answer(&mut self, received: StubCall, mut decided: Response) -> (Response, Duration) {
        let service = decided.extensions_mut().remove::<Admitted>().map(|Admitted(service)| service);
        let response = match &service {
            Some(_) => self.answer_accepted(&received),
            None => decided,
        };
        self.calls.push(received.answered(service, response.status()));
        (response, self.delay)
    }

    fn answer_accepted(&mut self, call: &StubCall) -> Response {
        let (failures, status) = self.failures;
        if let Some(left) = failures.checked_sub(1) {
            self.failures = (left, status);
            return status.into_response();
        }
        let answers = self.answers.iter().rev();
        let mut matching =
            answers.filter(|(method, path, _)| call.method() == method && matches(path, call.path()));
        matching
            .next()
            .map_or_else(|| StatusCode::NOT_FOUND.into_response(), |(.., answer)| answer.response())
    }
}

/// Whether a path has the segments of a template, of which `{name}` is any segment.
fn matches(template: &str, path: &str) -> bool {
    let (mut expected, mut found) = (template.split('/'), path.split('/'));
    let fits = |expected: &str, found: &str| {
        expected == found || (expected.starts_with('{') && expected.ends_with('}') && !found.is_empty())
    };
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return true,
            (Some(expected), Some(found)) if fits(expected, found) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_segment_in_braces_is_any_segment() {
        for path in ["/stock/7", "/stock/{shelf}"] {
            assert!(matches("/stock/{shelf}", path), "{path}");
        }
        for path in ["/stock", "/stock/", "/stock/7/left", "/stick/7"] {
            assert!(!matches("/stock/{shelf}", path), "{path}");
        }
        assert!(matches("/", "/") && !matches("/", "/stock"));
    }
}
