//! The errors of a fetch of keys.

use std::{error::Error, fmt, time::Duration};

use crate::keys::KeyError;

/// Why keys could not be fetched, and from which URL, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteError {
    url: Option<String>,
    kind: RemoteErrorKind,
}

/// The kinds of [`RemoteError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteErrorKind {
    /// A setting of the builder cannot be used; nothing was sent.
    Configuration(String),
    /// No response arrived: name resolution, connection or TLS failed, or the body is broken.
    NoAnswer(String),
    /// The response took longer than the timeout.
    Timeout(Duration),
    /// The status was not 200. A redirect is such a status.
    Status(u16),
    /// The body was longer than the limit, in bytes.
    TooLarge(usize),
    /// The body is compressed, by this `Content-Encoding`, although the request does not offer that.
    Encoded(String),
    /// The discovery document is invalid, names another issuer, or has no usable `jwks_uri`.
    Discovery(String),
    /// The body is not a JWK set with usable keys.
    Keys(KeyError),
    /// The file with the bearer token cannot be used; nothing was sent.
    BearerToken(String),
    /// The thread that fetches has panicked.
    Ended,
}

impl RemoteError {
    /// The kind of the error.
    pub fn kind(&self) -> &RemoteErrorKind {
        &self.kind
    }

    /// The URL of the failed fetch, without its query: with discovery, one of two. `None`
    /// if nothing was fetched.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    pub(crate) fn configuration(why: impl Into<String>) -> Self {
        RemoteErrorKind::Configuration(why.into()).into()
    }

    pub(crate) fn at(self, url: &str) -> Self {
        Self { url: Some(url.to_owned()), ..self }
    }
}

impl From<RemoteErrorKind> for RemoteError {
    fn from(kind: RemoteErrorKind) -> Self {
        Self { url: None, kind }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(url) = &self.url {
            write!(f, "{url}: ")?;
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for RemoteErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(why) | Self::BearerToken(why) => f.write_str(why),
            Self::NoAnswer(why) => write!(f, "no response: {why}"),
            Self::Timeout(timeout) => write!(f, "no response within {timeout:?}"),
            Self::Status(304) => {
                f.write_str("the status is 304 (not modified), although the request was unconditional")
            }
            Self::Status(status @ 300..=399) => {
                write!(f, "the response is a redirect ({status}), which is not followed")
            }
            Self::Status(status @ (401 | 403)) => {
                write!(f, "the status is {status}, expected 200; `.bearer_token_file(…)` sends a token")
            }
            Self::Status(status) => write!(f, "the status is {status}, expected 200"),
            Self::TooLarge(limit) => write!(f, "the response is larger than {limit} bytes"),
            Self::Encoded(encoding) => {
                write!(f, "the response is encoded as `{encoding}`, but the request accepts only `identity`")
            }
            Self::Discovery(why) => write!(f, "the discovery document: {why}"),
            Self::Keys(error) => error.fmt(f),
            Self::Ended => f.write_str("the thread that fetches the keys panicked"),
        }
    }
}

impl Error for RemoteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            RemoteErrorKind::Keys(error) => Some(error),
            _ => None,
        }
    }
}
