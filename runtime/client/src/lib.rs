//! The calling side: the token that this service sends to others, kept current while it runs.
//!
//! A token is mounted as a file and replaced in time by whoever renews it. Nothing here verifies: the
//! service that is called does. What is taken care of is that a token goes to nobody else.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `reqwest` | a reqwest client, and middleware of reqwest-middleware |
//! | `tower` | `AttachToken` as a tower layer |
//! | `axum` | bodies of axum in requests that are sent again |
//! | `tonic` | bodies of tonic in requests that are sent again |

#![cfg_attr(docsrs, feature(doc_cfg))]
// Without a client nothing asks for what only a client needs.
#![cfg_attr(
    not(any(feature = "reqwest", feature = "tower")),
    allow(dead_code, reason = "used by the clients")
)]

mod attach;
mod origin;
#[cfg(feature = "reqwest")]
mod proxies;
#[cfg(feature = "reqwest")]
mod reqwest;
mod rounds;
mod token_file;
#[cfg(feature = "tower")]
mod tower;

use std::{fmt, path::PathBuf, time::Duration};

use http::HeaderValue;
#[doc(inline)]
pub use service_only::__satellite::REREAD_INTERVAL;
use service_only::{
    __satellite::{MIN_POLL_INTERVAL, WeakHandle},
    clock::{Clock, SystemClock, Timestamp},
    keys::DEFAULT_POLL_INTERVAL,
};

#[cfg(feature = "tower")]
pub use self::tower::{ResendBody, TokenAttached};
pub use self::{
    attach::AttachToken,
    origin::InvalidOrigin,
    token_file::{MAX_TOKEN_FILE_BYTES, TokenFileError},
};
use self::{
    rounds::AwaitedFile,
    token_file::{Sendable, TokenFile},
};

/// The token that this service sends to others, from a file that is read again when it changes. Cheap
/// to clone; all clones are one.
///
/// The first token must be there; for a file that another container writes later, see
/// [`wait_up_to`](TokenSourceBuilder::wait_up_to) and [`start_lazily`](TokenSourceBuilder::start_lazily). From
/// then on a file that is broken, or gone, or on a mount that hangs, leaves the last token in use, with an
/// error in the log and in [`TokenSource::last_error`]. No request waits more than two seconds for the file,
/// and a mount that hangs blocks one thread. The swap of a mounted Kubernetes secret is seen like any other
/// change. The threads that look at the file end with the last clone.
///
/// ```no_run
/// use service_only_client::{AttachToken, TokenSource};
///
/// let tokens = TokenSource::file("/var/run/service-token/token").open()?;
/// let attach = AttachToken::from(tokens).to("http://orders.bakery.svc:8000")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenSource {
    file: LazyTokenSource,
    /// What proves that there is a token.
    first: HeaderValue,
}

impl TokenSource {
    /// A file with one token. White space around it and a byte order mark are not part of it.
    pub fn file(path: impl Into<PathBuf>) -> TokenSourceBuilder {
        TokenSourceBuilder {
            file: TokenFile::at(path.into()),
            interval: DEFAULT_POLL_INTERVAL,
            patience: Duration::ZERO,
            clock: Box::new(SystemClock),
        }
    }

    /// The value of an `Authorization` header, `Bearer` and the token (RFC 6750 section 2.1). Marked
    /// sensitive, so that `http` does not print it.
    pub fn authorization(&self) -> HeaderValue {
        self.file.token(|token| token.authorization.clone()).unwrap_or_else(|| self.first.clone())
    }

    /// When the token expires, in seconds since the Unix epoch, as it says itself: for a metric or an
    /// alert. `None` where it does not say.
    pub fn expires_at(&self) -> Option<i64> {
        self.file.token(|token| token.expires_at).flatten()
    }

    /// When the token was issued, in seconds since the Unix epoch, as it says itself: with
    /// [`expires_at`](Self::expires_at) its whole life. `None` where it does not say.
    pub fn issued_at(&self) -> Option<i64> {
        self.file.token(|token| token.issued_at).flatten()
    }

    /// When the token in use was loaded.
    pub fn loaded_at(&self) -> Timestamp {
        self.file.0.file().current().at
    }

    /// What is wrong with the file as it is now; `None` when its token is the one in use.
    pub fn last_error(&self) -> Option<TokenFileError> {
        self.file.last_error()
    }
}

impl WeakHandle for TokenSource {
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static {
        let (own, first) = (self.file.0.weak(), self.first.clone());
        move || own().map(|file| Self { file: LazyTokenSource(file), first: first.clone() })
    }
}

/// A [`TokenSource`] whose first token may come later: a file that another container of the pod writes.
///
/// [`AttachToken`](crate::AttachToken) takes it like a source. Until the token is there, requests to the
/// recipients fail with an error that names the file and what is wrong; they are never sent without it.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use service_only_client::{AttachToken, TokenSource};
///
/// let tokens = TokenSource::file("/var/run/service-token/token").start_lazily()?;
/// let attach = AttachToken::from(tokens.clone()).to("http://orders.bakery.svc:8000")?;
/// // … when the service is ready only once it can call others:
/// tokens.ready(Duration::from_secs(60)).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct LazyTokenSource(AwaitedFile<TokenFile>);

