//! The settings of a remote JWK set, their defaults, and the reason for each default.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use super::{
    Remote, RemoteError, RemoteErrorKind, RemoteJwks, Shared,
    fetch::{Fetcher, Limits, Place, Transport},
    freshness::Bounds,
    gate::Gate,
    refresher::{Progress, Refresher},
};
use crate::{
    clock::{Clock, SystemClock},
    keys::KeySet,
};

/// The default minimum time between two fetches, even if the issuer asks for more frequent ones.
const DEFAULT_MIN_REFRESH: Duration = Duration::from_secs(60);

/// The default maximum time between two fetches: a key that the issuer withdrew is trusted for at most an hour.
const DEFAULT_MAX_REFRESH: Duration = Duration::from_secs(3600);

/// The smallest allowed time between two fetches. Below it, fetching is a busy loop.
const LEAST_REFRESH: Duration = Duration::from_millis(10);

/// The smallest allowed interval for unknown keys. Below it, an attacker could load the issuer with unknown keys.
const LEAST_UNKNOWN_KID_INTERVAL: Duration = Duration::from_secs(1);

/// Configures a remote JWK set; [`start`](Self::start) fetches it.
#[must_use = "nothing is fetched until `start` is called"]
pub struct RemoteJwksBuilder {
    place: Place,
    transport: Transport,
    limits: Limits,
    min_refresh: Duration,
    max_refresh: Duration,
    max_staleness: Duration,
    unknown_kid_interval: Duration,
    unknown_kid_wait: Duration,
    clock: Box<dyn Clock>,
}

impl RemoteJwksBuilder {
    pub(crate) fn of(place: Place) -> Self {
        Self {
            place,
            transport: Transport::default(),
            limits: Limits {
                timeout: RemoteJwks::DEFAULT_TIMEOUT,
                bytes: RemoteJwks::DEFAULT_MAX_RESPONSE_BYTES,
                keys: RemoteJwks::DEFAULT_MAX_KEYS,
            },
            min_refresh: DEFAULT_MIN_REFRESH,
            max_refresh: DEFAULT_MAX_REFRESH,
            max_staleness: RemoteJwks::DEFAULT_MAX_STALENESS,
            unknown_kid_interval: RemoteJwks::DEFAULT_UNKNOWN_KID_INTERVAL,
            unknown_kid_wait: RemoteJwks::DEFAULT_UNKNOWN_KID_WAIT,
            clock: Box::new(SystemClock),
        }
    }

    /// Sets the minimum and maximum time between two fetches. Within them the response's `Cache-Control`
    /// decides; without that header the time is five minutes. The defaults are a minute, so that
    /// no issuer can cause a storm of fetches, and an hour, for which a withdrawn key may stay trusted.
    pub fn refresh_between(self, min: Duration, max: Duration) -> Self {
        Self { min_refresh: min, max_refresh: max, ..self }
    }

