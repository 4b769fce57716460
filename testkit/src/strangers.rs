//! Strangers at every door: each route of a program is called without a token, with garbage, and with a
//! token that somebody else signed; what lets one of them in is reported.

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

/// Fails the test unless every route of a closed router refuses strangers, but for those that are public.
/// The router knows its own routes, so this is all a test suite has to say.
///
/// A route that answers 404 fails too, because the router has it. For an app whose layers answer so, or
/// that is no closed router, there is [`Strangers`].
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

/// Calls every route of an app as a stranger would, and fails the test for each that answers anything but
/// 401, 403 or 404.
///
/// Each route is called without a token, with a token that is none, and with one that differs from a good one
/// in its signature alone: issuer, audience, `kid` and all that the route asks for are those of a
/// [caller](Self::as_caller) that the app knows. A handler that compares claims and checks no signature lets
/// that one in. GET is tried with HEAD too where the app routes it, and a route for any method
/// with GET, HEAD, POST, PUT, PATCH and DELETE. A parameter of a path is filled with `1` and with a UUID of
/// zeros.
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
/// A 404 is a refusal here, because a service may hide what it has. It may also be an unguarded handler
/// that did not find tenant 1: [`not_found_fails`](Self::not_found_fails) asks for more.
#[must_use = "nobody is called until `assert_refused` is awaited"]
#[derive(Clone)]
pub struct Strangers<C> {
    call: C,
    listing: Listing,
    fillings: Vec<String>,
    parameters: BTreeMap<String, String>,
    not_found_fails: bool,
    callers: Vec<TokenDraft>,
}

/// The answer of a tower service, on its way.
type Answering = Pin<Box<dyn Future<Output = StatusCode> + Send>>;

const FILLINGS: [&str; 2] = ["1", "00000000-0000-0000-0000-000000000000"];

impl Strangers<()> {
    /// Strangers who call an axum router, open or closed, or another tower service.
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

    /// Strangers who call any async function that takes a request and gives an [`Answer`]: a response, or a
    /// status alone.
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
    /// actix has requests and statuses of its own:
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
    /// The routes to try, as pairs of a method and a path. The method `*` stands for any; a parameter of a
    /// path is written `{name}`, and one that takes the rest of the path `{*name}`.
    ///
    /// # Panics
    /// When a method is none.
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

    /// The routes to try, from a routing table: a closed router's own, or one that was read from JSON. Its
    /// public routes are not tried.
    #[track_caller]
    pub fn table(mut self, table: &RouteTable) -> Self {
        self.listing.table(table);
        self
    }

    /// A route that anybody may call: `"/healthz"` for each method of a path, `"GET /healthz"` for one.
    ///
    /// One that is not among the routes, or that the table knows as guarded, fails the test: it would hide
    /// the next mistake.
    pub fn public(mut self, route: impl Into<String>) -> Self {
        self.listing.exception(route.into());
        self
    }

    /// What parameters of paths are filled with, in place of `1` and a UUID of zeros. Each route is tried
    /// with each, and has to refuse all.
    pub fn fill_with<T: Into<String>>(self, fillings: impl IntoIterator<Item = T>) -> Self {
        Self { fillings: fillings.into_iter().map(Into::into).collect(), ..self }
    }

    /// What one parameter is filled with wherever it stands, such as `"region"` with `"eu-west"`.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Names a caller that the app lets in. A stranger comes with this caller's token, the same in header
    /// and claims, and signed by another key: only a handler that checks the signature tells them apart.
    ///
    /// Left out, the strangers forge tokens of each [`TestAuthority`](crate::TestAuthority) whose verifier
    /// or keys this test has taken, on its own thread. Name the caller where the app trusts tokens of
    /// another shape (Kubernetes, SPIFFE, OAuth), or is built on another thread. May be called repeatedly.
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

    /// A 404 fails the test too. Without it, a route that the app does not have passes for one that refuses.
    pub fn not_found_fails(self) -> Self {
        Self { not_found_fails: true, ..self }
    }

    /// Calls all routes, and fails the test unless each refuses every stranger. The message lists what did
    /// not, and what to do.
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

    /// Calls all routes, and gives back what did not refuse.
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
                    let status = (self.call)(request).await.status_code();
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
