//! Calls each route of a program without a valid token, and reports the routes that accept the call.
//!
//! Such a caller is a stranger: it has no token, garbage, or a token with a foreign signature.

mod credentials;
mod findings;
mod listed;
pub(crate) mod path;

use std::{collections::BTreeMap, fmt, future::Future, panic::Location, pin::Pin};

use axum::body::Body;
use http::{Request, Response, StatusCode, Uri, header::AUTHORIZATION};
use service_only::{ClosedRouter, routes::RouteTable};
use tower::{Service, ServiceExt};

pub use self::findings::Findings;
use self::{credentials::Credentials, listed::Listing};
use crate::{
    assertions::Answer,
    draft::TokenDraft,
    fail::{OrFail, fail},
};

/// Fails the test unless every non-public route of a closed router refuses strangers. The router knows its
/// own routes, so a test needs only this call.
///
/// A route that answers 404 fails too, because the router has it. If the layers of your app answer 404, or
/// the app is not a closed router, use [`Strangers`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use service_only::{ClosedRouter, Verifier, closed::get, public, service_only};
/// # #[service_only] async fn stock() {}
/// # #[public(reason = "load balancers have no token")] async fn healthz() {}
/// # fn app(verifier: Verifier) -> ClosedRouter {
/// #     ClosedRouter::new().route("/stock", get(stock)).route("/healthz", get(healthz)).with_state(verifier)
/// # }
/// use service_only_testkit::{TestAuthority, assert_guarded};
///
/// assert_guarded(app(TestAuthority::new().verifier())).await;
/// # }
/// ```
#[track_caller]
pub fn assert_guarded(router: ClosedRouter) -> impl Future<Output = ()> {
    let table = router.routes("");
    Strangers::at(router).table(&table).not_found_fails().assert_refused()
}

/// Calls every route of an app without valid credentials, and fails the test for each answer other than 401,
/// 403 or 404.
///
/// Each route is called without a token, with a malformed token, and with a forged token. The forged token
/// differs from a valid one only in its signature: its issuer, audience, `kid` and all that the route
/// requires are those of a [caller](Self::as_caller) that the app accepts. A handler that compares claims but
/// does not verify the signature accepts it. A GET route is also called with HEAD if the app routes it. A
/// route for any method is called with GET, HEAD, POST, PUT, PATCH and DELETE. A path parameter is filled
/// with `1` and with a UUID of zeros.
///
/// An app is an axum router, any other tower service, or an async function ([`calling`](Self::calling)).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use axum::{Router, routing::{delete, get}};
/// use service_only::service_only;
/// use service_only_testkit::{Strangers, TestAuthority};
///
/// #[service_only]
/// async fn delete_tenant() {}
///
/// async fn healthz() {}
///
/// let authority = TestAuthority::new();
/// let app = Router::new()
///     .route("/tenants/{id}", delete(delete_tenant))
///     .route("/healthz", get(healthz))
///     .with_state(authority.verifier());
///
/// Strangers::at(app)
///     .routes([("DELETE", "/tenants/{id}"), ("GET", "/healthz")])
///     .public("/healthz")
///     .assert_refused()
///     .await;
/// # }
/// ```
///
/// A 404 counts as a refusal here, because a service may hide its resources. A 404 may also come from an
/// unguarded handler that did not find tenant 1: [`not_found_fails`](Self::not_found_fails) is stricter.
#[must_use = "no route is called until `assert_refused` is awaited"]
#[derive(Clone)]
pub struct Strangers<C> {
    call: C,
    listing: Listing,
    fillings: Vec<String>,
    parameters: BTreeMap<String, String>,
    not_found_fails: bool,
    callers: Vec<TokenDraft>,
}

/// The pending answer of a tower service.
type Answering = Pin<Box<dyn Future<Output = StatusCode> + Send>>;

const FILLINGS: [&str; 2] = ["1", "00000000-0000-0000-0000-000000000000"];

impl Strangers<()> {
    /// Tests an axum router, open or closed, or another tower service.
    pub fn at<S, B>(service: S) -> Strangers<impl Fn(Request<()>) -> Answering>
    where
        S: Service<Request<Body>, Response = Response<B>, Error: fmt::Display, Future: Send>,
        S: Clone + Send + 'static,
    {
        Strangers::calling(move |request: Request<()>| -> Answering {
            let service = service.clone();
            Box::pin(async move {
                let answer = service.oneshot(request.map(|()| Body::empty())).await;
                answer.or_fail("the app gave no answer").status()
            })
        })
    }

    /// Tests any async function that takes a request and returns an [`Answer`]: a response, or only a status.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use http::{Request, StatusCode};
    /// use service_only_testkit::Strangers;
    ///
    /// async fn app(request: Request<()>) -> StatusCode {
    ///     match request.uri().path() {
    ///         "/stock" => StatusCode::UNAUTHORIZED,
    ///         _ => StatusCode::NOT_FOUND,
    ///     }
    /// }
    ///
    /// Strangers::calling(app).routes([("GET", "/stock")]).assert_refused().await;
    /// # }
    /// ```
    ///
    /// actix has its own types for requests and statuses:
    ///
    /// ```ignore
    /// let app = test::init_service(App::new().configure(routes)).await;
    /// Strangers::calling(async |request: http::Request<()>| {
    ///     let mut call = test::TestRequest::with_uri(&request.uri().to_string())
    ///         .method(request.method().as_str().parse().unwrap());
    ///     for (name, value) in request.headers() {
    ///         call = call.insert_header((name.as_str(), value.as_bytes()));
    ///     }
    ///     let response = test::call_service(&app, call.to_request()).await;
    ///     http::StatusCode::from_u16(response.status().as_u16()).unwrap()
    /// })
    /// .routes([("DELETE", "/tenants/{id}")])
    /// .assert_refused()
    /// .await;
    /// ```
    pub fn calling<C, F>(call: C) -> Strangers<C>
    where
        C: Fn(Request<()>) -> F,
        F: Future<Output: Answer>,
    {
        Strangers {
            call,
            listing: Listing::default(),
            fillings: FILLINGS.map(str::to_owned).to_vec(),
            parameters: BTreeMap::new(),
            not_found_fails: false,
            callers: Vec::new(),
        }
    }
}

