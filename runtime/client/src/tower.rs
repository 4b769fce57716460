//! Support for tower: a layer around a client.

use std::{
    error::Error,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use http::{Request, Response, StatusCode};
#[cfg(any(feature = "axum", feature = "tonic"))]
use http_body::Body as _;
use http_body_util::{Empty, Full};
use tower_layer::Layer;
use tower_service::Service;

use crate::{AttachToken, attach::NoToken};

/// The body of a request that may be sent a second time.
pub trait ResendBody: Sized {
    /// A copy of the body; `None` if the body cannot be repeated.
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

/// An empty body can be sent again, a stream cannot.
#[cfg(feature = "axum")]
impl ResendBody for axum::body::Body {
    fn again(&self) -> Option<Self> {
        self.is_end_stream().then(Self::empty)
    }
}

/// Works like axum's body. The message of a call is a stream, so a refused call is not sent again; the next
/// call has the new token.
#[cfg(feature = "tonic")]
impl ResendBody for tonic::body::Body {
    fn again(&self) -> Option<Self> {
        self.is_end_stream().then(Self::empty)
    }
}

type BoxError = Box<dyn Error + Send + Sync>;

impl<S> Layer<S> for AttachToken {
    type Service = TokenAttached<S>;

    fn layer(&self, inner: S) -> TokenAttached<S> {
        TokenAttached { attach: self.clone(), inner }
    }
}

/// A tower client inside the layer [`AttachToken`], which adds a token to its requests. The error is that of the
/// client, or the reason why there is no token: a [`TokenFileError`](crate::TokenFileError) of a file, or a
/// [`TokenError`](crate::TokenError) of a [`TokenSupply`](crate::TokenSupply).
#[derive(Debug, Clone)]
pub struct TokenAttached<S> {
    attach: AttachToken,
    inner: S,
}

impl<S, B, A> Service<Request<B>> for TokenAttached<S>
where
    S: Service<Request<B>, Response = Response<A>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: ResendBody + Send + 'static,
    A: Send,
{
    type Response = Response<A>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // Call the instance that reported it is ready; its clone may not be ready.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let Some(recipient) = self.attach.addressed(request.uri(), request.headers()) else {
            let response = inner.call(request);
            return Box::pin(async move { response.await.map_err(Into::into) });
        };
        let (tokens, signing) = (self.attach.tokens.clone(), self.attach.signing.clone());
        Box::pin(async move {
            let sent = tokens.authorization_now(&recipient).await.map_err(|none| match none {
                NoToken::File(error) => BoxError::from(error),
                NoToken::Supply(error) => BoxError::from(error),
            })?;
            let (method, target) = (request.method().clone(), request.uri().clone());
            signing.sign(&sent, &method, &target, request.headers_mut())?;
            let again = again(&request);
            let response = inner.call(request).await.map_err(Into::into)?;
            let needs_nonce = signing.needs_nonce(&target, response.status(), response.headers());
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            let newer = match needs_nonce {
                true => Some(sent),
                false => tokens.another_than(&sent, &recipient).await,
            };
            match (newer, again) {
                (Some(token), Some(mut again)) => {
                    signing.sign(&token, &method, &target, again.headers_mut())?;
                    drop(response);
                    poll_fn(|context| inner.poll_ready(context)).await.map_err(Into::into)?;
                    let response = inner.call(again).await.map_err(Into::into)?;
                    signing.needs_nonce(&target, response.status(), response.headers());
                    Ok(response)
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
