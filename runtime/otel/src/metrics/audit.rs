//! The audit sink that counts decisions, and the instruments that report the counts.

use std::{fmt, sync::Arc};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter},
};
use service_only::{
    audit::{AuditError, AuditEvent, AuditSink, Decision},
    clock::Timestamp,
    error::Code,
    routes::{Endpoint, endpoints},
};

use super::{
    counts::{Bounded, Counts, Histograms, Measurement},
    known::{Places, Sight},
    names::Names,
    series::Labels,
};

/// Counts decisions, and measures verified tokens. [`Metrics::audit`](super::Metrics::audit) creates it; use
/// it beside a sink that writes.
#[derive(Clone)]
pub struct MetricsAudit(Arc<Inner>);

struct Inner {
    counts: Arc<Counts>,
    services: Arc<Names>,
    kids: Names,
    issuers: Names,
    peers: Names,
}

/// In seconds: a cached token takes a microsecond, a signature a hundred, a wait for keys two seconds.
const DURATIONS: [f64; 13] =
    [5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 1e-2, 0.1, 2.5];

/// In seconds: from a minute to 365 days, the longest lifetime of a token.
const LIVES: [f64; 11] = [
    60.0,
    300.0,
    3_600.0,
    21_600.0,
    86_400.0,
    259_200.0,
    604_800.0,
    1_209_600.0,
    2_592_000.0,
    7_776_000.0,
    31_536_000.0,
];

/// Ratios of a token's whole lifetime.
const RATIOS: [f64; 8] = [0.0, 0.05, 0.1, 0.2, 0.33, 0.5, 0.75, 1.0];

impl MetricsAudit {
    pub(crate) fn new(meter: &Meter, services: Arc<Names>, keys: usize) -> Self {
        let counts = Counts::new(histograms(meter));
        let names = || Names::new(keys);
        let own = Inner { counts, services, kids: names(), issuers: names(), peers: names() };
        own.expect_attacks();
        meter
            .u64_observable_counter("service_only.attempts")
            .with_unit("{attempt}")
            .with_description("Decisions, one for each attempt to call a guarded handler")
            .with_callback(own.reading(|counts, seen| counts.attempts().for_each(seen)))
            .build();
        meter
            .u64_observable_counter("service_only.key.uses")
            .with_unit("{token}")
            .with_description("Tokens whose signature a key has verified")
            .with_callback(own.reading(|counts, seen| counts.key_uses().for_each(seen)))
            .build();
        meter
            .u64_observable_counter("service_only.peer.attempts")
            .with_unit("{attempt}")
            .with_description("Attempts over connections with a client certificate, by its name")
            .with_callback(own.reading(|counts, seen| counts.peers().for_each(seen)))
            .build();
        Self(Arc::new(own))
    }
}

fn histograms(meter: &Meter) -> Histograms {
    let seconds = |name, what, bounds: &'static [f64]| {
        let histogram = meter.f64_histogram(name).with_unit("s").with_description(what);
        Bounded { histogram: histogram.with_boundaries(bounds.to_vec()).build(), bounds }
    };
    Histograms {
        duration: seconds("service_only.verification.duration", "How long decisions took", &DURATIONS),
        remaining: seconds(
            "service_only.token.remaining_life",
            "Remaining lifetime of verified tokens at the request",
            &LIVES,
        ),
        // No unit: for the unit `1`, some Prometheus exporters would append `ratio` again.
        remaining_ratio: Bounded {
            histogram: meter
                .f64_histogram("service_only.token.remaining_life.ratio")
                .with_description("Remaining share of the lifetime of verified tokens at the request")
                .with_boundaries(RATIOS.to_vec())
                .build(),
            bounds: &RATIOS,
        },
    }
}

impl Inner {
    /// Creates the series that alerts use, with the value zero. A series that starts with its first attempt
    /// has no increase, so no alert would fire.
    fn expect_attacks(&self) {
        let guarded = endpoints().into_iter().map(|guarded| Some(*guarded.endpoint()));
        for endpoint in guarded.chain([None]) {
            for code in [Code::AlgNotAllowed, Code::KeyAlgMismatch] {
                let labels =
                    [handler(endpoint), decision(Decision::Deny), KeyValue::new(CODE, code.as_str())];
                self.counts.attempts.number(labels);
            }
        }
    }

    fn reading(
        &self,
        read: impl Fn(&Counts, &mut dyn FnMut((Labels, u64))) + Send + Sync + 'static,
    ) -> impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static {
        let counts = Arc::clone(&self.counts);
        move |instrument| read(&counts, &mut |(labels, count)| instrument.observe(count, &labels))
    }

    /// The series that count decisions like this one.
    fn resolve(&self, sight: &Sight<'_>) -> Places {
        let decision = decision(sight.decision);
        let service = sight.service.map(|service| self.services.label("caller.service", service));
        let code = sight.code.map(|code| KeyValue::new(CODE, code.as_str()));
        let proof = sight.proof.map(|proof| KeyValue::new("proof", proof));
        let attempt = [handler(sight.endpoint), decision.clone()].into_iter();
        let attempt = attempt.chain(service.clone()).chain(code).chain(proof);
        let peer = sight.peer.as_deref().map(|peer| [self.peers.label("peer", peer), decision.clone()]);
        let key = sight.kid.as_deref().map(|kid| {
            let issuer = sight.issuer.as_deref().map(|issuer| self.issuers.label("issuer", issuer));
            [self.kids.label("kid", kid), decision].into_iter().chain(issuer)
        });
        Places {
            attempts: self.counts.attempts.number(attempt),
            key_uses: key.map(|labels| self.counts.key_uses.number(labels)),
            peer: peer.map(|labels| self.counts.peers.number(labels)),
            service: service.map(|service| self.counts.services.number([service])),
        }
    }
}

#[inline]
fn measurement(event: &AuditEvent<'_>) -> Measurement {
    let expires_at = event.expires_at();
    let remaining = expires_at.map(|end| span(event.time(), end));
    let life = event.issued_at().zip(expires_at).map(|(from, end)| span(Timestamp::from_unix(from), end));
    let ratio =
        remaining.zip(life).filter(|(_, life)| *life > 0.0).map(|(left, life)| (left / life).min(1.0));
    Measurement { took: event.duration().as_secs_f64(), remaining, remaining_ratio: ratio }
}

/// The seconds until the end, and zero after it: a token within the leeway has no remaining lifetime.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "exact until the year 285,000,000")]
fn span(from: Timestamp, end: i64) -> f64 {
    let left = end.saturating_sub(from.unix()) as f64 - f64::from(from.subsec_nanos()) * 1e-9;
    left.max(0.0)
}

const CODE: &str = "code";

/// The label for decisions without a handler: a call of [`Verifier::verify`](service_only::Verifier::verify),
/// or a layer.
const NO_HANDLER: &str = "(none)";

fn handler(endpoint: Option<Endpoint>) -> KeyValue {
    let name = endpoint.map_or_else(|| NO_HANDLER.to_owned(), |endpoint| endpoint.to_string());
    KeyValue::new("code.function.name", name)
}

fn decision(decision: Decision) -> KeyValue {
    KeyValue::new("decision", decision.as_str())
}

impl AuditSink for MetricsAudit {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        if event.amends() && event.decision() == Decision::Allow {
            // The decision was counted when it was first recorded.
            return Ok(());
        }
        let sight = Sight::of(event);
        self.0.counts.count(&sight, measurement(event), || self.0.resolve(&sight));
        Ok(())
    }
}

impl fmt::Debug for MetricsAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsAudit").finish_non_exhaustive()
    }
}
