//! Exposes decisions, keys and tokens as OpenTelemetry instruments.
//!
//! The program passes its `Meter`, so its own SDK exports the instruments, by OTLP, to Prometheus or both. An
//! audit sink counts decisions in the memory of the deciding thread. A collection reads these counts, and the
//! current state of keys, caches and logs. No label comes from an unverified token, and no label is
//! unbounded.
//! token, and none is unbounded.

mod audit;
mod counts;
mod distribution;
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

pub use self::audit::MetricsAudit;
use self::{names::Names, readings::Readings};

/// The instruments of a program, created from its `Meter`. Cheap to clone; all clones share one state. Create it once:
/// if you create it twice, an exporter sees only the counts of one.
///
/// A decision is counted in the memory of its thread. This takes about six hundred instructions with any SDK,
/// and never waits for a collection. The SDK's histograms receive their values at a collection, or from a
/// background thread at most ten seconds later.
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
    compatible: Readings<u64>,
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
    #[cfg(feature = "client")]
    sent_renewals: Readings<u64>,
    #[cfg(feature = "client")]
    sent_failures: Readings<u64>,
    #[cfg(feature = "tls")]
    tls_expiry: Readings<f64>,
    #[cfg(feature = "tls")]
    tls_revision: Readings<u64>,
    #[cfg(feature = "tls")]
    tls_failing: Readings<u64>,
}

impl Metrics {
    /// The number of services, and of keys, with their own labels; all others share the label `(others)`. With
    /// ten endpoints and six codes that refuse a known service, 200 services stay within what Prometheus accepts
    /// from one target.
    pub const DEFAULT_NAMES: usize = 200;

    /// The maximum number of series of one instrument, including one for all that exceed the limit. It is the
    /// limit at which OpenTelemetry's SDK adds such a series itself. For an observable instrument, the SDK would
    /// keep only the last value of that series and not the sum.
    pub const MAX_SERIES: usize = series::MAX_METRIC_SERIES;

    /// Creates the instruments, with labels for [`Metrics::DEFAULT_NAMES`] services and as many keys.
    pub fn new(meter: &Meter) -> Self {
        Self::with_names(meter, Metrics::DEFAULT_NAMES)
    }

    /// Creates the instruments, with labels for `names` services and as many keys. The first services and
    /// keys that are verified get the labels.
    pub fn with_names(meter: &Meter, names: usize) -> Self {
        Self::with_clock(meter, names, SystemClock)
    }

    /// Like [`with_names`](Self::with_names), with a clock for the age of keys.
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
                "Cached tokens, whose signature was not checked again",
            ),
            compatible: Readings::counter(
                meter,
                "service_only.compatible.tokens",
                "{token}",
                "Tokens of the compatible profile at verifiers that also accept the strict one",
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
                "Revocations that the verifier has loaded",
            ),
            key_state: Readings::u64_gauge(
                meter,
                "service_only.key.state",
                "",
                "1 for the current state of a key",
            ),
            key_age: Readings::f64_gauge(meter, "service_only.key.age", "s", "Time since a key was prepared"),
            #[cfg(feature = "remote")]
            refresh_failures: Readings::counter(
                meter,
                "service_only.key_refresh.failures",
                "{failure}",
                "Fetches of keys that failed",
            ),
            refresh_failing: Readings::u64_gauge(
                meter,
                "service_only.key_refresh.failing",
                "",
                "1 if the last attempt to load keys failed",
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
                "When the client's token expires, since the Unix epoch",
            ),
            #[cfg(feature = "client")]
            sent_lifetime: Readings::f64_gauge(
                meter,
                "service_only.sent_token.lifetime",
                "s",
                "Lifetime of the client's token, from its issue to its expiry",
            ),
            #[cfg(feature = "client")]
            sent_renewals: Readings::counter(
                meter,
                "service_only.sent_token.renewals",
                "{token}",
                "Tokens that the client obtained",
            ),
            #[cfg(feature = "client")]
            sent_failures: Readings::counter(
                meter,
                "service_only.sent_token.failures",
                "{failure}",
                "Attempts of the client to obtain a token that failed",
            ),
            #[cfg(feature = "tls")]
            tls_expiry: Readings::f64_gauge(
                meter,
                "service_only.tls.expiry.timestamp",
                "s",
                "When the certificate in use expires, since the Unix epoch",
            ),
            #[cfg(feature = "tls")]
            tls_revision: Readings::u64_gauge(
                meter,
                "service_only.tls.revision",
                "",
                "The number of the certificate, key and roots in use; it grows with each change",
            ),
            #[cfg(feature = "tls")]
            tls_failing: Readings::u64_gauge(
                meter,
                "service_only.tls.failing",
                "",
                "1 if the current certificate, key and roots cannot be used",
            ),
        }))
    }

    /// The audit sink that counts decisions. Use it beside the sink that writes them:
    /// `.audit((log, metrics.audit()))`. It never fails.
    pub fn audit(&self) -> MetricsAudit {
        self.0.audit.clone()
    }

    /// Watches the cache hits of a verifier, and its tokens of the compatible profile. After the verifier is
    /// dropped, nothing more is read. This also applies to the other `watch_` methods.
    pub fn watch_verifier(&self, verifier: &Verifier) {
        let hits = verifier.weak();
        self.0.cache_hits.add(move |reading| {
            let verifier = hits()?;
            reading.take(&[], verifier.token_cache_hits());
            Some(())
        });
        let (old, services) = (verifier.weak(), Arc::clone(&self.0.services));
        self.0.compatible.add(move |reading| {
            for (service, tokens) in old()?.compatible_tokens() {
                reading.take(&[services.label("caller.service", &service)], tokens);
            }
            Some(())
        });
    }

    /// Watches how many records an audit log has lost.
    pub fn watch_audit(&self, log: &JsonLinesAudit) {
        let log = log.weak();
        self.0.audit_dropped.add(move |reading| {
            reading.take(&[], log()?.dropped());
            Some(())
        });
    }

    /// Watches how many revocations are stored, in any store:
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
    /// For the revocations of a database, pass `SqlRevocations::len_while_used` of `service-only-store`. It
    /// reads them only while a verifier uses them, and does not keep the database reader alive.
    pub fn watch_revocations<N: Into<Option<usize>>>(&self, held: impl Fn() -> N + Send + 'static) {
        self.0.revocations.add(move |reading| {
            reading.take(&[], u64::try_from(held().into()?).unwrap_or(u64::MAX));
            Some(())
        });
    }

    /// Watches the age and the state of an issuer's keys. A retired key has a state while the ring still lists it, and
    /// has no age. The age of a key counts from when it was added to the ring. So if a program creates a new ring at
    /// each start, ages begin at zero again.
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

    /// Watches whether the last read of a key file failed, and when its keys were loaded. Keys are loaded when the file
    /// changes.
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

    /// Watches how often fetching keys failed, whether it fails now, and when it last succeeded.
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

    /// Watches when the token that this service sends expires, and its whole lifetime. `name` distinguishes
    /// the token from other tokens of this program.
    #[cfg(feature = "client")]
    pub fn watch_token(&self, name: impl Into<String>, tokens: &service_only_client::TokenSource) {
        let labels = [KeyValue::new("token", name.into())];
        self.0.sent_expiry.add({
            let (labels, tokens) = (labels.clone(), tokens.weak());
            move |reading| {
                if let Some(at) = tokens()?.expires_at() {
                    reading.take(&labels, seconds(at));
                }
                Some(())
            }
        });
        let tokens = tokens.weak();
        self.0.sent_lifetime.add(move |reading| {
            let tokens = tokens()?;
            let life = tokens.issued_at().zip(tokens.expires_at()).and_then(|(from, to)| to.since(from));
            if let Some(life) = life {
                reading.take(&labels, life.as_secs_f64());
            }
            Some(())
        });
    }
}

