//! The request body on its way through: frame by frame, never collected.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;

/// A body that notes when it last moved and lets no trailer through: a trailer field named
/// `x-user-type` would come after the header fields were cleaned.
pub(super) struct Passing<B> {
    body: B,
    moved: watch::Sender<Instant>,
}

impl<B> Passing<B> {
    /// Wraps `body`; the receiver holds the instant of its last movement.
    pub(super) fn new(body: B) -> (Self, watch::Receiver<Instant>) {
        let (moved, last) = watch::channel(Instant::now());
        (Self { body, moved }, last)
    }
}

impl<B: Body + Unpin> Body for Passing<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            self.moved.send_replace(Instant::now());
            if !matches!(&frame, Some(Ok(frame)) if frame.is_trailers()) {
                return Poll::Ready(frame);
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
