//! Decisions, keys and tokens as instruments of OpenTelemetry.
//!
//! The instruments come from a `Meter` that the program gives, so its own SDK exports them, by OTLP, to
//! Prometheus or both. What is decided is counted by an audit sink, in memory of the thread that decides; that,
//! and what a key, a cache or a log is like now, is read when somebody collects. No label is of an unverified
//! token, and none is unbounded.

mod audit;
mod counts;
mod distribution;
mod hashed;
mod known;
mod names;
mod readings;
mod series;
mod state;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{KeyValue, metrics::Meter};
use service_only::{
    __satellite::WeakHandle,
    FileKeys, JsonLinesAudit, Verifier,
    clock::{Clock, SystemClock, Timestamp},
    keys::KeyRing,
};

pub use self::{audit::MetricsAudit, series::MAX_METRIC_SERIES};
use self::{names::Names, readings::Readings};

/// Services, and keys, that are told apart; the rest are one, `(others)`. With ten endpoints and six codes
/// that refuse a known service, 200 services stay within what Prometheus takes from one target.
pub const DEFAULT_METRIC_NAMES: usize = 200;

/// The instruments of a program, made from its `Meter`. Cheap to clone; all clones are one. Make it once: of
/// two, an exporter would see the counts of one.
///
/// A decision is counted in memory of its thread, in about six hundred instructions whatever the SDK, and waits
/// for no collection. The SDK's histograms get their values when somebody collects, or ten seconds later at the
/// most, from a thread of the metrics.
///
/// ```
/// use opentelemetry::metrics::MeterProvider;
/// # use opentelemetry::metrics::noop::NoopMeterProvider;
/// use service_only::{JsonLinesAudit, Verifier};
/// use service_only_otel::Metrics;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let provider = NoopMeterProvider::new();
/// # let keys = service_only::VerifyingKey::hmac(service_only::Algorithm::HS256, &[7; 32])?;
///
/// let metrics = Metrics::new(&provider.meter("orders"));
/// let log = JsonLinesAudit::to_writer(std::io::stdout())?;
/// metrics.watch_audit(&log);
///
/// let verifier = Verifier::builder()
///     .issuer("bakery-auth")
///     .keys(keys)
///     .audit((log, metrics.audit()))
///     .build()?;
/// metrics.watch_verifier(&verifier);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    audit: MetricsAudit,
    services: Arc<Names>,
    clock: Arc<dyn Clock>,
    cache_hits: Readings<u64>,
    old_profile: Readings<u64>,
    audit_dropped: Readings<u64>,
    revocations: Readings<u64>,
    key_state: Readings<u64>,
    key_age: Readings<f64>,
    #[cfg(feature = "remote")]
    refresh_failures: Readings<u64>,
    refresh_failing: Readings<u64>,
    refresh_success: Readings<f64>,
    #[cfg(feature = "client")]
    sent_expiry: Readings<f64>,
    #[cfg(feature = "client")]
    sent_lifetime: Readings<f64>,
}

impl Metrics {
    /// The instruments, with names for [`DEFAULT_METRIC_NAMES`] services and as many keys.
    pub fn new(meter: &Meter) -> Self {
        Self::with_names(meter, DEFAULT_METRIC_NAMES)
    }

    /// The instruments, with names for so many services and as many keys. The first that are verified get
    /// them.
    pub fn with_names(meter: &Meter, names: usize) -> Self {
        Self::with_clock(meter, names, SystemClock)
    }

