//! tower: a layer around a client.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
#[cfg(any(feature = "axum", feature = "tonic"))]
use http_body::Body as _;
use http_body_util::{Empty, Full};
use tower_layer::Layer;
use tower_service::Service;

use super::AttachToken;

/// The body of a request that may have to be sent a second time.
pub trait ResendBody: Sized {
    /// The same body once more; `None` where there is only one.
    fn again(&self) -> Option<Self>;
}

impl<D: Buf + Clone> ResendBody for Full<D> {
    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

impl<D> ResendBody for Empty<D> {
    fn again(&self) -> Option<Self> {
        Some(Self::new())
    }
}

impl ResendBody for Bytes {
    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// One that is empty can be sent again, a stream cannot.
#[cfg(feature = "axum")]
impl ResendBody for axum::body::Body {
    fn again(&self) -> Option<Self> {
        self.is_end_stream().then(Self::empty)
    }
}

/// As axum's. The message of a call is a stream, so a refused call is not sent again; the next one has the
/// new token.
#[cfg(feature = "tonic")]
impl ResendBody for tonic::body::Body {
    fn again(&self) -> Option<Self> {
        self.is_end_stream().then(Self::empty)
    }
}

impl<S> Layer<S> for AttachToken {
    type Service = TokenAttached<S>;

    fn layer(&self, inner: S) -> TokenAttached<S> {
        TokenAttached { attach: self.clone(), inner }
    }
}

/// A client whose requests [`AttachToken`] puts a token on.
#[derive(Debug, Clone)]
pub struct TokenAttached<S> {
    attach: AttachToken,
    inner: S,
}

impl<S, B, A> Service<Request<B>> for TokenAttached<S>
where
    S: Service<Request<B>, Response = Response<A>> + Clone + Send + 'static,
    S::Future: Send,
    B: ResendBody + Send + 'static,
    A: Send,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The one that said it is ready is called; its clone may not be ready.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let target = request.uri().clone();
        let Some(sent) = self.attach.attach(&target, request.headers_mut()) else {
            return Box::pin(inner.call(request));
        };
        let tokens = self.attach.tokens.clone();
        let again = again(&request);
        Box::pin(async move {
            let response = inner.call(request).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            match (tokens.another_than(&sent).await, again) {
                (Some(newer), Some(mut again)) => {
                    again.headers_mut().insert(AUTHORIZATION, newer);
                    drop(response);
                    poll_fn(|context| inner.poll_ready(context)).await?;
                    inner.call(again).await
                }
                _ => Ok(response),
            }
        })
    }
}

fn again<B: ResendBody>(request: &Request<B>) -> Option<Request<B>> {
    let mut again = Request::new(request.body().again()?);
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.version_mut() = request.version();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    Some(again)
}
