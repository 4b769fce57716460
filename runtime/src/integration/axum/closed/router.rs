//! A version of axum's router for handlers that declare who may call.

use std::{convert::Infallible, fmt};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    response::IntoResponse,
    routing::{MethodFilter, Route, get},
};
use http::header::CONTENT_TYPE;
use tower_layer::Layer;
use tower_service::Service;

use super::{
    error::RouterError,
    handler::{ClosedHandler, Declaration},
    method::ClosedMethodRouter,
    table::{Answers, Table},
};
#[cfg(feature = "tower")]
use crate::integration::ServiceOnly;
use crate::{
    resource::ResourceMetadata,
    routes::{Access, RouteTable},
    verifier::Verifier,
};

/// A router that accepts only handlers with `#[service_only]` or `#[public(reason = "…")]` above them, and
/// guarded services. So no route is open by mistake.
///
/// You build and serve it like axum's [`Router`]; nested routers, fallbacks and method routers are closed
/// too. While you build it, it records who may call each route: [`routes`](Self::routes).
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
/// A handler that is neither guarded nor public does not compile, and the message states what to write.
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
/// Building it panics in the same cases as axum's router: an invalid path, two handlers for one method of one path, a
/// service at the path of another route, two fallbacks, a nested router at `/`. As in axum, these methods do not have a
/// variant that returns an error. It also panics where axum would silently drop a fallback: see [`nest`](Self::nest),
/// and [`try_nest`](Self::try_nest), which returns that mistake.
#[must_use = "it does nothing until it is served"]
#[derive(Clone)]
pub struct ClosedRouter<S = ()> {
    pub(crate) inner: Router<S>,
    table: Table,
}