impl<C> Strangers<C> {
    /// Adds routes to test, as pairs of a method and a path. The method `*` means any method. Write a path
    /// parameter as `{name}`, and one for the rest of the path as `{*name}`.
    ///
    /// # Panics
    /// When a method is invalid.
    #[track_caller]
    pub fn routes<M, P>(mut self, routes: impl IntoIterator<Item = (M, P)>) -> Self
    where
        M: AsRef<str>,
        P: Into<String>,
    {
        for (method, path) in routes {
            self.listing.pair(method.as_ref(), path.into());
        }
        self
    }

    /// Adds the routes of a routing table: a closed router's own, or one that was read from JSON. Its public
    /// routes are not called.
    #[track_caller]
    pub fn table(mut self, table: &RouteTable) -> Self {
        self.listing.table(table);
        self
    }

    /// Declares a public route: `"/healthz"` for each method of a path, `"GET /healthz"` for one method.
    ///
    /// The test fails if the routes do not contain it, or if the table lists it as guarded: such an exception
    /// would hide the next mistake.
    pub fn public(mut self, route: impl Into<String>) -> Self {
        self.listing.exception(route.into());
        self
    }

    /// Sets the values for path parameters, in place of `1` and a UUID of zeros. Each route is called with
    /// each value, and must refuse all of them.
    pub fn fill_with<T: Into<String>>(self, fillings: impl IntoIterator<Item = T>) -> Self {
        Self { fillings: fillings.into_iter().map(Into::into).collect(), ..self }
    }

    /// Sets the value of one path parameter in all routes, such as `"region"` to `"eu-west"`.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Names a caller that the app accepts. The test forges this caller's token: the header and claims are
    /// the same, and another key signs it. Only a handler that verifies the signature refuses it.
    ///
    /// By default the test forges tokens of each [`TestAuthority`](crate::TestAuthority) whose verifier or keys the
    /// test requested on this thread. Name the caller if the app trusts tokens of another shape (Kubernetes, SPIFFE,
    /// OAuth), or is built on another thread. You can call this method repeatedly.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # use axum::{Router, routing::get};
    /// # use service_only::{TrustedIssuer, service_only};
    /// # use service_only_testkit::{Strangers, TestAuthority};
    /// # #[service_only] async fn stock() {}
    /// let cluster = TestAuthority::new().issuer("https://cluster").audience("stock");
    /// let verifier = cluster.verifier_trusting(TrustedIssuer::kubernetes);
    /// let app = Router::new().route("/stock", get(stock)).with_state(verifier);
    /// let caller = cluster.kubernetes("bakery", "gateway");
    /// Strangers::at(app).as_caller(caller).routes([("GET", "/stock")]).assert_refused().await;
    /// # }
    /// ```
    pub fn as_caller(mut self, caller: TokenDraft) -> Self {
        self.callers.push(caller);
        self
    }

    /// Makes a 404 fail the test too. Otherwise, a route that the app does not have passes like one that
    /// refuses.
    pub fn not_found_fails(self) -> Self {
        Self { not_found_fails: true, ..self }
    }

    /// Calls all routes, and fails the test unless each refuses every stranger. The message lists the routes
    /// that did not, and the next step.
    #[track_caller]
    pub fn assert_refused<F>(self) -> impl Future<Output = ()>
    where
        C: Fn(Request<()>) -> F,
        F: Future<Output: Answer>,
    {
        let asked_at = Location::caller();
        async move {
            let findings = self.findings().await;
            if !findings.is_empty() {
                fail(format_args!("{findings}\nasked for at {asked_at}"));
            }
        }
    }

    /// Calls all routes, and returns those that did not refuse.
    pub async fn findings<F>(self) -> Findings
    where
        C: Fn(Request<()>) -> F,
        F: Future<Output: Answer>,
    {
        let mut findings = Findings::new(self.not_found_fails);
        let credentials = Credentials::new(&self.callers);
        for door in self.listing.doors() {
            for path in path::filled(door.path, &self.fillings, &self.parameters) {
                for stranger in credentials.strangers(door.access) {
                    let mut request = Request::new(());
                    *request.method_mut() = door.method.clone();
                    *request.uri_mut() = path.parse::<Uri>().or_fail(&format!("the path `{path}`"));
                    request.headers_mut().extend(stranger.header.map(|value| (AUTHORIZATION, value)));
                    let status = (self.call)(request).await.answered().status;
                    findings.answer(&door, &path, stranger.name, status);
                }
            }
        }
        findings.listing(&self.listing);
        findings
    }
}

impl<C> fmt::Debug for Strangers<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strangers").finish_non_exhaustive()
    }
}
