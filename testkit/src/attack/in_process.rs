//! Attacks a service in the test's own process.

use std::{
    any::Any,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use axum::body::{Body, Bytes, HttpBody};
use http::{HeaderName, HeaderValue, Request, Response};
use tower::{Service, ServiceExt};

use super::{
    Attack,
    likeness::Reply,
    target::{MAX_BODY, ReadBody, Sending, Target, Unanswered},
};
use crate::{draft::Tolerance, fixture::Outgoing};

/// Starts an attack on a router, or on any tower service that answers HTTP requests. Convert an async
/// function with [`tower::service_fn`].
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
    B: HttpBody<Data = Bytes> + Send + 'static,
{
    Attack::on(InProcess::new(app), Tolerance::default())
}

/// A tower service.
pub(crate) struct InProcess<S>(S);

impl<S> InProcess<S> {
    pub(crate) fn new(service: S) -> Self {
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
    B: HttpBody<Data = Bytes> + Send,
{
    fn send(&self, outgoing: Outgoing, read: ReadBody) -> Sending<'_> {
        let service = self.0.clone();
        Box::pin(async move {
            let request = request(outgoing).map_err(Unanswered::NotSent)?;
            let response = match caught(service.oneshot(request)).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(Unanswered::Closed(error.to_string())),
                Err(panic) => return Err(panicked(&panic)),
            };
            let (parts, body) = response.into_parts();
            let body = match read {
                ReadBody::Yes => caught(start_of(body)).await.map_err(|panic| panicked(&panic))?,
                ReadBody::No => Vec::new(),
            };
            Ok(Reply::new(parts.status, &parts.headers, body))
        })
    }
}

fn panicked(panic: &str) -> Unanswered {
    Unanswered::Broken(format!("it panicked: {panic}"))
}

/// How often a body may be pending: the beginning of an endless body is enough to recognise it.
const PATIENCE: usize = 100;

/// The beginning of a body, without a wait for a streaming one.
async fn start_of(body: impl HttpBody<Data = Bytes>) -> Vec<u8> {
    let mut body = pin!(body);
    let (mut read, mut waited) = (Vec::new(), 0);
    poll_fn(|context| {
        while read.len() < MAX_BODY {
            match body.as_mut().poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    read.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
                }
                Poll::Ready(Some(Err(_)) | None) => break,
                Poll::Pending if waited == PATIENCE => break,
                Poll::Pending => {
                    waited += 1;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        read.truncate(MAX_BODY);
        Poll::Ready(std::mem::take(&mut read))
    })
    .await
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

/// Catches a panic: a handler that panics on a hostile request is a finding, and must not end the test.
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