impl<S> ClosedRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Creates a router without routes. It answers 404.
    pub fn new() -> Self {
        Self { inner: Router::new(), table: Table::default() }
    }

    /// Adds the handlers of a path. If the path exists already, their methods are added to it.
    #[track_caller]
    pub fn route(mut self, path: &str, methods: ClosedMethodRouter<S>) -> Self {
        self.table.route(path.to_owned(), methods.answers);
        Self { inner: self.inner.route(path, methods.inner), ..self }
    }

    /// Adds a service that a [`ServiceOnlyLayer`](crate::ServiceOnlyLayer) guards, for every method of a
    /// path. Its row in the table has the layer's policy, and the layer's endpoint if one is set.
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
    /// When a fallback would be lost: axum drops the fallbacks inside a router that has no fallback itself, and
    /// the outer router's fallback, which may be public, would answer instead. [`try_nest`](Self::try_nest) returns this
    /// mistake. Also where axum's `nest` panics: a path of a route that exists already, or the path `/`.
    #[track_caller]
    #[expect(clippy::panic, reason = "a router is built at the start, and panics where axum's does")]
    pub fn nest(self, path: &str, router: Self) -> Self {
        match self.try_nest(path, router) {
            Ok(router) => router,
            Err(error) => panic!("{error}"),
        }
    }

    /// Adds the routes of another closed router below a prefix, as [`nest`](Self::nest), unless a fallback would be lost.
    ///
    /// # Errors
    /// When axum would drop a fallback inside the router, because the router has no fallback itself.
    ///
    /// # Panics
    /// Where axum's `nest` panics: for a path of a route that exists already, and for the path `/`.
    ///
    /// ```
    /// use service_only::{ClosedRouter, closed::RouterError, public};
    ///
    /// #[public(reason = "it reveals no data")]
    /// async fn not_found() {}
    ///
    /// let inner = ClosedRouter::<()>::new().nest("/b", ClosedRouter::new().fallback(not_found));
    /// let refused = ClosedRouter::new().try_nest("/c", inner).map(|_| ());
    /// assert!(matches!(refused, Err(RouterError::LostFallback { .. })));
    /// ```
    #[track_caller]
    pub fn try_nest(mut self, path: &str, router: Self) -> Result<Self, RouterError> {
        self.table.nest(path, router.table)?;
        Ok(Self { inner: self.inner.nest(path, router.inner), ..self })
    }

    /// Adds the routes of another closed router, and its fallback if it has one.
    #[track_caller]
    pub fn merge(mut self, other: Self) -> Self {
        self.table.merge(other.table);
        Self { inner: self.inner.merge(other.inner), ..self }
    }

    /// Sets a guarded or public handler for requests that no route matches. The default response is 404.
    #[track_caller]
    pub fn fallback<H, T>(mut self, handler: H) -> Self
    where
        H: ClosedHandler<T> + Handler<T, S>,
        T: 'static,
    {
        self.table.fallback(H::declaration());
        Self { inner: self.inner.fallback(handler), ..self }
    }

    /// Sets a guarded or public handler for methods without a handler, on the paths that exist already.
    /// The default response is 405.
    pub fn method_not_allowed_fallback<H, T>(mut self, handler: H) -> Self
    where
        H: ClosedHandler<T> + Handler<T, S>,
        T: 'static,
    {
        self.table.method_not_allowed(&H::declaration());
        Self { inner: self.inner.method_not_allowed_fallback(handler), ..self }
    }

    /// Removes the fallback, and the fallbacks of nested routers.
    pub fn reset_fallback(mut self) -> Self {
        self.table.reset_fallback();
        Self { inner: self.inner.reset_fallback(), ..self }
    }

    /// Puts a layer in front of all existing routes and of the fallback. A layer may answer before a
    /// guard runs, as a cache or CORS does. Such a response also goes to unauthenticated callers.
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

    /// Puts a layer in front of the existing routes, but not of the fallback. A layer may answer
    /// before a guard runs.
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

    /// Provides the state of the handlers, which contains the verifier. A route that lacks a path parameter of its policy
    /// refuses every caller, and the log has the [`RouterError`]. Use [`try_with_state`](Self::try_with_state) so that a
    /// program with such a route does not start.
    pub fn with_state<S2>(self, state: S) -> ClosedRouter<S2> {
        if let Err(error) = self.table.check_parameters() {
            tracing::error!(target: "service_only", %error, "a route refuses every caller");
        }
        self.stated(state)
    }

    /// Provides the state of the handlers, as [`with_state`](Self::with_state), and checks the routes.
    ///
    /// # Errors
    /// When a route lacks a path parameter that its policy reads.
    ///
    /// ```
    /// use service_only::{ClosedRouter, Verifier, closed::{RouterError, get}, service_only};
    ///
    /// #[service_only(claims(tenant_id = "{tenant}"))]
    /// async fn invoices() {}
    ///
    /// fn app(verifier: Verifier) -> Result<ClosedRouter, RouterError> {
    ///     ClosedRouter::new().route("/tenants/{tenant}/invoices", get(invoices)).try_with_state(verifier)
    /// }
    /// ```
    pub fn try_with_state<S2>(self, state: S) -> Result<ClosedRouter<S2>, RouterError> {
        self.table.check_parameters()?;
        Ok(self.stated(state))
    }

    fn stated<S2>(self, state: S) -> ClosedRouter<S2> {
        ClosedRouter { inner: self.inner.with_state(state), table: self.table }
    }

    /// Serves the metadata of the verifier's [resource](crate::verifier::VerifierBuilder::resource) (RFC 9728) as a public
    /// route. Without a resource, it adds nothing.
    #[track_caller]
    pub fn resource_metadata(mut self, verifier: &Verifier) -> Self {
        let Some(metadata) = verifier.resource_metadata() else { return self };
        let access = Access::public("RFC 9728: clients learn here where to get a token");
        let declaration = Declaration { endpoint: None, access, parameters: Vec::new() };
        let mut answers = Answers::default();
        answers.on(MethodFilter::GET, declaration);
        self.table.route(metadata.path().to_owned(), answers);
        Self { inner: self.inner.merge(metadata_router(metadata)), ..self }
    }

    /// Converts it to axum's router, which accepts any handler. Routes that you add afterwards are not checked,
    /// and [`routes`](Self::routes) does not list them.
    pub fn into_open_router(self) -> Router<S> {
        self.inner
    }
}

impl<S> ClosedRouter<S> {
    /// Returns the table of all routes, under the name of the service that answers. Each row has the methods, the
    /// handler and who may call.
    ///
    /// A row without methods is for all methods that no other row of the same path names. Fallbacks are marked and come
    /// last. A fallback has a row with `/{*rest}`, for all paths of its router that no route matches. If no route is at
    /// the root of the router, the fallback also has a row for the root. Responses of a layer are not in the table.
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

/// A router of axum with the metadata of a resource, for a program without a closed router:
/// `router.merge(metadata_router(metadata))`.
pub fn metadata_router<S>(metadata: ResourceMetadata) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let json = metadata.to_json();
    let answer = async move || ([(CONTENT_TYPE, "application/json")], json);
    Router::new().route(metadata.path(), get(answer))
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
