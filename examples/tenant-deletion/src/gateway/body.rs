//! Streams the request body through the gateway: frame by frame, never collected.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use http_body_util::{LengthLimitError, Limited};
use tokio::sync::watch;
use tokio::time::Instant;

/// The progress of the request body, and what the gateway waits for.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Progress {
    /// When the last frame passed.
    pub(crate) moved: Instant,
    pub(crate) state: State,
}

/// The next event of the body.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The service reads the next frame, or has read all frames.
    Passing,
    /// The service is ready for a frame, and the client has not sent it yet.
    AwaitingClient,
    /// No more frames arrive.
    Failed(ClientFault),
}

/// Why a body ended early. Each reason is the client's fault, because the service is not involved in reading
/// it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientFault {
    /// It is longer than the limit.
    TooLarge,
    /// A chunk is malformed, or the connection ended first.
    Malformed,
}

/// A body of limited length that reports its progress and drops all trailers: a trailer field named
/// `x-user-type` would arrive after the header fields were cleaned.
pub(crate) struct Passing {
    body: Limited<Body>,
    progress: watch::Sender<Progress>,
}

impl Passing {
    pub(crate) fn new(body: Body, limit: usize) -> (Self, watch::Receiver<Progress>) {
        let (progress, receiver) = watch::channel(Progress { moved: Instant::now(), state: State::Passing });
        (Self { body: Limited::new(body, limit), progress }, receiver)
    }

    fn moved(&self, state: State) {
        self.progress.send_replace(Progress { moved: Instant::now(), state });
    }
}

impl http_body::Body for Passing {
    type Data = Bytes;
    type Error = Box<dyn StdError + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        loop {
            // Set the state before the poll: a frame that arrives during the poll replaces it.
            self.progress.send_modify(|progress| progress.state = State::AwaitingClient);
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            match &frame {
                Some(Err(error)) => self.moved(State::Failed(fault(&**error))),
                Some(Ok(_)) | None => self.moved(State::Passing),
            }
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

fn fault(error: &(dyn StdError + Send + Sync + 'static)) -> ClientFault {
    if error.is::<LengthLimitError>() { ClientFault::TooLarge } else { ClientFault::Malformed }
}
