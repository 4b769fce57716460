//! Serves a closed router. The router that a server gets for each connection is closed too: axum's own service
//! of connections would return an open router.

#![expect(unnameable_types, reason = "sealed: no other crate can implement or name them")]

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    marker::PhantomData,
    task::{Context, Poll},
};

use axum::{
    Extension, Router,
    extract::connect_info::{ConnectInfo, Connected},
    middleware::AddExtension,
    response::Response,
};
use tower_layer::Layer;
use tower_service::Service;

use super::router::ClosedRouter;

/// Implements the same services as axum's router: for requests, and for the connections of `axum::serve`,
/// each of which gets a closed router.
impl<R> Service<R> for ClosedRouter
where
    Router: Service<R>,
    <Router as Service<R>>::Response:
        StaysClosed<<Router as Service<R>>::Future, <Router as Service<R>>::Error>,
{
    type Response = <<Router as Service<R>>::Response as StaysClosed<
        <Router as Service<R>>::Future,
        <Router as Service<R>>::Error,
    >>::Closed;
    type Error = <Router as Service<R>>::Error;
    type Future = <<Router as Service<R>>::Response as StaysClosed<
        <Router as Service<R>>::Future,
        <Router as Service<R>>::Error,
    >>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let answered = self.inner.call(request);
        <Router as Service<R>>::Response::closed(self, answered)
    }
}

/// Maps the future `F` of axum's router to the response of a closed router. Code outside this crate
/// cannot name the trait.
pub trait StaysClosed<F, E> {
    #[doc(hidden)]
    type Closed;
    #[doc(hidden)]
    type Future: Future<Output = Result<Self::Closed, E>>;

    #[doc(hidden)]
    fn closed(router: &ClosedRouter, answered: F) -> Self::Future;
}

impl<F: Future<Output = Result<Self, E>>, E> StaysClosed<F, E> for Response {
    type Closed = Self;
    type Future = F;

    fn closed(_: &ClosedRouter, answered: F) -> F {
        answered
    }
}

impl<F, E> StaysClosed<F, E> for Router {
    type Closed = ClosedRouter;
    type Future = Ready<Result<ClosedRouter, E>>;

    fn closed(router: &ClosedRouter, _: F) -> Self::Future {
        // axum does the same, so that the state is set once and not for each request.
        ready(Ok(router.clone().with_state(())))
    }
}

/// A service that returns the closed router for each connection; created by
/// [`ClosedRouter::into_make_service`].
///
/// The returned router does not accept a handler that does not declare its callers:
///
/// ```compile_fail,E0277
/// # use service_only::{ClosedRouter, closed::get};
/// # use tower::Service;
/// # async fn app() {
/// let router = ClosedRouter::new().into_make_service().call(()).await.unwrap();
/// let router = router.route("/hole", get(async || "open"));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ClosedMakeService {
    router: ClosedRouter,
}

/// A service that returns the closed router for each connection, and passes the client's address
/// to its handlers as a `C`; created by [`ClosedRouter::into_make_service_with_connect_info`].
pub struct ClosedMakeServiceWithConnectInfo<C> {
    router: ClosedRouter,
    connected: PhantomData<fn() -> C>,
}

impl ClosedRouter {
    /// Converts the router to the service that `axum::serve` takes.
    pub fn into_make_service(self) -> ClosedMakeService {
        // Set the state once, and not for each connection.
        ClosedMakeService { router: self.with_state(()) }
    }

    /// Converts the router to the service that `axum::serve` takes. Handlers and audit records get the client's
    /// address.
    pub fn into_make_service_with_connect_info<C>(self) -> ClosedMakeServiceWithConnectInfo<C> {
        ClosedMakeServiceWithConnectInfo { router: self.with_state(()), connected: PhantomData }
    }
}

impl<T> Service<T> for ClosedMakeService {
    type Response = ClosedRouter;
    type Error = Infallible;
    type Future = Ready<Result<ClosedRouter, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: T) -> Self::Future {
        ready(Ok(self.router.clone()))
    }
}

impl<C, T> Service<T> for ClosedMakeServiceWithConnectInfo<C>
where
    C: Connected<T>,
{
    type Response = AddExtension<ClosedRouter, ConnectInfo<C>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, connection: T) -> Self::Future {
        let client = Extension(ConnectInfo(C::connect_info(connection)));
        ready(Ok(client.layer(self.router.clone())))
    }
}

impl<C> Clone for ClosedMakeServiceWithConnectInfo<C> {
    fn clone(&self) -> Self {
        Self { router: self.router.clone(), connected: PhantomData }
    }
}

impl<C> fmt::Debug for ClosedMakeServiceWithConnectInfo<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClosedMakeServiceWithConnectInfo").field(&self.router).finish()
    }
}
