//! A service in the test's own process.

use std::{
    any::Any,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response};
use tower::{Service, ServiceExt};

use super::{
    Attack,
    target::{Sending, Target, Unanswered},
};
use crate::{draft::Tolerance, fixture::Outgoing};

/// Starts an attack on a router, or on any tower service that answers HTTP requests; an async
/// function becomes one with [`tower::service_fn`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use axum::{Router, routing::delete};
/// use http::{Method, Request, Response};
/// use service_only::service_only;
/// use service_only_testkit::{Defect, TestAuthority, attack};
///
/// #[service_only(services("orchestrator"), scopes("tenants:delete"))]
/// async fn delete_tenant() {}
///
/// let authority = TestAuthority::new();
/// let caller = authority.service("orchestrator").scope("tenants:delete");
/// let app = Router::new()
///     .route("/api/v1/orders/tenant/{id}", delete(delete_tenant))
///     .with_state(authority.verifier());
///
/// attack(app)
///     .as_caller(caller.clone())
///     .audit(authority.audit())
///     .endpoint(Method::DELETE, "/api/v1/orders/tenant/7")
///     .run()
///     .await;
///
/// // Whoever lets everybody in is caught.
/// let open = tower::service_fn(async |_| Ok::<_, String>(Response::new(String::new())));
/// let report = attack(open).as_caller(caller).endpoint(Method::GET, "/").report().await;
/// assert!(report.got_in().any(|finding| finding.defect() == Defect::Expired));
/// # }
/// ```
pub fn attack<S, B>(app: S) -> Attack
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: fmt::Display,
    B: Send + 'static,
{
    Attack::on(InProcess::new(app), Tolerance::default())
}

/// A tower service.
pub(super) struct InProcess<S>(S);

impl<S> InProcess<S> {
    pub(super) fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S> fmt::Debug for InProcess<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

impl<S, B> Target for InProcess<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync,
    S::Future: Send,
    S::Error: fmt::Display,
    B: Send,
{
    fn send(&self, outgoing: Outgoing) -> Sending<'_> {
        let service = self.0.clone();
        Box::pin(async move {
            let request = request(outgoing).map_err(Unanswered::NotSent)?;
            match caught(service.oneshot(request)).await {
                Ok(Ok(response)) => Ok(response.status()),
                Ok(Err(error)) => Err(Unanswered::Closed(error.to_string())),
                Err(panic) => Err(Unanswered::Broken(format!("it panicked: {panic}"))),
            }
        })
    }
}

fn request(outgoing: Outgoing) -> Result<Request<Body>, String> {
    let Outgoing { method, target, headers, body, .. } = outgoing;
    let mut request = Request::new(body.map_or_else(Body::empty, Body::from));
    *request.method_mut() = method;
    *request.uri_mut() = target.parse().map_err(|error| format!("the target: {error}"))?;
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| format!("a header: {error}"))?;
        let value =
            HeaderValue::from_bytes(value.as_bytes()).map_err(|error| format!("a header: {error}"))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// A hostile request that makes a handler panic is a finding, and no end of the test.
async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(message(&*panic))),
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