#[cfg(feature = "tls")]
impl Metrics {
    /// Watches when the certificate in use expires, which revision is in use, and whether the current files cannot be used.
    /// The label `error.type` contains the kind of the last error. `name` distinguishes the certificate from others of
    /// this program.
    pub fn watch_tls(&self, name: impl Into<String>, tls: &service_only_tls::Tls) {
        let labels = [KeyValue::new("certificate", name.into())];
        let status = tls.status_while_used();
        self.0.tls_expiry.add({
            let (labels, status) = (labels.clone(), status.clone());
            move |reading| {
                reading.take(&labels, seconds(status()?.not_after));
                Some(())
            }
        });
        self.0.tls_revision.add({
            let (labels, status) = (labels.clone(), status.clone());
            move |reading| {
                reading.take(&labels, status()?.revision);
                Some(())
            }
        });
        self.0.tls_failing.add(move |reading| {
            match status()?.error {
                None => reading.take(&labels, 0),
                Some(error) => {
                    let [name] = labels.clone();
                    reading.take(&[name, KeyValue::new("error.type", error.kind().as_str())], 1);
                }
            }
            Some(())
        });
    }
}

#[cfg(feature = "client")]
impl Metrics {
    /// Watches the tokens that this service obtains and sends: for each audience the expiry and the lifetime, and for all
    /// audiences how many were obtained and how many attempts failed. `name` distinguishes the source from others.
    pub fn watch_token_supply(&self, name: impl Into<String>, tokens: &service_only_client::TokenSupply) {
        let label = KeyValue::new("token", name.into());
        let of_audience = {
            let label = label.clone();
            move |audience: &Option<String>| {
                let audience = audience.clone().unwrap_or_default();
                [label.clone(), KeyValue::new("audience", audience)]
            }
        };
        self.0.sent_expiry.add({
            let (of_audience, tokens) = (of_audience.clone(), tokens.weak());
            move |reading| {
                let tokens = tokens()?;
                for audience in tokens.audiences() {
                    if let Some(at) = tokens.expires_at(audience.as_deref()) {
                        reading.take(&of_audience(&audience), seconds(at));
                    }
                }
                Some(())
            }
        });
        self.0.sent_lifetime.add({
            let tokens = tokens.weak();
            move |reading| {
                let tokens = tokens()?;
                for audience in tokens.audiences() {
                    let (from, to) =
                        (tokens.obtained_at(audience.as_deref()), tokens.expires_at(audience.as_deref()));
                    if let Some(life) = from.zip(to).and_then(|(from, to)| to.since(from)) {
                        reading.take(&of_audience(&audience), life.as_secs_f64());
                    }
                }
                Some(())
            }
        });
        self.0.sent_renewals.add({
            let (label, tokens) = (label.clone(), tokens.weak());
            move |reading| {
                reading.take(std::slice::from_ref(&label), tokens()?.renewals());
                Some(())
            }
        });
        let tokens = tokens.weak();
        self.0.sent_failures.add(move |reading| {
            reading.take(std::slice::from_ref(&label), tokens()?.failures());
            Some(())
        });
    }
}

/// Locks the mutex, also if it is poisoned: the value is consistent after each statement, so a panic leaves
/// it usable.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The entry at this index, in a list that grows as needed.
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
