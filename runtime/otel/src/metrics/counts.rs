//! Counts decisions in the thread that makes them; a collection reads the counts.
//!
//! Each thread counts in its own memory behind a lock. Only a collection contends for this lock, and only
//! while it copies some numbers. Counters are read from there. The SDK's histograms need each single value. A
//! collection records these values, and so does a thread of this file every ten seconds. So a collection
//! after an hour without one does not have to record the values of an hour.

use std::{
    convert::Infallible,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, Weak,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use opentelemetry::{KeyValue, metrics::Histogram};
use service_only::audit::Decision;
use thread_local::ThreadLocal;

use super::{
    at,
    distribution::Distribution,
    known::{Known, Places, Sight},
    locked,
    series::{Labels, Series},
};

/// At ten thousand decisions a second, the values of one period take the SDK some ten milliseconds.
const PERIOD: Duration = Duration::from_secs(10);

pub(crate) struct Counts {
    threads: ThreadLocal<OwnLine<Mutex<Own>>>,
    pub(crate) attempts: Series,
    pub(crate) key_uses: Series,
    pub(crate) peers: Series,
    pub(crate) services: Series,
    histograms: Histograms,
    totals: Mutex<Totals>,
    /// Ends the thread when this value is dropped.
    _held: OnceLock<Sender<Infallible>>,
}

/// Keeps what one thread writes out of the cache lines of its neighbours. The alignment is two lines, because
/// processors fetch lines in pairs.
#[derive(Default)]
#[repr(align(128))]
struct OwnLine<T>(T);

/// The SDK's histograms, with the bounds of their buckets.
pub(crate) struct Histograms {
    pub(crate) duration: Bounded,
    pub(crate) remaining: Bounded,
    pub(crate) remaining_ratio: Bounded,
}

pub(crate) struct Bounded {
    pub(crate) histogram: Histogram<f64>,
    pub(crate) bounds: &'static [f64],
}

/// The measurements of one decision: in seconds, and as a ratio of the token's lifetime.
#[derive(Copy, Clone)]
pub(crate) struct Measurement {
    pub(crate) took: f64,
    pub(crate) remaining: Option<f64>,
    pub(crate) remaining_ratio: Option<f64>,
}

/// Totals by series number. Locked while values are recorded in the SDK, and never by a request.
#[derive(Default)]
struct Totals {
    attempts: Vec<u64>,
    key_uses: Vec<u64>,
    peers: Vec<u64>,
}

/// What one thread has counted since the last collection.
#[derive(Default)]
struct Own {
    known: Known,
    attempts: Vec<u64>,
    key_uses: Vec<u64>,
    peers: Vec<u64>,
    measured: Measured,
}

#[derive(Default)]
struct Measured {
    allowed: Distribution,
    denied: Distribution,
    lives: Vec<Lives>,
}

/// The remaining token lifetimes of one service.
#[derive(Default)]
struct Lives {
    remaining: Distribution,
    remaining_ratio: Distribution,
}

impl Counts {
    pub(crate) fn new(histograms: Histograms) -> Arc<Self> {
        let counts = Arc::new(Self {
            threads: ThreadLocal::new(),
            attempts: Series::default(),
            key_uses: Series::default(),
            peers: Series::default(),
            services: Series::default(),
            histograms,
            totals: Mutex::default(),
            _held: OnceLock::new(),
        });
        let ((held, gone), told) = (channel(), Arc::downgrade(&counts));
        let named = thread::Builder::new().name("service-only-metrics".to_owned());
        match named.spawn(move || tell(&told, &gone)) {
            Ok(_) => drop(counts._held.set(held)),
            Err(error) => {
                tracing::warn!(target: "service_only", %error, "the metrics thread cannot be started: histograms are filled when metrics are collected");
            }
        }
        counts
    }

    /// Counts one decision. `resolve` is called if this thread has not seen a similar decision yet.
    #[inline]
    pub(crate) fn count(&self, sight: &Sight<'_>, measured: Measurement, resolve: impl FnOnce() -> Places) {
        let mut own = locked(&self.threads.get_or_default().0);
        let places = own.known.places(sight, resolve);
        add(&mut own.attempts, places.attempts);
        if let Some(key) = places.key_uses {
            add(&mut own.key_uses, key);
        }
        if let Some(peer) = places.peer {
            add(&mut own.peers, peer);
        }
        own.measured.add(&self.histograms, sight.decision, places.service, measured);
    }

    /// All attempts until now.
    pub(crate) fn attempts(&self) -> impl Iterator<Item = (Labels, u64)> + use<> {
        let counts = self.gather().attempts.clone();
        labelled(&self.attempts, counts)
    }

    /// All uses of keys until now.
    pub(crate) fn key_uses(&self) -> impl Iterator<Item = (Labels, u64)> + use<> {
        let counts = self.gather().key_uses.clone();
        labelled(&self.key_uses, counts)
    }

    /// All attempts over connections with a certificate until now.
    pub(crate) fn peers(&self) -> impl Iterator<Item = (Labels, u64)> + use<> {
        let counts = self.gather().peers.clone();
        labelled(&self.peers, counts)
    }

    /// Adds up the counts of all threads, and records the measured values in the SDK. A concurrent collection
    /// waits for the lock, so that it misses no value.
    fn gather(&self) -> MutexGuard<'_, Totals> {
        let mut totals = locked(&self.totals);
        let mut measured = Measured::default();
        for own in &self.threads {
            let own = locked(&own.0).hand_over(&mut totals);
            measured.merge(&own);
        }
        self.record(&measured);
        totals
    }

    fn record(&self, measured: &Measured) {
        let Histograms { duration, remaining, remaining_ratio } = &self.histograms;
        for (decision, took) in [(Decision::Allow, &measured.allowed), (Decision::Deny, &measured.denied)] {
            let labels = [KeyValue::new("decision", decision.as_str())];
            took.values().for_each(|value| duration.histogram.record(value, &labels));
        }
        for (labels, lives) in self.services.labels().iter().zip(&measured.lives) {
            lives.remaining.values().for_each(|value| remaining.histogram.record(value, labels));
            lives.remaining_ratio.values().for_each(|value| remaining_ratio.histogram.record(value, labels));
        }
    }
}

