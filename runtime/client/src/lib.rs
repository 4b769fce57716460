//! Sends a service token with each request to another service, and reloads the token when its file changes.
//!
//! A deployment mounts the token as a file and replaces the file before the token expires. This crate does
//! not verify the token: the called service does. This crate makes sure that the token goes only to the
//! recipients that you list.
//!
//! | source | token |
//! | --- | --- |
//! | [`TokenSource::file`] | of a file, reloaded when it changes |
//! | [`TokenSource::kubernetes_volume`] | of a projected volume of Kubernetes, for one audience |
//! | `TokenSource::client_credentials` | of an OAuth 2.0 server, one for each audience, renewed before it expires |
//! | `TokenSource::issuer` | of an `Issuer` in this process, one for each audience |
//! | [`TokenSource::fixed`] | one text, for tests |
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `reqwest` | a reqwest client, and middleware of reqwest-middleware |
//! | `tower` | `AttachToken` as a tower layer |
//! | `oauth` | `TokenSource::client_credentials` |
//! | `issue` | `TokenSource::issuer`, and `private_key_jwt` for client credentials |
//! | `axum` | retries of requests with axum bodies |
//! | `tonic` | retries of requests with tonic bodies |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]
// Without a client, the code that only clients use is unused.
#![cfg_attr(
    not(all(feature = "reqwest", feature = "tower", feature = "oauth", feature = "issue")),
    allow(dead_code, reason = "used by the clients")
)]

mod attach;
#[cfg(feature = "oauth")]
mod client_credentials;
mod error;
mod minter;
#[cfg(feature = "oauth")]
mod oauth;
mod origin;
#[cfg(feature = "reqwest")]
mod proxies;
#[cfg(feature = "reqwest")]
mod reqwest;
mod rounds;
#[cfg(any(feature = "reqwest", feature = "tower", all(feature = "oauth", feature = "issue")))]
mod signing;
mod supply;
mod token;
mod token_file;
#[cfg(feature = "tower")]
mod tower;

use std::{fmt, path::PathBuf, time::Duration};

use http::HeaderValue;
use service_only::{
    __satellite::{MIN_POLL_INTERVAL, WeakHandle},
    clock::{Clock, SystemClock, Timestamp},
    keys::FileKeys,
};

#[cfg(feature = "tower")]
pub use self::tower::{ResendBody, TokenAttached};
pub use self::{
    attach::AttachToken,
    error::{TokenError, TokenErrorKind},
    origin::InvalidOrigin,
    supply::TokenSupply,
    token_file::{TokenFileError, TokenFileErrorKind},
};
#[cfg(feature = "oauth")]
pub use self::{client_credentials::ClientCredentials, oauth::AudienceParameter};
use self::{
    minter::Minter,
    rounds::AwaitedFile,
    token::{Sendable, sendable},
    token_file::TokenFile,
};

/// The token that this service sends to other services, reloaded from a file when the file changes. Cheap to
/// clone; all clones share one state.
///
/// The token must exist when you open the source. If another container writes the file later, see
/// [`wait_up_to`](TokenSourceBuilder::wait_up_to) and [`start_lazily`](TokenSourceBuilder::start_lazily). After that,
/// the last token stays in use while the file is broken, missing, or on a mount that hangs. The log and
/// [`TokenSource::last_error`] then report the error. No request waits more than two seconds for the file, and a mount
/// that hangs blocks one thread. The swap of a mounted Kubernetes secret is detected like any other change. The threads
/// that watch the file end with the last clone.
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
    /// The token of the first load, which proves that a token exists.
    first: HeaderValue,
}

impl TokenSource {
    /// The largest token file, in bytes: the longest token that a verifier accepts, and a line break.
    pub const MAX_FILE_BYTES: usize = token_file::MAX_TOKEN_FILE_BYTES;

    /// The minimum time between two reads of the file after 401 responses.
    pub const REREAD_INTERVAL: Duration = service_only::__satellite::REREAD_INTERVAL;

    /// Reads one token from a file. It ignores white space around the token and a byte order mark.
    pub fn file(path: impl Into<PathBuf>) -> TokenSourceBuilder {
        TokenSourceBuilder {
            file: TokenFile::at(path.into()),
            interval: FileKeys::DEFAULT_POLL_INTERVAL,
            patience: Duration::ZERO,
            clock: Box::new(SystemClock),
        }
    }