    /// The same, with the age of keys by `clock`.
    pub fn with_clock(meter: &Meter, names: usize, clock: impl Clock) -> Self {
        let services = Arc::new(Names::new(names));
        Self(Arc::new(Inner {
            audit: MetricsAudit::new(meter, Arc::clone(&services), names),
            services,
            clock: Arc::new(clock),
            cache_hits: Readings::counter(
                meter,
                "service_only.token_cache.hits",
                "{token}",
                "Tokens that were known from before, so that their signature was not checked again",
            ),
            old_profile: Readings::counter(
                meter,
                "service_only.old_profile.tokens",
                "{token}",
                "Tokens of the compatible profile where the strict one is accepted too",
            ),
            audit_dropped: Readings::counter(
                meter,
                "service_only.audit.dropped",
                "{record}",
                "Audit records that were lost",
            ),
            revocations: Readings::u64_gauge(
                meter,
                "service_only.revocations",
                "{revocation}",
                "Revocations that are held",
            ),
            key_state: Readings::u64_gauge(
                meter,
                "service_only.key.state",
                "",
                "1 for the state that a key is in",
            ),
            key_age: Readings::f64_gauge(
                meter,
                "service_only.key.age",
                "s",
                "Time since a key was announced",
            ),
            #[cfg(feature = "remote")]
            refresh_failures: Readings::counter(
                meter,
                "service_only.key_refresh.failures",
                "{failure}",
                "Fetches of keys that brought none",
            ),
            refresh_failing: Readings::u64_gauge(
                meter,
                "service_only.key_refresh.failing",
                "",
                "1 while the last try to load keys has failed",
            ),
            refresh_success: Readings::f64_gauge(
                meter,
                "service_only.key_refresh.success.timestamp",
                "s",
                "When keys were last loaded, since the Unix epoch",
            ),
            #[cfg(feature = "client")]
            sent_expiry: Readings::f64_gauge(
                meter,
                "service_only.sent_token.expiry.timestamp",
                "s",
                "When the token that is sent expires, since the Unix epoch",
            ),
            #[cfg(feature = "client")]
            sent_lifetime: Readings::f64_gauge(
                meter,
                "service_only.sent_token.lifetime",
                "s",
                "How long the token that is sent lives, from its issue to its expiry",
            ),
        }))
    }

    /// The sink that counts decisions, to stand beside the one that writes them: `.audit((log,
    /// metrics.audit()))`. It never fails.
    pub fn audit(&self) -> MetricsAudit {
        self.0.audit.clone()
    }

    /// Reads the verifier's cache hits and its tokens of the old profile. As with all that is watched, what
    /// is dropped is read no more.
    pub fn watch_verifier(&self, verifier: &Verifier) {
        let hits = verifier.weak();
        self.0.cache_hits.add(move |reading| {
            let verifier = hits()?;
            reading.take(&[], verifier.token_cache_hits());
            Some(())
        });
        let (old, services) = (verifier.weak(), Arc::clone(&self.0.services));
        self.0.old_profile.add(move |reading| {
            for (service, tokens) in old()?.old_profile_tokens() {
                reading.take(&[services.label("caller.service", &service)], tokens);
            }
            Some(())
        });
    }

    /// Reads how many records a log has lost.
    pub fn watch_audit(&self, log: &JsonLinesAudit) {
        let log = log.weak();
        self.0.audit_dropped.add(move |reading| {
            reading.take(&[], log()?.dropped());
            Some(())
        });
    }

    /// Reads how many revocations are held, in whatever holds them:
    ///
    /// ```
    /// # use opentelemetry::metrics::{MeterProvider, noop::NoopMeterProvider};
    /// # let metrics = service_only_otel::Metrics::new(&NoopMeterProvider::new().meter("orders"));
    /// let revocations = service_only::revocation::MemoryRevocations::new();
    /// metrics.watch_revocations({
    ///     let revocations = revocations.clone();
    ///     move || revocations.len()
    /// });
    /// ```
    ///
    /// For the revocations of a database, pass `SqlRevocations::len_while_used` of `service-only-store`. It reads
    /// them for as long as a verifier has them, and keeps no reader of a database alive.
    pub fn watch_revocations<N: Into<Option<usize>>>(&self, held: impl Fn() -> N + Send + 'static) {
        self.0.revocations.add(move |reading| {
            reading.take(&[], u64::try_from(held().into()?).unwrap_or(u64::MAX));
            Some(())
        });
    }