impl LazyTokenSource {
    /// The value of an `Authorization` header; see [`TokenSource::authorization`].
    ///
    /// # Errors
    /// When there is no token yet, with what is wrong with the file.
    pub fn authorization(&self) -> Result<HeaderValue, TokenFileError> {
        self.token(|token| token.authorization.clone()).ok_or_else(|| self.missing())
    }

    /// Waits until there is a token, on any executor.
    ///
    /// # Errors
    /// When there is none within `limit`, with what is wrong with the file.
    pub async fn ready(&self, limit: Duration) -> Result<TokenSource, TokenFileError> {
        self.0.wait_for(limit, Option::is_some).await;
        Ok(TokenSource { first: self.authorization()?, file: self.clone() })
    }

    /// What is wrong with the file as it is now; `None` when its token is the one in use.
    pub fn last_error(&self) -> Option<TokenFileError> {
        self.0.file().last_error()
    }

    /// Waits for one look at the file where there is no token yet: it may have been written just now.
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(crate) async fn authorization_now(&self) -> Result<HeaderValue, TokenFileError> {
        if self.token(|_| ()).is_none() {
            self.0.read_again().await;
        }
        self.authorization()
    }

    /// The token of now, if it is another one than was `sent`. Makes the file be read again, but not more
    /// often than every [`REREAD_INTERVAL`].
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(crate) async fn another_than(&self, sent: &HeaderValue) -> Option<HeaderValue> {
        // Another request may have been refused before, and have looked.
        if let Some(newer) = self.unlike(sent) {
            return Some(newer);
        }
        self.0.read_again().await;
        self.unlike(sent)
    }

    #[cfg(any(feature = "reqwest", feature = "tower"))]
    fn unlike(&self, sent: &HeaderValue) -> Option<HeaderValue> {
        self.token(|token| token.authorization.clone()).filter(|now| now != sent)
    }

    fn token<T>(&self, part: impl FnOnce(&Sendable) -> T) -> Option<T> {
        self.0.file().current().content.as_ref().map(part)
    }

    fn missing(&self) -> TokenFileError {
        self.last_error().unwrap_or_else(|| self.0.file().contents().error("there is no token yet"))
    }
}

impl fmt::Debug for LazyTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazyTokenSource")
            .field("path", &self.0.file().contents().path)
            .field("expires_at", &self.token(|token| token.expires_at).flatten())
            .field("last_error", &self.last_error())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("path", &self.file.0.file().contents().path)
            .field("expires_at", &self.expires_at())
            .field("last_error", &self.last_error())
            .finish_non_exhaustive()
    }
}

/// Describes a file with a token; [`TokenSourceBuilder::open`] loads it.
#[must_use = "nothing is loaded until `open` is called"]
pub struct TokenSourceBuilder {
    file: TokenFile,
    interval: Duration,
    patience: Duration,
    clock: Box<dyn Clock>,
}

impl TokenSourceBuilder {
    /// How often the file is looked at, 10 ms or more. Left out, it is [`DEFAULT_POLL_INTERVAL`].
    pub fn poll_every(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Where the time of [`TokenSource::loaded_at`] comes from. Left out, it is [`SystemClock`].
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// How long [`open`](Self::open) waits for a first token, where another container writes the file. Left
    /// out, it does not wait.
    pub fn wait_up_to(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Loads the token, and starts the threads that look at the file. Blocks while it waits.
    ///
    /// # Errors
    /// When the file cannot be read within two seconds, is not a regular file or holds no token, the
    /// interval is too short, or no thread can be started.
    pub fn open(self) -> Result<TokenSource, TokenFileError> {
        self.check()?;
        let file = LazyTokenSource(AwaitedFile::open(self.file, self.interval, self.clock, self.patience)?);
        Ok(TokenSource { first: file.authorization()?, file })
    }

    /// Starts the threads that look at the file, and waits for nothing: the token may come later.
    ///
    /// # Errors
    /// When the interval is too short, or no thread can be started.
    pub fn start_lazily(self) -> Result<LazyTokenSource, TokenFileError> {
        self.check()?;
        AwaitedFile::start(self.file, None, self.interval, self.clock).map(LazyTokenSource)
    }

    fn check(&self) -> Result<(), TokenFileError> {
        if self.interval < MIN_POLL_INTERVAL {
            return Err(self.file.error(format!(
                "the file would be looked at every {:?}; {MIN_POLL_INTERVAL:?} is the least",
                self.interval
            )));
        }
        Ok(())
    }
}

impl fmt::Debug for TokenSourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSourceBuilder")
            .field("path", &self.file.path)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}
