//! A file that contains one token.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use service_only::{
    __satellite::{Contents, MAX_READ, read_regular},
    Verifier,
    clock::Timestamp,
};
use zeroize::Zeroizing;

use crate::token::{Sendable, sendable};

/// See [`TokenSource::MAX_FILE_BYTES`](crate::TokenSource::MAX_FILE_BYTES).
pub(crate) const MAX_TOKEN_FILE_BYTES: usize = Verifier::MAX_TOKEN_LENGTH + 2;

pub(crate) struct TokenFile {
    pub(crate) path: PathBuf,
    /// The audience that each token must have, and an expiry.
    pub(crate) audience: Option<String>,
}

impl TokenFile {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, audience: None }
    }

    pub(crate) fn error(&self, kind: TokenFileErrorKind, reason: impl fmt::Display) -> TokenFileError {
        let message = format!("{}: {reason}", self.path.display());
        TokenFileError { kind, message, source: None }
    }
}

impl Contents for TokenFile {
    /// `None` until the file has its first token, if it is written later.
    type Content = Option<Sendable>;
    type Error = TokenFileError;

    const THREAD: &'static str = "token-file";

    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, TokenFileError> {
        let bytes = read_regular(&self.path, MAX_TOKEN_FILE_BYTES)
            .map_err(|error| self.error(TokenFileErrorKind::Unreadable, &error).caused_by(error))?;
        if bytes.len() > MAX_TOKEN_FILE_BYTES {
            let reason = format_args!("the file is larger than {MAX_TOKEN_FILE_BYTES} bytes");
            return Err(self.error(TokenFileErrorKind::NotAToken, reason));
        }
        Ok(bytes)
    }

    fn parse(&self, bytes: &[u8]) -> Result<Option<Sendable>, TokenFileError> {
        let token = sendable(bytes).and_then(|token| match token.is_cut() {
            true => Err(
                "its signature is cut; write the file beside it and rename it, so that no part of it is read",
            ),
            false => Ok(token),
        });
        let token = token.map_err(|reason| {
            let reason = format_args!(
                "the file contains no token: {reason}; write one with `service-token generate NAME`"
            );
            self.error(TokenFileErrorKind::NotAToken, reason)
        })?;
        if let Some(audience) = &self.audience {
            token.check_audience(audience).map_err(|reason| {
                let reason = format_args!("{reason}; set `audience: {audience}` in the projected volume");
                self.error(TokenFileErrorKind::WrongAudience, reason)
            })?;
            if token.expires_at.is_none() {
                return Err(self.error(
                    TokenFileErrorKind::NoExpiry,
                    "the token has no expiry; mount a projected token",
                ));
            }
        }
        Ok(Some(token))
    }

    fn no_thread(&self, error: io::Error) -> TokenFileError {
        let reason = format_args!("no thread can be started: {error}");
        self.error(TokenFileErrorKind::NoThread, reason).caused_by(error)
    }

    fn hangs(&self) -> TokenFileError {
        let reason = format_args!("not read within {MAX_READ:?}: does its file system hang?");
        self.error(TokenFileErrorKind::Timeout, reason)
    }

    fn tell_loaded(&self, token: &Option<Sendable>) {
        let expires_at = token.as_ref().and_then(|token| token.expires_at).map(Timestamp::unix);
        let path = self.path.display();
        tracing::info!(target: "service_only", %path, expires_at, "a token to send is loaded");
    }

    fn tell_refused(&self, error: &TokenFileError) {
        tracing::error!(target: "service_only", %error, "the token file cannot be used, the last token stays in use");
    }
}

/// A token file that cannot be used. The message names the file and the problem, and contains nothing of its
/// content.
#[derive(Debug, Clone)]
pub struct TokenFileError {
    kind: TokenFileErrorKind,
    message: String,
    source: Option<Arc<io::Error>>,
}

/// The kinds of [`TokenFileError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenFileErrorKind {
    /// A setting of the builder cannot be used; nothing was read.
    Configuration,
    /// The file was not read yet. This kind occurs only with a source that was started lazily.
    NotReadYet,
    /// The file does not exist, is not a regular file, or cannot be read. [`Error::source`] is the
    /// [`io::Error`].
    Unreadable,
    /// The read takes too long: the file system may hang.
    Timeout,
    /// The file contains something else than one token.
    NotAToken,
    /// The token is for another audience than the configured one.
    WrongAudience,
    /// The token has no expiry, and the configuration requires one.
    NoExpiry,
    /// No thread can be started to watch the file. [`Error::source`] is the [`io::Error`].
    NoThread,
}

impl TokenFileError {
    /// The kind of the error.
    pub fn kind(&self) -> TokenFileErrorKind {
        self.kind
    }

    fn caused_by(self, source: io::Error) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }
}

/// Errors are equal if their kinds and their messages are.
impl PartialEq for TokenFileError {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.message) == (other.kind, &other.message)
    }
}

impl Eq for TokenFileError {}

impl fmt::Display for TokenFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for TokenFileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
