//! Keys over HTTPS: a JWK set by its URL, or found by OIDC discovery, kept fresh in the background.
//!
//! One task fetches, so there is never more than one flight. Requests read what it published; only
//! the first token of an unknown key waits for it, and only so long and so often as `gate` permits.

mod builder;
mod fetch;
mod freshness;
mod gate;
mod refresher;

use std::{
    error::Error,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
pub use builder::{
    DEFAULT_MAX_RESPONSE_BYTES, DEFAULT_MAX_STALENESS, DEFAULT_REMOTE_KEYS, DEFAULT_TIMEOUT,
    DEFAULT_UNKNOWN_KID_INTERVAL, DEFAULT_UNKNOWN_KID_WAIT, RemoteJwksBuilder,
};
use gate::{Answer, Gate};
use tokio::sync::{Notify, watch};

use super::{KeyError, KeySet, KeySource, KeysUnavailable, Refresh};
use crate::clock::{Clock, Timestamp};

/// The keys of an issuer, fetched from where it publishes them. Cheap to clone; all clones are one.
///
/// They are fetched at the start and then ahead of their expiry. A fetch that fails, or brings no
/// usable key, leaves the last good keys in place, for a bounded time; after that the source has
/// none, and a verifier answers 503. The task that fetches ends with the last clone.
///
/// What an attacker can make of it by naming keys that do not exist is one fetch per interval.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use service_only::{RemoteJwks, TrustedIssuer, Verifier};
///
/// let issuer = "https://auth.bakery.example";
/// let keys = RemoteJwks::discover(issuer).start().await?;
/// let verifier = Verifier::builder()
///     .trust(TrustedIssuer::strict(issuer).keys(keys).audience("orders"))
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RemoteJwks(Arc<Remote>);

/// Ends the task when it is dropped.
struct Remote {
    shared: Arc<Shared>,
    landed: watch::Receiver<u64>,
    task: tokio::task::AbortHandle,
}

/// What the task and the requests share.
struct Shared {
    /// Where the keys come from, fit for a log.
    place: String,
    max_staleness: Duration,
    clock: Box<dyn Clock>,
    current: ArcSwapOption<Loaded>,
    last_error: ArcSwapOption<RemoteError>,
    failures: AtomicU64,
    gate: Mutex<Gate>,
    /// Wakes the task ahead of its time.
    wake: Notify,
}

struct Loaded {
    keys: KeySet,
    at: Timestamp,
}

impl RemoteJwks {
    /// The JWK set at this URL, such as `https://auth.bakery.example/jwks.json`.
    pub fn url(url: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::of(fetch::Place::Jwks(url.into()))
    }

    /// The JWK set that an issuer names in `ISSUER/.well-known/openid-configuration` (OpenID Connect
    /// Discovery 1.0 section 4). The document must name the same issuer, byte for byte.
    pub fn discover(issuer: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::of(fetch::Place::Issuer(issuer.into()))
    }

    /// Why the last fetch failed; `None` when it did not.
    pub fn last_error(&self) -> Option<RemoteError> {
        self.0.shared.last_error.load().as_deref().cloned()
    }

    /// The source again, for as long as somebody else has it.
    #[cfg(feature = "metrics")]
    pub(crate) fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + use<> {
        let own = Arc::downgrade(&self.0);
        move || own.upgrade().map(Self)
    }

    /// How many fetches have failed.
    pub fn failures(&self) -> u64 {
        self.0.shared.failures.load(Ordering::Relaxed)
    }

    /// When the keys in use were fetched; `None` before the first fetch.
    pub fn loaded_at(&self) -> Option<Timestamp> {
        self.0.shared.current.load().as_deref().map(|loaded| loaded.at)
    }
}

impl KeySource for RemoteJwks {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        self.0.shared.snapshot()
    }

    fn is_current(&self, keys: &KeySet) -> bool {
        let shared = &self.0.shared;
        let loaded = shared.current.load();
        loaded.as_deref().is_some_and(|loaded| loaded.keys.is(keys) && !shared.is_stale(loaded))
    }

    /// Goes looking for the key at most once per interval; whoever asks in the meantime shares that
    /// flight while it lasts. `None` once the answer of this interval is known: the same name, and
    /// any other, was just looked up in vain.
    fn refresh_for(&self, _kid: &str) -> Option<Refresh<'_>> {
        // A wait needs a timer, and so a runtime.
        tokio::runtime::Handle::try_current().ok()?;
        let mut landed = self.0.landed.clone();
        let (flight, wait) = self.0.shared.board()?;
        Some(Box::pin(async move {
            // Late, or with the task gone, there is nothing to wait for: what is there decides.
            let _ = tokio::time::timeout(wait, landed.wait_for(|last| *last >= flight)).await;
        }))
    }
}