    /// Reads the token of a projected volume of Kubernetes, which the kubelet replaces before it expires. The token
    /// must contain this audience and have an expiry. So a token for the API server is never sent to another service.
    pub fn kubernetes_volume(path: impl Into<PathBuf>, audience: impl Into<String>) -> TokenSourceBuilder {
        let mut builder = Self::file(path);
        builder.file.audience = Some(audience.into());
        builder
    }

    /// Mints tokens with an issuer in this program. `service` is the name of this program in the tokens. Each audience
    /// gets its own token, with the lifetime that the issuer sets.
    ///
    /// # Errors
    /// When the issuer cannot mint for this service.
    #[cfg(feature = "issue")]
    pub fn issuer(
        issuer: impl Into<std::sync::Arc<service_only::issue::Issuer>>,
        service: impl Into<String>,
        scopes: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<TokenSupply, TokenError> {
        Self::issuer_with_clock(issuer, service, scopes, SystemClock)
    }

    /// As [`issuer`](Self::issuer), with the clock of the issuer, for tests.
    ///
    /// # Errors
    /// As [`issuer`](Self::issuer).
    #[cfg(feature = "issue")]
    pub fn issuer_with_clock(
        issuer: impl Into<std::sync::Arc<service_only::issue::Issuer>>,
        service: impl Into<String>,
        scopes: impl IntoIterator<Item = impl Into<String>>,
        clock: impl Clock,
    ) -> Result<TokenSupply, TokenError> {
        let scopes = scopes.into_iter().map(Into::into).collect();
        let minter = Minter::Issuer { issuer: issuer.into(), service: service.into(), scopes, key: None };
        minter.check()?;
        Ok(TokenSupply::new(minter, Box::new(clock), TokenSupply::DEFAULT_RENEWAL_PERCENT))
    }

    /// As [`issuer`](Self::issuer), with tokens that are bound to a key (RFC 9449 section 6.1). Pass the same key to
    /// [`AttachToken::dpop`], which signs a proof for each request.
    ///
    /// ```
    /// # #[cfg(any(feature = "reqwest", feature = "tower"))]
    /// # fn attach(issuer: service_only::issue::Issuer) -> Result<(), Box<dyn std::error::Error>> {
    /// use service_only::{Algorithm, issue::DpopKey};
    /// use service_only_client::{AttachToken, TokenSource};
    /// use std::sync::Arc;
    ///
    /// let key = Arc::new(DpopKey::generate(Algorithm::ES256)?);
    /// let tokens = TokenSource::issuer_for_key(issuer, "billing", ["orders:read"], &key)?;
    /// let attach = AttachToken::from(tokens).to("https://orders.internal")?.dpop(key);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`issuer`](Self::issuer).
    #[cfg(feature = "issue")]
    pub fn issuer_for_key(
        issuer: impl Into<std::sync::Arc<service_only::issue::Issuer>>,
        service: impl Into<String>,
        scopes: impl IntoIterator<Item = impl Into<String>>,
        key: &service_only::issue::DpopKey,
    ) -> Result<TokenSupply, TokenError> {
        let (issuer, service) = (issuer.into(), service.into());
        let scopes = scopes.into_iter().map(Into::into).collect();
        let minter = Minter::Issuer { issuer, service, scopes, key: Some(key.thumbprint()) };
        minter.check()?;
        Ok(TokenSupply::new(minter, Box::new(SystemClock), TokenSupply::DEFAULT_RENEWAL_PERCENT))
    }

    /// Sends one token that never changes, for tests. A request fails if the token has expired, or if it is for another
    /// audience than that of the recipient.
    ///
    /// # Errors
    /// When the text is not a token.
    pub fn fixed(token: &str) -> Result<TokenSupply, TokenError> {
        let token = sendable(token.as_bytes())
            .map_err(|why| TokenErrorKind::Configuration(format!("the text is not a token: {why}")))?;
        Ok(TokenSupply::new(
            Minter::Fixed(token),
            Box::new(SystemClock),
            TokenSupply::DEFAULT_RENEWAL_PERCENT,
        ))
    }

    /// The value of an `Authorization` header: `Bearer` and the token (RFC 6750 section 2.1). It is marked as
    /// sensitive, so that `http` does not print it.
    pub fn authorization(&self) -> HeaderValue {
        self.file.token(|token| token.authorization.clone()).unwrap_or_else(|| self.first.clone())
    }

    /// When the token expires, in whole seconds, for a metric or an alert. The value is the token's own
    /// unverified claim; `None` if the token has no such claim.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.file.token(|token| token.expires_at).flatten()
    }

