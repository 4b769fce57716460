//! A version of axum's method router for handlers that declare who may call.

use std::{convert::Infallible, fmt};

use axum::{
    extract::Request,
    handler::Handler,
    response::IntoResponse,
    routing::{MethodFilter, MethodRouter, Route},
};
use tower_layer::Layer;
use tower_service::Service;

use super::{handler::ClosedHandler, table::Answers};

/// The handlers of one path by method, each guarded or public. You pass it to
/// [`ClosedRouter::route`](crate::ClosedRouter::route).
///
/// The functions of this module create it. They have the names of axum's functions, and you chain handlers in the
/// same way. The handler of GET also answers HEAD, with the same guard.
///
/// ```
/// use service_only::{ClosedRouter, Verifier, closed::get, public, service_only};
///
/// #[public(reason = "the menu hangs in the window")]
/// async fn menu() {}
///
/// #[service_only(services("kitchen"))]
/// async fn change_menu() {}
///
/// let router: ClosedRouter<Verifier> = ClosedRouter::new().route("/menu", get(menu).put(change_menu));
/// ```
///
/// It does not accept a service, a handler without an attribute, or axum's own method router:
///
/// ```compile_fail,E0277
/// # #[service_only::service_only] async fn change_menu() {}
/// # use service_only::{ClosedRouter, Verifier, closed::put};
/// async fn oops() {}
///
/// let router: ClosedRouter<Verifier> = ClosedRouter::new().route("/menu", put(change_menu).fallback(oops));
/// ```
///
/// ```compile_fail,E0308
/// # #[service_only::service_only] async fn change_menu() {}
/// # use service_only::{ClosedRouter, Verifier};
/// let router: ClosedRouter<Verifier> = ClosedRouter::new().route("/menu", axum::routing::put(change_menu));
/// ```
///
/// # Panics
///
/// In the same cases as axum: when two handlers answer one method, or one path has two fallbacks.
#[must_use = "it does nothing until you add it to a router"]
#[derive(Clone)]
pub struct ClosedMethodRouter<S = ()> {
    pub(crate) inner: MethodRouter<S>,
    pub(crate) answers: Answers,
}

macro_rules! function {
    ($name:ident $method:ident) => {
        #[doc = concat!("Answers ", stringify!($method), " by a guarded or a public handler.")]
        #[track_caller]
        pub fn $name<H, T, S>(handler: H) -> ClosedMethodRouter<S>
        where
            H: ClosedHandler<T> + Handler<T, S>,
            T: 'static,
            S: Clone + Send + Sync + 'static,
        {
            on(MethodFilter::$method, handler)
        }
    };
}

function!(get GET);
function!(head HEAD);
function!(post POST);
function!(put PUT);
function!(patch PATCH);
function!(delete DELETE);
function!(options OPTIONS);
function!(trace TRACE);
function!(connect CONNECT);

/// Answers some methods with one guarded or public handler.
#[track_caller]
pub fn on<H, T, S>(filter: MethodFilter, handler: H) -> ClosedMethodRouter<S>
where
    H: ClosedHandler<T> + Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    ClosedMethodRouter { inner: MethodRouter::new(), answers: Answers::default() }.on(filter, handler)
}

/// Answers every method with one guarded or public handler.
pub fn any<H, T, S>(handler: H) -> ClosedMethodRouter<S>
where
    H: ClosedHandler<T> + Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let mut answers = Answers::default();
    answers.otherwise(H::declaration());
    ClosedMethodRouter { inner: axum::routing::any(handler), answers }
}

macro_rules! method {
    ($name:ident $method:ident) => {
        #[doc = concat!("Answers ", stringify!($method), " too, by a guarded or a public handler.")]
        #[track_caller]
        pub fn $name<H, T>(self, handler: H) -> Self
        where
            H: ClosedHandler<T> + Handler<T, S>,
            T: 'static,
        {
            self.on(MethodFilter::$method, handler)
        }
    };
}

impl<S> ClosedMethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Answers more methods with one guarded or public handler.
    #[track_caller]
    pub fn on<H, T>(mut self, filter: MethodFilter, handler: H) -> Self
    where
        H: ClosedHandler<T> + Handler<T, S>,
        T: 'static,
    {
        self.answers.on(filter, H::declaration());
        Self { inner: self.inner.on(filter, handler), ..self }
    }

    method!(get GET);
    method!(head HEAD);
    method!(post POST);
    method!(put PUT);
    method!(patch PATCH);
    method!(delete DELETE);
    method!(options OPTIONS);
    method!(trace TRACE);
    method!(connect CONNECT);

    /// Answers every other method with a guarded or public handler. The default response is 405.
    pub fn fallback<H, T>(mut self, handler: H) -> Self
    where
        H: ClosedHandler<T> + Handler<T, S>,
        T: 'static,
    {
        self.answers.otherwise(H::declaration());
        Self { inner: self.inner.fallback(handler), ..self }
    }

    /// Adds the methods of another method router.
    #[track_caller]
    pub fn merge(mut self, other: Self) -> Self {
        self.answers.merge(other.answers);
        Self { inner: self.inner.merge(other.inner), ..self }
    }

    /// Puts a layer in front of all handlers, and of the response 405. A layer may answer before a guard
    /// runs, as a cache or CORS does. Such a response also goes to unauthenticated callers.
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

    /// Puts a layer in front of the existing handlers, but not of the fallback. A layer may answer
    /// before a guard runs.
    #[track_caller]
    pub fn route_layer<L>(self, layer: L) -> Self
    where
        L: Layer<Route> + Clone + Send + Sync + 'static,
        L::Service: Service<Request, Error = Infallible> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        Self { inner: self.inner.route_layer(layer), ..self }
    }
}

impl<S> fmt::Debug for ClosedMethodRouter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClosedMethodRouter").field(&self.answers).finish()
    }
}