/// Gathers periodically until the counts are dropped.
fn tell(counts: &Weak<Counts>, gone: &Receiver<Infallible>) {
    while gone.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        let Some(counts) = counts.upgrade() else { return };
        drop(counts.gather());
    }
}

impl Own {
    fn hand_over(&mut self, totals: &mut Totals) -> Measured {
        move_counts(&mut self.attempts, &mut totals.attempts);
        move_counts(&mut self.key_uses, &mut totals.key_uses);
        move_counts(&mut self.peers, &mut totals.peers);
        mem::take(&mut self.measured)
    }
}

impl Measured {
    #[inline]
    fn add(&mut self, by: &Histograms, decision: Decision, service: Option<usize>, measured: Measurement) {
        let took = match decision {
            Decision::Allow => &mut self.allowed,
            Decision::Deny => &mut self.denied,
        };
        took.add(by.duration.bounds, measured.took);
        let Some(service) = service else { return };
        let lives = at(&mut self.lives, service);
        if let Some(remaining) = measured.remaining {
            lives.remaining.add(by.remaining.bounds, remaining);
        }
        if let Some(ratio) = measured.remaining_ratio {
            lives.remaining_ratio.add(by.remaining_ratio.bounds, ratio);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.allowed.merge(&other.allowed);
        self.denied.merge(&other.denied);
        for (number, lives) in other.lives.iter().enumerate() {
            let own = at(&mut self.lives, number);
            own.remaining.merge(&lives.remaining);
            own.remaining_ratio.merge(&lives.remaining_ratio);
        }
    }
}

#[inline]
fn add(counts: &mut Vec<u64>, number: usize) {
    let count = at(counts, number);
    *count = count.saturating_add(1);
}

fn move_counts(from: &mut [u64], to: &mut Vec<u64>) {
    for (number, count) in from.iter_mut().enumerate() {
        let total = at(to, number);
        *total = total.saturating_add(mem::take(count));
    }
}

/// A series that has no counts yet is reported as zero, so that a collector sees its first increase.
fn labelled(series: &Series, counts: Vec<u64>) -> impl Iterator<Item = (Labels, u64)> + use<> {
    series.labels().into_iter().zip(counts.into_iter().chain(std::iter::repeat(0)))
}