    /// Reads the age and the state of an issuer's keys. A retired key has a state for as long as the ring
    /// remembers it, and no age. A ring knows nothing of the time before it was made: where a program makes
    /// it anew at each start, ages start there too.
    pub fn watch_ring(&self, issuer: impl Into<String>, ring: &KeyRing) {
        let (issuer, keys) = (issuer.into(), ring.weak());
        self.0.key_state.add({
            let (issuer, keys) = (issuer.clone(), keys.clone());
            move |reading| {
                for key in state::keys(&keys()?) {
                    let [name, kid] = key.labels(&issuer);
                    reading.take(&[name, kid, KeyValue::new("state", key.state())], 1);
                }
                Some(())
            }
        });
        let clock = Arc::clone(&self.0.clock);
        self.0.key_age.add(move |reading| {
            let now = clock.now();
            for key in state::keys(&keys()?) {
                if let Some(age) = key.age(now) {
                    reading.take(&key.labels(&issuer), age.as_secs_f64());
                }
            }
            Some(())
        });
    }

    /// Reads whether the last look at a file of keys has failed, and when its keys were loaded: that is when
    /// they last changed.
    pub fn watch_file(&self, issuer: impl Into<String>, file: &FileKeys) {
        let (failing, loaded) = (file.weak(), file.weak());
        let labels = [KeyValue::new("issuer", issuer.into())];
        self.0.refresh_failing.add({
            let labels = labels.clone();
            move |reading| {
                reading.take(&labels, u64::from(failing()?.last_error().is_some()));
                Some(())
            }
        });
        self.0.refresh_success.add(move |reading| {
            reading.take(&labels, seconds(loaded()?.loaded_at()));
            Some(())
        });
    }

    /// Reads how often keys could not be fetched, whether that is so now, and when they last could.
    #[cfg(feature = "remote")]
    pub fn watch_remote(&self, issuer: impl Into<String>, keys: &service_only::RemoteJwks) {
        let labels = [KeyValue::new("issuer", issuer.into())];
        self.0.refresh_failures.add({
            let (labels, keys) = (labels.clone(), keys.weak());
            move |reading| {
                reading.take(&labels, keys()?.failures());
                Some(())
            }
        });
        self.0.refresh_failing.add({
            let (labels, keys) = (labels.clone(), keys.weak());
            move |reading| {
                reading.take(&labels, u64::from(keys()?.last_error().is_some()));
                Some(())
            }
        });
        let keys = keys.weak();
        self.0.refresh_success.add(move |reading| {
            if let Some(at) = keys()?.loaded_at() {
                reading.take(&labels, seconds(at));
            }
            Some(())
        });
    }

    /// Reads when the token that this service sends expires, and how long it lives in all. `name` tells it
    /// from another one of this program.
    #[cfg(feature = "client")]
    pub fn watch_token(&self, name: impl Into<String>, tokens: &service_only_client::TokenSource) {
        let labels = [KeyValue::new("token", name.into())];
        self.0.sent_expiry.add({
            let (labels, tokens) = (labels.clone(), tokens.weak());
            move |reading| {
                if let Some(at) = tokens()?.expires_at() {
                    reading.take(&labels, seconds(Timestamp::from_unix(at)));
                }
                Some(())
            }
        });
        let tokens = tokens.weak();
        self.0.sent_lifetime.add(move |reading| {
            let tokens = tokens()?;
            let life = match (tokens.issued_at(), tokens.expires_at()) {
                (Some(from), Some(to)) => Timestamp::from_unix(to).since(Timestamp::from_unix(from)),
                _ => None,
            };
            if let Some(life) = life {
                reading.take(&labels, life.as_secs_f64());
            }
            Some(())
        });
    }
}

/// The value behind a lock, also after a thread has panicked with it: what is locked here is whole after each
/// statement.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number's place in a list that grows with it.
#[inline]
fn at<T: Default>(list: &mut Vec<T>, number: usize) -> &mut T {
    if number >= list.len() {
        list.resize_with(number + 1, T::default);
    }
    #[expect(clippy::indexing_slicing, reason = "it is long enough by now")]
    &mut list[number]
}

#[expect(clippy::cast_precision_loss, reason = "exact until the year 285,000,000")]
fn seconds(at: Timestamp) -> f64 {
    at.unix() as f64
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
