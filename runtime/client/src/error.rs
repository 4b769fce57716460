//! Why no token can be sent.

use std::{error::Error, fmt, time::Duration};

use crate::TokenFileError;

/// Why a source has no token to send. The message names the URL or the file, the problem and the next step. It contains
/// no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenError {
    url: Option<String>,
    kind: TokenErrorKind,
}

/// The kinds of [`TokenError`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// A setting cannot be used; nothing was sent.
    Configuration(String),
    /// No response arrived: name resolution, connection or TLS failed, or the body is broken.
    NoAnswer(String),
    /// The response took longer than the timeout.
    Timeout(Duration),
    /// The provider limits requests. The next request is not sent before this time has passed.
    RateLimited(Duration),
    /// The status is not 200, and the body is not an OAuth 2.0 error. A redirect is also an error of this kind.
    Status(u16),
    /// The provider answered with an OAuth 2.0 error (RFC 6749 section 5.2).
    Refused(String),
    /// The response is a web page.
    Html,
    /// The response does not have the form that RFC 6749 section 5.1 requires.
    Response(String),
    /// Neither the response nor the token states when the token expires.
    NoExpiry,
    /// The token is for another audience.
    WrongAudience(String),
    /// The client secret or the assertion cannot be read; nothing was sent.
    Credential(String),
    /// The issuer of this process cannot mint the token.
    NotMinted(String),
    /// The file of the token cannot be used.
    File(TokenFileError),
}

impl TokenError {
    /// The kind of the error.
    pub fn kind(&self) -> &TokenErrorKind {
        &self.kind
    }

    /// The URL of the request, without its query; `None` if no request was sent.
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    #[cfg(feature = "oauth")]
    pub(crate) fn at(self, url: &str) -> Self {
        Self { url: Some(url.to_owned()), ..self }
    }
}

impl From<TokenErrorKind> for TokenError {
    fn from(kind: TokenErrorKind) -> Self {
        Self { url: None, kind }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(url) = &self.url {
            write!(f, "{url}: ")?;
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for TokenErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(why) | Self::Credential(why) | Self::NotMinted(why) | Self::WrongAudience(why) => {
                f.write_str(why)
            }
            Self::NoAnswer(why) => write!(f, "no response: {why}"),
            Self::Timeout(limit) => write!(f, "no complete response within {limit:?}; is the provider reachable?"),
            Self::RateLimited(wait) => write!(
                f,
                "429 Too Many Requests: the next request is sent after {wait:?}; use one source for all clients of this process"
            ),
            Self::Status(status @ 300..=399) => write!(
                f,
                "the status is {status}, a redirect, which is not followed with a credential; configure the final URL"
            ),
            Self::Status(status) => {
                write!(f, "the status is {status}, expected 200; check the URL of the token endpoint")
            }
            Self::Refused(why) => f.write_str(why),
            Self::Html => f.write_str(
                "the response is a web page, expected JSON; the URL may be that of a login page or a proxy, \
                 check the URL of the token endpoint",
            ),
            Self::Response(why) => f.write_str(why),
            Self::NoExpiry => f.write_str(
                "the token has no expiry, neither `expires_in` nor `exp`; set a token lifetime at the provider",
            ),
            Self::File(error) => error.fmt(f),
        }
    }
}

impl Error for TokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            TokenErrorKind::File(error) => Some(error),
            _ => None,
        }
    }
}

impl From<TokenFileError> for TokenError {
    fn from(error: TokenFileError) -> Self {
        TokenErrorKind::File(error).into()
    }
}
