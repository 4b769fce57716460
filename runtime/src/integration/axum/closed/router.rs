//! axum's router, for handlers that say who may call.

use std::{convert::Infallible, fmt};

use axum::{Router, extract::Request, handler::Handler, response::IntoResponse, routing::Route};
use tower_layer::Layer;
use tower_service::Service;

use super::{handler::ClosedHandler, method::ClosedMethodRouter, table::Table};
#[cfg(feature = "tower")]
use super::{handler::Declaration, table::Answers};
#[cfg(feature = "tower")]
use crate::integration::ServiceOnly;
use crate::routes::RouteTable;

/// A router that takes only handlers with `#[service_only]` or `#[public(reason = "…")]` above them, and
/// guarded services, so that no route is open because somebody forgot.
///
/// It is built and served as axum's [`Router`]; nested routers, fallbacks and method routers are closed
/// too. While it is built it writes down who may call what: [`routes`](Self::routes).
///
/// ```
/// use service_only::{ClosedRouter, Verifier, closed::{delete, get}, public, service_only};
///
/// #[service_only(services("orchestrator"))]
/// async fn delete_tenant() {}
///
/// #[public(reason = "load balancers have no token")]
/// async fn healthz() {}
///
/// fn app(verifier: Verifier) -> ClosedRouter {
///     ClosedRouter::new()
///         .nest("/tenants", ClosedRouter::new().route("/{id}", delete(delete_tenant)))
///         .route("/healthz", get(healthz))
///         .with_state(verifier)
/// }
/// ```
///
/// # What it refuses
///
/// A handler that is neither guarded nor public does not compile, and the message says what to write.
/// Neither does a router of axum, or a service that no layer guards:
///
/// ```compile_fail,E0277
/// # use service_only::ClosedRouter;
/// async fn not_found() {}
///
/// let router: ClosedRouter = ClosedRouter::new().fallback(not_found);
/// ```
///
/// ```compile_fail,E0308
/// # use service_only::ClosedRouter;
/// let router: ClosedRouter = ClosedRouter::new().nest("/old", axum::Router::new());
/// ```
///
/// ```compile_fail,E0308
/// # use service_only::ClosedRouter;
/// let router: ClosedRouter = ClosedRouter::new().merge(axum::Router::new());
/// ```
///
/// A guarded handler without a verifier in the state does not compile either, as in axum's router.
///
/// # Panics
///
/// Building it panics where axum's router does: a path that is none, two handlers for one method of one
/// path, a service at the path of another route, two fallbacks, a nested router at `/`. It panics too where
/// axum would drop a fallback in silence: see [`nest`](Self::nest).
#[must_use = "it answers nothing until it is served"]
#[derive(Clone)]
pub struct ClosedRouter<S = ()> {
    pub(crate) inner: Router<S>,
    table: Table,
}

