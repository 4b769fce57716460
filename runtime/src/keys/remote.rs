//! Keys over HTTPS: a JWK set by its URL, or found by OIDC discovery, refreshed in the background.
//!
//! One thread fetches, so there is never more than one fetch ("flight") in progress. It has its own runtime, so it
//! continues when the runtime that started it ends, and needs none of that runtime's drivers. Requests
//! read the published keys. Only the first token of an unknown key waits for a fetch, as long and as
//! often as `gate` permits. The thread ends that wait, so that a request needs no timer.

mod builder;
mod error;
mod fetch;
mod freshness;
mod gate;
mod refresher;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
pub use builder::RemoteJwksBuilder;
pub use error::{RemoteError, RemoteErrorKind};
use gate::{Answer, Gate};
use refresher::Progress;
use tokio::sync::{Notify, watch};

use super::{KeySet, KeySource, KeysUnavailable, Refresh};
use crate::{
    clock::{Clock, Stopwatch, Timestamp},
    handle::{self, WeakHandle},
};

/// The keys of an issuer, fetched from the URL where it publishes them. It is cheap to clone, and all clones share
/// one state.
///
/// The keys are fetched at the start and then before they expire. If a fetch fails, or returns no
/// usable key, the last good keys stay in use for a bounded time. After that the source has
/// no keys, and a verifier answers 503. The thread that fetches ends when the last clone is dropped.
///
/// A key that the issuer withdraws is trusted until the next successful fetch, at most for the longest
/// time between two fetches ([`refresh_between`](RemoteJwksBuilder::refresh_between)). When no fetch
/// succeeds, it is trusted for [`max_staleness`](RemoteJwksBuilder::max_staleness). Both times are measured by
/// the system's clock and by a monotonic one, and the clock that shows more time counts. So neither a suspend
/// nor a clock that is set back makes keys live longer.
///
/// Proxies of the environment (`https_proxy`) are not used; set one with
/// [`proxy`](RemoteJwksBuilder::proxy).
///
/// An attacker who names unknown keys can cause at most one fetch per interval.
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

/// Ends the thread on drop.
struct Remote {
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
}

/// The state that the thread and the requests share.
struct Shared {
    /// The source of the keys, without secrets, for logs.
    place: String,
    max_staleness: Duration,
    clock: Box<dyn Clock>,
    current: ArcSwapOption<Loaded>,
    last_error: ArcSwapOption<RemoteError>,
    failures: AtomicU64,
    gate: Mutex<Gate>,
    /// Wakes the thread before its next scheduled fetch.
    wake: Notify,
    /// Ends the thread.
    stop: Notify,
}

struct Loaded {
    keys: KeySet,
    /// When the fetch started: the issuer may have withdrawn a key while its response was on the way.
    at: Timestamp,
    /// Measures the time since then, even if the clock is set.
    running: Stopwatch,
}

impl RemoteJwks {
    /// The default timeout of one fetch, discovery included: ten seconds. No request waits that long for it.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// The default size limit of a response, in bytes: 1 MiB, 200 times the set of a large provider.
    pub const DEFAULT_MAX_RESPONSE_BYTES: usize = 1024 * 1024;

    /// The default limit of keys in a set: a rotation needs three, large providers publish ten.
    pub const DEFAULT_MAX_KEYS: usize = 100;

    /// How long the last good keys are served by default while the issuer is down: six hours. That is longer than most
    /// outages. It also limits how long an attacker who blocks the issuer can keep a withdrawn key trusted.
    pub const DEFAULT_MAX_STALENESS: Duration = Duration::from_secs(6 * 3600);

    /// How often tokens of unknown keys can cause a fetch by default: every 30 seconds. An attacker who sends unknown
    /// key names can use up this one fetch. If the issuer then signs with a new key that the verifier has not fetched
    /// yet, tokens of this key may be refused for as long as this interval.
    pub const DEFAULT_UNKNOWN_KID_INTERVAL: Duration = Duration::from_secs(30);

    /// How long a request waits by default for the fetch that its token caused: two seconds.
    pub const DEFAULT_UNKNOWN_KID_WAIT: Duration = Duration::from_secs(2);

    /// Uses the JWK set at this URL, such as `https://auth.bakery.example/jwks.json`.
    pub fn url(url: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::of(fetch::Place::Jwks(url.into()))
    }

    /// Uses the JWK set that an issuer names in `ISSUER/.well-known/openid-configuration` (OpenID Connect
    /// Discovery 1.0 section 4). The document must name the same issuer, byte for byte.
    pub fn discover(issuer: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::of(fetch::Place::Issuer(issuer.into()))
    }

    /// Why the last fetch failed; `None` if it succeeded.
    pub fn last_error(&self) -> Option<RemoteError> {
        self.0.shared.last_error.load().as_deref().cloned()
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

impl WeakHandle for RemoteJwks {
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static {
        handle::weak(&self.0, Self)
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

    /// Causes at most one fetch per interval; all requests in the meantime share that fetch while it is in progress.
    /// Returns `None` once the fetch of this interval has ended: its result has no key of this name, so another
    /// fetch would not help.
    ///
    /// The thread that fetches bounds the wait, so you may await it on any executor.
    fn refresh_for(&self, _kid: &str) -> Option<Refresh<'_>> {
        let mut progress = self.0.progress.clone();
        let flight = self.0.shared.board()?;
        Some(Box::pin(async move {
            // After a timeout, or without the thread, there is nothing to wait for: the current keys decide.
            let _ = progress.wait_for(|now| now.is_over(flight)).await;
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

    /// The longer of two times. A monotonic clock stops while the machine is suspended, and the
    /// system's clock may be set back.
    fn age(&self, loaded: &Loaded) -> Duration {
        self.clock.now().since(loaded.at).unwrap_or_default().max(loaded.running.elapsed())
    }

    /// The number of the flight to wait for.
    fn board(&self) -> Option<u64> {
        let mut gate = self.gate();
        match gate.ask(self.clock.now()) {
            Answer::Depart { flight } => {
                // Hold the lock of the gate, so that a scheduled flight that starts now also serves this call.
                self.wake.notify_one();
                Some(flight)
            }
            Answer::Join { flight } => Some(flight),
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
        self.shared.stop.notify_one();
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
