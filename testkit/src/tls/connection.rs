//! How the client of an attack connects: the certificate that it presents, and the session that it continues.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};

use super::TestCertificate;

/// A connection to the service, with TLS or without it.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection of an attack that differs from the one of the control.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The certificate that the client presents, and the key with which it signs the handshake.
    pub(crate) certificate: Option<TestCertificate>,
    /// Whether the client offers TLS 1.2 only.
    pub(crate) only_tls12: bool,
    pub(crate) session: Option<Session>,
}

impl Connection {
    pub(crate) fn presenting(certificate: TestCertificate) -> Self {
        Self { certificate: Some(certificate), only_tls12: false, session: None }
    }

    pub(crate) fn without_certificate() -> Self {
        Self { certificate: None, only_tls12: false, session: None }
    }
}

/// A session that a first request begins and a second one continues.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) is_first: bool,
    pub(crate) how: Kept,
    /// Withdraws the root of the certificate (`false`) before the second request, and trusts it again (`true`) after it.
    pub(crate) trust: Option<Trust>,
    pub(crate) state: Arc<Sessions>,
}

/// Tells the service whether it trusts a root. The call returns when the service has applied it.
pub(crate) type Trust = Arc<dyn Fn(bool) + Send + Sync>;

/// How a session is continued.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// A new connection resumes it.
    Resumed,
    /// The same connection sends another request.
    Connection,
}

/// What the first request leaves for the second one.
pub(crate) struct Sessions {
    /// Both requests use one configuration: rustls resumes no session of another one.
    pub(crate) config: OnceLock<Arc<ClientConfig>>,
    first: Mutex<First>,
}

/// The result of the first request.
#[derive(Default)]
pub(crate) enum First {
    #[default]
    Unanswered,
    /// The service ended the connection: it does not speak this version of TLS, for example.
    TurnedAway(String),
    Answered(Option<Box<dyn Stream>>),
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self { config: OnceLock::new(), first: Mutex::default() }
    }

    pub(crate) fn keep(&self, first: First) {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = first;
    }

    pub(crate) fn take(&self) -> First {
        std::mem::take(&mut *self.first.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("is_first", &self.is_first)
            .field("how", &self.how)
            .field("changes_roots", &self.trust.is_some())
            .finish_non_exhaustive()
    }
}
