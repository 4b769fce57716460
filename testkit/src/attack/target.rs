//! Where requests go. What comes back is a response, or why there is none.

use std::{fmt, future::Future, pin::Pin};

use http::StatusCode;

use super::likeness::Reply;
use crate::fixture::Outgoing;

pub(crate) type Answer = Result<Reply, Unanswered>;
pub(crate) type Sending<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// The most bytes of a body that are read: enough to recognize a handler by.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Whether the body of a response is read.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum ReadBody {
    Yes,
    No,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The request is none that this way of sending can express.
    NotSent(String),
    /// The connection ended: a way to refuse.
    Closed(String),
    /// The service broke: it panicked, or does not answer.
    Broken(String),
}

pub(crate) trait Target: fmt::Debug + Send + Sync {
    fn send(&self, outgoing: Outgoing, read: ReadBody) -> Sending<'_>;
}

/// A status that no refusal has: success, or a connection that was handed over.
pub(crate) fn lets_in(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS
}
