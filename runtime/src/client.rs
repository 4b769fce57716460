//! The calling side: the token that this service sends to others, kept current while it runs.
//!
//! A token is mounted as a file and replaced in time by whoever renews it. Nothing here verifies: the
//! service that is called does. What is taken care of is that a token goes to nobody else.

mod attach;
mod origin;
#[cfg(feature = "client-reqwest")]
mod reqwest;
mod token_file;
#[cfg(feature = "client-tower")]
mod tower;

use std::{fmt, path::PathBuf, time::Duration};

use http::HeaderValue;

use self::token_file::TokenFile;
#[cfg(feature = "client-tower")]
pub use self::tower::{ResendBody, TokenAttached};
pub use self::{
    attach::AttachToken,
    origin::InvalidOrigin,
    token_file::{MAX_TOKEN_FILE_BYTES, TokenFileError},
};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    watched_file::{DEFAULT_POLL_INTERVAL, MIN_POLL_INTERVAL, WatchedFile},
};

/// How often refusals can make anybody read the file beside the regular look: a server that refuses
/// everything costs ten reads a second, not one per request.
pub const REREAD_INTERVAL: Duration = Duration::from_millis(100);

/// The token that this service sends to others, from a file that is read again when it changes. Cheap
/// to clone; all clones are one.
///
/// The first token must be there. From then on a file that is broken, or gone, leaves the last token in
/// use, with an error in the log and in [`TokenSource::last_error`]. The swap of a mounted Kubernetes
/// secret is seen like any other change. The thread that looks at the file ends with the last clone.
///
/// ```no_run
/// use service_only::{AttachToken, TokenSource};
///
/// let tokens = TokenSource::file("/var/run/service-token/token").open()?;
/// let attach = AttachToken::from(tokens).to("http://orders.bakery.svc:8000")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct TokenSource(WatchedFile<TokenFile>);

impl TokenSource {
    /// A file with one token, and nothing else but a final line break.
    pub fn file(path: impl Into<PathBuf>) -> TokenSourceBuilder {
        TokenSourceBuilder {
            file: TokenFile::at(path.into()),
            interval: DEFAULT_POLL_INTERVAL,
            clock: Box::new(SystemClock),
        }
    }

    /// The value of an `Authorization` header, `Bearer` and the token (RFC 6750 section 2.1). Marked
    /// sensitive, so that `http` does not print it.
    pub fn authorization(&self) -> HeaderValue {
        self.0.current().content.authorization.clone()
    }

    /// When the token expires, in seconds since the Unix epoch, as it says itself: for a metric or an
    /// alert. `None` where it does not say.
    pub fn expires_at(&self) -> Option<i64> {
        self.0.current().content.expires_at
    }

    /// When the token was issued, in seconds since the Unix epoch, as it says itself: with
    /// [`expires_at`](Self::expires_at) its whole life. `None` where it does not say.
    pub fn issued_at(&self) -> Option<i64> {
        self.0.current().content.issued_at
    }

    /// When the token in use was loaded.
    pub fn loaded_at(&self) -> Timestamp {
        self.0.current().at
    }

    /// The source again, for as long as somebody else has it.
    #[cfg(feature = "metrics")]
    pub(crate) fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + use<> {
        let own = self.0.weak();
        move || own().map(Self)
    }

    /// What is wrong with the file as it is now; `None` when its token is the one in use.
    pub fn last_error(&self) -> Option<TokenFileError> {
        self.0.last_error()
    }

    /// The token of now, if it is another one than was `sent`. Reads the file again, but not more often
    /// than every [`REREAD_INTERVAL`].
    pub(crate) async fn another_than(&self, sent: &HeaderValue) -> Option<HeaderValue> {
        // Another request may have been refused before, and have looked.
        if let Some(newer) = self.unlike(sent) {
            return Some(newer);
        }
        let file = self.0.clone();
        // The disk is not for the thread of a request.
        let read = tokio::task::spawn_blocking(move || file.read_again(REREAD_INTERVAL));
        if let Err(error) = read.await {
            tracing::error!(target: "service_only", %error, "the token file was not read again");
        }
        self.unlike(sent)
    }

    fn unlike(&self, sent: &HeaderValue) -> Option<HeaderValue> {
        Some(self.authorization()).filter(|now| now != sent)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("path", &self.0.contents().path)
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

    /// Loads the token, and starts the thread that looks at the file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no token, the interval is too short, or no thread can be
    /// started.
    pub fn open(self) -> Result<TokenSource, TokenFileError> {
        if self.interval < MIN_POLL_INTERVAL {
            return Err(self.file.error(format!(
                "the file would be looked at every {:?}; {MIN_POLL_INTERVAL:?} is the least",
                self.interval
            )));
        }
        WatchedFile::open(self.file, self.interval, self.clock).map(TokenSource)
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
