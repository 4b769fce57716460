//! Attacks a service in the test's own process.

use std::{fmt, pin::pin};

use axum::body::{Body, Bytes, HttpBody};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, response::Parts};
use tower::{Service, ServiceExt};

use super::{
    Attack,
    likeness::Reply,
    target::{Message, ReadBody, Sending, Target, Unanswered},
    untrusted::{beginning, caught},
};
use crate::{draft::Tolerance, grpc};

/// Starts an attack on a router, or on any tower service that answers HTTP requests. Convert an async
/// function with [`tower::service_fn`]. For a service of tonic, see [`Attack::grpc_message`].
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
/// // The attack finds an app without a guard.
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
    fn send(&self, message: Message, read: ReadBody) -> Sending<'_> {
        let service = self.0.clone();
        Box::pin(async move {
            let request = request(message).map_err(Unanswered::NotSent)?;
            let response = caught(service.oneshot(request)).await?;
            let response = response.map_err(|error| Unanswered::Closed(error.to_string()))?;
            let (Parts { status, headers, .. }, body) = response.into_parts();
            // The end of a gRPC response has its status.
            if read == ReadBody::No && !grpc::is_grpc(&headers) {
                return Ok(Reply::new(status, &headers, Vec::new()));
            }
            let (body, trailers) = caught(start_of(body)).await?;
            let status = grpc::status_of(status, &headers, &body, trailers.as_ref());
            Ok(Reply::new(status, &headers, body))
        })
    }
}

/// The beginning of a body, and the trailers if they are in it.
async fn start_of(body: impl HttpBody<Data = Bytes>) -> (Vec<u8>, Option<HeaderMap>) {
    let (mut body, mut trailers) = (pin!(body), None);
    let start = beginning(|context| {
        body.as_mut().poll_frame(context).map(|frame| match frame?.ok()?.into_data() {
            Ok(data) => Some(data),
            Err(frame) => {
                trailers = frame.into_trailers().ok();
                Some(Bytes::new())
            }
        })
    });
    let start = start.await;
    (start, trailers)
}

fn request(message: Message) -> Result<Request<Body>, String> {
    let Message { method, target, headers, body, .. } = message;
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