    /// When the token was issued, in whole seconds. Together with [`expires_at`](Self::expires_at) it gives
    /// the lifetime of the token. The value is the token's own unverified claim; `None` if the token has no
    /// such claim.
    pub fn issued_at(&self) -> Option<Timestamp> {
        self.file.token(|token| token.issued_at).flatten()
    }

    /// When the token in use was loaded.
    pub fn loaded_at(&self) -> Timestamp {
        self.file.0.file().current().at
    }

    /// The current error of the file; `None` if the token of the file is in use.
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

/// A [`TokenSource`] whose first token may arrive later, in a file that another container of the pod writes.
///
/// [`AttachToken`] accepts it like a [`TokenSource`]. Until the token exists, requests to
/// the recipients fail with an error that names the file and the problem. They are never sent without a
/// token.
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
    /// When no token exists yet. The error names the problem of the file.
    pub fn authorization(&self) -> Result<HeaderValue, TokenFileError> {
        self.token(|token| token.authorization.clone()).ok_or_else(|| self.missing())
    }

    /// Waits until a token exists, on any executor.
    ///
    /// # Errors
    /// When no token exists within `limit`. The error names the problem of the file.
    pub async fn ready(&self, limit: Duration) -> Result<TokenSource, TokenFileError> {
        self.0.wait_for(limit, Option::is_some).await;
        Ok(TokenSource { first: self.authorization()?, file: self.clone() })
    }

    /// The current error of the file; `None` if the token of the file is in use.
    pub fn last_error(&self) -> Option<TokenFileError> {
        self.0.file().last_error()
    }

    /// Reads the file one more time if no token exists yet: the file may have been written a moment ago.
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(crate) async fn authorization_now(
        &self,
        audience: Option<&str>,
    ) -> Result<HeaderValue, TokenFileError> {
        if self.token(|_| ()).is_none() {
            self.0.read_again().await;
        }
        if let Some(audience) = audience {
            self.token(|token| token.check_audience(audience)).unwrap_or(Ok(())).map_err(|reason| {
                let reason = format_args!("{reason}; write a token for this audience into the file");
                self.0.file().contents().error(TokenFileErrorKind::WrongAudience, reason)
            })?;
        }
        self.authorization()
    }

    /// Returns the current token if it differs from the `sent` one. It rereads the file first, but not more
    /// often than every [`TokenSource::REREAD_INTERVAL`].
    #[cfg(any(feature = "reqwest", feature = "tower"))]
    pub(crate) async fn another_than(&self, sent: &HeaderValue) -> Option<HeaderValue> {
        // Another request may have been refused before this one, and may have reread the file already.
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
        self.last_error().unwrap_or_else(|| {
            self.0.file().contents().error(TokenFileErrorKind::NotReadYet, "there is no token yet")
        })
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

/// The settings of a token file; [`TokenSourceBuilder::open`] loads it.
#[must_use = "nothing is loaded until `open` is called"]
pub struct TokenSourceBuilder {
    file: TokenFile,
    interval: Duration,
    patience: Duration,
    clock: Box<dyn Clock>,
}

impl TokenSourceBuilder {
    /// How often the file is checked, 10 ms or more. The default is `FileKeys::DEFAULT_POLL_INTERVAL`.
    pub fn poll_every(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// The clock for [`TokenSource::loaded_at`]. The default is [`SystemClock`].
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// How long [`open`](Self::open) waits for a first token that another container writes. By default it
    /// does not wait.
    pub fn wait_up_to(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Loads the token, and starts the threads that watch the file. Blocks while it waits.
    ///
    /// # Errors
    /// When the file cannot be read within two seconds, is not a regular file or contains no token, when the
    /// interval is too short, or when no thread can be started.
    pub fn open(self) -> Result<TokenSource, TokenFileError> {
        self.check()?;
        let file = LazyTokenSource(AwaitedFile::open(self.file, self.interval, self.clock, self.patience)?);
        Ok(TokenSource { first: file.authorization()?, file })
    }

    /// Starts the threads that watch the file, and does not wait: the token may arrive later.
    ///
    /// # Errors
    /// When the interval is too short, or no thread can be started.
    pub fn start_lazily(self) -> Result<LazyTokenSource, TokenFileError> {
        self.check()?;
        AwaitedFile::start(self.file, None, self.interval, self.clock).map(LazyTokenSource)
    }

    fn check(&self) -> Result<(), TokenFileError> {
        if self.interval < MIN_POLL_INTERVAL {
            let reason = format!(
                "the file would be read every {:?}; the minimum is {MIN_POLL_INTERVAL:?}",
                self.interval
            );
            return Err(self.file.error(TokenFileErrorKind::Configuration, reason));
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