impl Shared {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        let loaded = self.current.load();
        let Some(loaded) = loaded.as_deref() else {
            let reason = format!("{}: not fetched yet{}", self.place, self.why());
            return Err(KeysUnavailable::pending(reason));
        };
        if self.is_stale(loaded) {
            let age = self.age(loaded);
            let (place, most) = (&self.place, self.max_staleness);
            let reason = format!("{place}: the last fetch was {age:?} ago, more than {most:?}{}", self.why());
            return Err(KeysUnavailable::new(reason));
        }
        Ok(loaded.keys.clone())
    }

    fn is_stale(&self, loaded: &Loaded) -> bool {
        self.age(loaded) > self.max_staleness
    }

    /// A clock that was set back makes keys look young, never old.
    fn age(&self, loaded: &Loaded) -> Duration {
        self.clock.now().since(loaded.at).unwrap_or_default()
    }

    /// The flight to wait for, and for how long.
    fn board(&self) -> Option<(u64, Duration)> {
        let mut gate = self.gate();
        match gate.ask(self.clock.now()) {
            Answer::Depart { flight, wait } => {
                // Within the gate, so that a flight that departs by itself takes this call along.
                self.wake.notify_one();
                Some((flight, wait))
            }
            Answer::Join { flight, wait } => Some((flight, wait)),
            Answer::Refuse => None,
        }
    }

    fn why(&self) -> String {
        self.last_error.load().as_deref().map(|error| format!(" ({error})")).unwrap_or_default()
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for RemoteJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.0.shared;
        f.debug_struct("RemoteJwks")
            .field("place", &shared.place)
            .field("keys", &shared.current.load().as_deref().map(|loaded| &loaded.keys))
            .field("last_error", &shared.last_error.load())
            .finish_non_exhaustive()
    }
}

/// Keys that could not be fetched; says what is wrong, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteError {
    /// The builder was told something that cannot be; nothing was sent.
    Configuration(String),
    /// There was no answer: name, connection, TLS, a broken body.
    NoAnswer(String),
    /// The answer took longer than the timeout.
    Timeout(Duration),
    /// The status was another than 200. A redirect is one of them.
    Status(u16),
    /// The body was longer than the limit, in bytes.
    TooLarge(usize),
    /// The discovery document is none, names another issuer or no usable `jwks_uri`.
    Discovery(String),
    /// The body is no JWK set with usable keys.
    Keys(KeyError),
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration(why) => f.write_str(why),
            Self::NoAnswer(why) => write!(f, "no answer: {why}"),
            Self::Timeout(timeout) => write!(f, "no answer within {timeout:?}"),
            Self::Status(status @ 300..=399) => {
                write!(f, "the answer is a redirect ({status}), which is not followed")
            }
            Self::Status(status) => write!(f, "the status is {status}, expected 200"),
            Self::TooLarge(limit) => write!(f, "the answer is larger than {limit} bytes"),
            Self::Discovery(why) => write!(f, "the discovery document: {why}"),
            Self::Keys(error) => error.fmt(f),
        }
    }
}

impl Error for RemoteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Keys(error) => Some(error),
            _ => None,
        }
    }
}
