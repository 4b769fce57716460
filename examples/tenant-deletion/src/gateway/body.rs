//! The request body on its way through: frame by frame, never collected.

use std::error::Error as StdError;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use http_body_util::{LengthLimitError, Limited};
use tokio::sync::watch;
use tokio::time::Instant;

/// How far the request body has come, and what the gateway waits for.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Progress {
    /// When the last frame passed.
    pub(crate) moved: Instant,
    pub(crate) state: State,
}

/// What happens next to the body.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The service takes the next frame, or has taken all of them.
    Passing,
    /// The service could take a frame, and the client has not sent it yet.
    AwaitingClient,
    /// No more frames come.
    Failed(ClientFault),
}

/// Why a body ended before its end. Each is the client's doing: the service has no part in reading it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum ClientFault {
    /// It is longer than the limit.
    TooLarge,
    /// A chunk is malformed, or the connection ended first.
    Malformed,
}

/// A body of limited length that reports its progress and lets no trailer through: a trailer field named
/// `x-user-type` would come after the header fields were cleaned.
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
            // Before the poll: a frame that arrives during it replaces this.
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
