//! Where requests go. What comes back is a status, or why there is none.

use std::{fmt, future::Future, pin::Pin};

use http::StatusCode;

use crate::fixture::Outgoing;

pub(super) type Answer = Result<StatusCode, Unanswered>;
pub(super) type Sending<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// Why there is no status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The request is none that this way of sending can express.
    NotSent(String),
    /// The connection ended: a way to refuse.
    Closed(String),
    /// The service broke: it panicked, or does not answer.
    Broken(String),
}

pub(super) trait Target: fmt::Debug + Send + Sync {
    fn send(&self, outgoing: Outgoing) -> Sending<'_>;
}