    /// Sets the timeout of one fetch, discovery included. The default is [`RemoteJwks::DEFAULT_TIMEOUT`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// Sets the size limit of a response, in bytes, up to [`KeySet::MAX_JWKS_BYTES`]. The default is
    /// [`RemoteJwks::DEFAULT_MAX_RESPONSE_BYTES`].
    pub fn max_response_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Sets the limit of keys in the set, usable or not, up to [`KeySet::MAX_KEYS`]. The default is
    /// [`RemoteJwks::DEFAULT_MAX_KEYS`].
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.limits.keys = keys;
        self
    }

    /// Sets how long the last good keys are served while no fetch succeeds. After that, a
    /// verifier answers 503. The default is [`RemoteJwks::DEFAULT_MAX_STALENESS`].
    pub fn max_staleness(self, staleness: Duration) -> Self {
        Self { max_staleness: staleness, ..self }
    }

    /// Sets the interval in which tokens with unknown keys can cause at most one fetch. The minimum is a second.
    /// The default is [`RemoteJwks::DEFAULT_UNKNOWN_KID_INTERVAL`].
    pub fn unknown_kid_interval(self, interval: Duration) -> Self {
        Self { unknown_kid_interval: interval, ..self }
    }

    /// Sets how long a request waits for such a fetch. The default is [`RemoteJwks::DEFAULT_UNKNOWN_KID_WAIT`].
    pub fn unknown_kid_wait(self, wait: Duration) -> Self {
        Self { unknown_kid_wait: wait, ..self }
    }

    /// Sets the certificate authorities, in PEM, that may certify the server. They replace those of the operating
    /// system. For the Kubernetes API, use `/var/run/secrets/kubernetes.io/serviceaccount/ca.crt`.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.transport.roots = Some(pem.into());
        self
    }

    /// Sends the token in this file as `Authorization: Bearer`, as the Kubernetes API requires it. The
    /// file is read for every fetch, so you may rotate it. The token is sent over HTTPS only, and
    /// only to the origin that is configured here, never to another origin that a discovery document names.
    pub fn bearer_token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.transport.bearer = Some(path.into());
        self
    }

    /// Follows up to three redirects, over HTTPS and within one origin. By default a redirect is an
    /// error, so that no other server can choose where the keys come from.
    pub fn follow_redirects(mut self) -> Self {
        self.transport.follow_redirects = true;
        self
    }

    /// Allows plain HTTP if the URL uses it. An attacker who can change the traffic can then choose
    /// the keys, and impersonate every caller. Use it in tests, or if a mesh encrypts the traffic.
    pub fn dangerously_allow_http(mut self) -> Self {
        self.transport.allow_http = true;
        self
    }

    /// Fetches through this proxy, such as `http://proxy.example:3128`. HTTPS passes through it in a tunnel, so that
    /// it sees neither keys nor tokens. By default no proxy is used, even if `https_proxy` is set.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.transport.proxy = Some(url.into());
        self
    }

    /// Sets the clock for the age of keys. The default is [`SystemClock`]. A monotonic clock runs beside it, and the
    /// clock that shows more time determines the age.
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// Fetches the keys, and keeps fetching them in the background. A separate thread fetches, so it
    /// continues after the runtime of this call has ended.
    ///
    /// # Errors
    /// When a setting cannot be used, or the keys cannot be fetched. If an issuer may be
    /// down while services start, use [`start_lazily`](Self::start_lazily).
    pub async fn start(self) -> Result<RemoteJwks, RemoteError> {
        let keys = self.start_lazily()?;
        let mut progress = keys.0.progress.clone();
        let _ = progress.wait_for(|now| now.landed > 0).await;
        if keys.loaded_at().is_some() {
            return Ok(keys);
        }
        Err(keys.last_error().unwrap_or_else(|| RemoteErrorKind::Ended.into()))
    }

    /// Starts to fetch the keys in the background, and needs no runtime. Until they are fetched, a
    /// verifier answers 503, after it has waited as long as for an unknown key.
    ///
    /// # Errors
    /// When a setting cannot be used, or no thread can be started.
    pub fn start_lazily(self) -> Result<RemoteJwks, RemoteError> {
        let refresher = self.prepare()?;
        let (shared, progress) = (Arc::clone(&refresher.shared), refresher.progress.subscribe());
        refresher.spawn().map_err(|error| {
            RemoteError::configuration(format!("no thread can be started to fetch keys: {error}"))
        })?;
        Ok(RemoteJwks(Arc::new(Remote { shared, progress })))
    }

    fn prepare(self) -> Result<Refresher, RemoteError> {
        self.check().map_err(RemoteError::configuration)?;
        let fetcher = Fetcher::new(self.place, self.transport, self.limits)?;
        let shared = Shared {
            place: fetcher.place(),
            max_staleness: self.max_staleness,
            clock: self.clock,
            current: ArcSwapOption::empty(),
            last_error: ArcSwapOption::empty(),
            failures: AtomicU64::new(0),
            gate: Mutex::new(Gate::new(self.unknown_kid_interval, self.unknown_kid_wait)),
            wake: Notify::new(),
            stop: Notify::new(),
        };
        Ok(Refresher {
            shared: Arc::new(shared),
            fetcher,
            bounds: Bounds { min: self.min_refresh, max: self.max_refresh },
            wait: self.unknown_kid_wait,
            progress: watch::Sender::new(Progress::default()),
            failures: 0,
        })
    }

    fn check(&self) -> Result<(), String> {
        let Self { min_refresh: min, max_refresh: max, max_staleness: staleness, .. } = self;
        if *min < LEAST_REFRESH || min > max {
            return Err(format!(
                "keys would be fetched every {min:?} to {max:?}; the minimum is {LEAST_REFRESH:?}"
            ));
        }
        if staleness < max {
            return Err(format!(
                "keys would expire after {staleness:?}, but the next fetch may be {max:?} later"
            ));
        }
        if self.unknown_kid_interval < LEAST_UNKNOWN_KID_INTERVAL {
            let (found, least) = (self.unknown_kid_interval, LEAST_UNKNOWN_KID_INTERVAL);
            return Err(format!(
                "unknown keys would cause a fetch every {found:?}; the minimum is {least:?}"
            ));
        }
        if self.limits.timeout.is_zero() || self.unknown_kid_wait.is_zero() {
            return Err("a timeout of zero would end every fetch".to_owned());
        }
        if !(1..=KeySet::MAX_KEYS).contains(&self.limits.keys) {
            return Err(format!(
                "the limit of {} keys is not between 1 and {}",
                self.limits.keys,
                KeySet::MAX_KEYS
            ));
        }
        if !(1..=KeySet::MAX_JWKS_BYTES).contains(&self.limits.bytes) {
            return Err(format!(
                "the limit of {} bytes is not between 1 and {}",
                self.limits.bytes,
                KeySet::MAX_JWKS_BYTES
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for RemoteJwksBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteJwksBuilder")
            .field("place", &self.place)
            .field("refresh", &(self.min_refresh..=self.max_refresh))
            .finish_non_exhaustive()
    }
}
