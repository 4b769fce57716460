//! The target of requests. A request ends with a response, or with the reason why there is none.

#[cfg(feature = "tls")]
use std::sync::Arc;
use std::{fmt, future::Future, pin::Pin};

use http::{Method, StatusCode};

use super::likeness::Reply;
use crate::fixture::{Connection, Outgoing};

pub(crate) type Answer = Result<Reply, Unanswered>;
pub(crate) type Sending<'a> = Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// The limit of bytes that are read from a body: enough to recognise a handler.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Whether the body of a response is read.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum ReadBody {
    Yes,
    No,
}

/// The reason for a missing response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// This target cannot express the request.
    NotSent(String),
    /// No connection: nothing listens there.
    #[cfg_attr(not(feature = "http"), allow(dead_code, reason = "only a service at a URL"))]
    Unreachable(String),
    /// The service ended a connection of an attack before it answered a request, or did not resume its session.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only a service with TLS"))]
    TurnedAway(String),
    /// The service closed the connection, which counts as a refusal.
    Closed(String),
    /// The service failed: it panicked, or did not answer.
    Broken(String),
}

/// A request with its body: that of the attack, or the one that the test has named.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    /// The connection, if it differs from the one of the control.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "only a service with TLS"))]
    pub(crate) connection: Option<Connection>,
}

impl From<Outgoing> for Message {
    fn from(Outgoing { method, target, headers, body }: Outgoing) -> Self {
        Self { method, target, headers, body: body.map(String::into_bytes), connection: None }
    }
}

pub(crate) trait Target: fmt::Debug + Send + Sync {
    fn send(&self, message: Message, read: ReadBody) -> Sending<'_>;

    /// The same target over TLS with these certificates; `None` if it has no connections with TLS.
    #[cfg(feature = "tls")]
    fn secured(&self, _: Arc<crate::tls::Certificates>) -> Option<Arc<dyn Target>> {
        None
    }

    /// The target's name in a report.
    fn name(&self) -> String {
        "a service in this process".to_owned()
    }
}

/// Whether a status is never a refusal: success, or an upgraded connection.
pub(crate) fn lets_in(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS
}