impl<S> ClosedRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// A router without routes. It answers 404.
    pub fn new() -> Self {
        Self { inner: Router::new(), table: Table::default() }
    }

    /// Adds the handlers of a path. A path that is there already gets their methods in addition.
    #[track_caller]
    pub fn route(mut self, path: &str, methods: ClosedMethodRouter<S>) -> Self {
        self.table.route(path.to_owned(), methods.answers);
        Self { inner: self.inner.route(path, methods.inner), ..self }
    }

    /// Adds a service that a [`ServiceOnlyLayer`](crate::ServiceOnlyLayer) guards, for every method of a
    /// path. Its row has the layer's policy, and its endpoint where the layer was given one.
    ///
    /// ```
    /// use axum::{body::Body, http::{Request, Response}};
    /// use service_only::{ClosedRouter, Policy, ServiceOnlyLayer, Verifier};
    /// use tower::{Layer, service_fn};
    ///
    /// const AUDITOR: Policy<'static> = Policy::any_service().services(&["auditor"]);
    ///
    /// fn app(verifier: Verifier) -> ClosedRouter {
    ///     let reports = service_fn(async |_: Request<Body>| Ok(Response::new(Body::from("bread,12"))));
    ///     let guard = ServiceOnlyLayer::new(verifier, AUDITOR).endpoint(module_path!(), "reports");
    ///     ClosedRouter::new().route_service("/reports/{*file}", guard.layer(reports))
    /// }
    /// ```
    ///
    /// A service without the layer does not compile:
    ///
    /// ```compile_fail,E0308
    /// # use axum::{body::Body, http::{Request, Response}};
    /// # use service_only::ClosedRouter;
    /// # use tower::service_fn;
    /// let reports = service_fn(async |_: Request<Body>| Ok(Response::new(Body::from("bread,12"))));
    /// let router: ClosedRouter = ClosedRouter::new().route_service("/reports/{*file}", reports);
    /// ```
    #[cfg(feature = "tower")]
    #[track_caller]
    pub fn route_service<T>(mut self, path: &str, service: ServiceOnly<T>) -> Self
    where
        ServiceOnly<T>: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        <ServiceOnly<T> as Service<Request>>::Response: IntoResponse,
        <ServiceOnly<T> as Service<Request>>::Future: Send + 'static,
    {
        self.table.route(path.to_owned(), Answers::of_service(Declaration::from(&service)));
        Self { inner: self.inner.route_service(path, service), ..self }
    }

    /// Adds the routes of another closed router below a prefix, and its fallback if it has one.
    ///
    /// # Panics
    /// Where a fallback would be lost: axum drops those of routers inside one that has none of its own, and
    /// the outer router's fallback, which may be public, would answer in its place.
    #[track_caller]
    pub fn nest(mut self, path: &str, router: Self) -> Self {
        self.table.nest(path, router.table);
        Self { inner: self.inner.nest(path, router.inner), ..self }
    }

    /// Adds the routes of another closed router, and its fallback if it has one.
    #[track_caller]
    pub fn merge(mut self, other: Self) -> Self {
        self.table.merge(other.table);
        Self { inner: self.inner.merge(other.inner), ..self }
    }

    /// Answers what no route answers, by a guarded or a public handler. Without it that is 404.
    #[track_caller]
    pub fn fallback<H, T>(mut self, handler: H) -> Self
    where
        H: ClosedHandler<T> + Handler<T, S>,
        T: 'static,
    {
        self.table.fallback(H::declaration());
        Self { inner: self.inner.fallback(handler), ..self }
    }

    /// Answers the methods that a path has no handler for, by a guarded or a public handler; for the paths
    /// that are there already. Without it that is 405.
    pub fn method_not_allowed_fallback<H, T>(mut self, handler: H) -> Self
    where
        H: ClosedHandler<T> + Handler<T, S>,
        T: 'static,
    {
        self.table.method_not_allowed(&H::declaration());
        Self { inner: self.inner.method_not_allowed_fallback(handler), ..self }
    }

    /// Takes the fallback away, and those of nested routers.
    pub fn reset_fallback(mut self) -> Self {
        self.table.reset_fallback();
        Self { inner: self.inner.reset_fallback(), ..self }
    }

    /// Puts a layer in front of all routes that are there, and of the fallback. A layer may answer before a
    /// guard does, as a cache or CORS would; what it answers, it answers to strangers too.
    pub fn layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self { inner: self.inner.layer(layer), ..self }
    }

    /// Puts a layer in front of the routes that are there, and not of the fallback. A layer may answer
    /// before a guard does.
    #[track_caller]
    pub fn route_layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self { inner: self.inner.route_layer(layer), ..self }
    }

    /// Gives the handlers their state, which holds the verifier.
    pub fn with_state<S2>(self, state: S) -> ClosedRouter<S2> {
        ClosedRouter { inner: self.inner.with_state(state), table: self.table }
    }

    /// Leaves the closed world: axum's router, which takes any handler. What is added to it from then on,
    /// nothing checks, and [`routes`](Self::routes) does not know.
    pub fn into_open_router(self) -> Router<S> {
        self.inner
    }
}

impl<S> ClosedRouter<S> {
    /// Who may call what: every route with its methods, its handler and who may call, under the name of
    /// the service that answers.
    ///
    /// A row without methods is for each method that no other row of its path names. Fallbacks stand
    /// last and are marked: each at the root of its router, unless that is routed, and as `/{*rest}` below
    /// it, for each path that no route answers. What a layer answers is not there.
    ///
    /// ```
    /// use service_only::{ClosedRouter, Verifier, closed::get, service_only};
    ///
    /// #[service_only]
    /// async fn list() {}
    ///
    /// let loaves = ClosedRouter::<Verifier>::new().route("/", get(list));
    /// let table = ClosedRouter::new().nest("/loaves", loaves).routes("bakery");
    /// assert_eq!(table.routes()[0].path(), "/loaves");
    /// assert_eq!(table.routes()[0].methods(), ["GET", "HEAD"]);
    /// ```
    pub fn routes(&self, service: &str) -> RouteTable {
        self.table.routes(service)
    }
}

impl<S> Default for ClosedRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for ClosedRouter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClosedRouter").field(&self.table).finish()
    }
}
