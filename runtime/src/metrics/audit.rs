//! Decisions, counted as they are made.

use std::sync::Arc;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};

use super::names::{Endpoints, Names};
use crate::{
    audit::{AuditError, AuditEvent, AuditSink, Decision},
    clock::Timestamp,
    denial::Code,
    registry::endpoints,
};

/// Counts decisions, and measures the tokens that were verified. Made by
/// [`Metrics::audit`](super::Metrics::audit); stands beside a sink that writes.
#[derive(Clone)]
pub struct MetricsAudit(Arc<Instruments>);

struct Instruments {
    attempts: Counter<u64>,
    duration: Histogram<f64>,
    key_uses: Counter<u64>,
    remaining: Histogram<f64>,
    remaining_ratio: Histogram<f64>,
    endpoints: Endpoints,
    services: Arc<Names>,
    kids: Names,
    issuers: Names,
}

/// In seconds: a remembered token takes a microsecond, a signature a hundred, a wait for keys two seconds.
const DURATIONS: [f64; 13] =
    [5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 1e-3, 1e-2, 0.1, 2.5];

/// In seconds: from a minute to the 365 days that a token may have.
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

/// Of a token's whole life.
const RATIOS: [f64; 8] = [0.0, 0.05, 0.1, 0.2, 0.33, 0.5, 0.75, 1.0];

impl MetricsAudit {
    pub(super) fn new(meter: &Meter, services: Arc<Names>, keys: usize) -> Self {
        let own = Self(Arc::new(Instruments {
            attempts: meter
                .u64_counter("service_only.attempts")
                .with_unit("{attempt}")
                .with_description("Decisions, one for each attempt to call a guarded handler")
                .build(),
            duration: meter
                .f64_histogram("service_only.verification.duration")
                .with_unit("s")
                .with_description("How long decisions took")
                .with_boundaries(DURATIONS.to_vec())
                .build(),
            key_uses: meter
                .u64_counter("service_only.key.uses")
                .with_unit("{token}")
                .with_description("Tokens whose signature a key has verified")
                .build(),
            remaining: meter
                .f64_histogram("service_only.token.remaining_life")
                .with_unit("s")
                .with_description("Time that verified tokens had left when they were presented")
                .with_boundaries(LIVES.to_vec())
                .build(),
            // Without a unit: for `1`, some exporters to Prometheus would say `ratio` once more.
            remaining_ratio: meter
                .f64_histogram("service_only.token.remaining_life.ratio")
                .with_description("The part of its life that a verified token had left when it was presented")
                .with_boundaries(RATIOS.to_vec())
                .build(),
            endpoints: Endpoints::default(),
            services,
            kids: Names::new(keys),
            issuers: Names::new(keys),
        }));
        own.expect_attacks();
        own
    }

    /// Makes the series that pages are written for, at zero. One that began with its first attempt would not
    /// have increased by it, and nobody would be told.
    fn expect_attacks(&self) {
        let guarded = endpoints().into_iter().map(|guarded| Some(*guarded.endpoint()));
        for endpoint in guarded.chain([None]) {
            for code in [Code::AlgNotAllowed, Code::KeyAlgMismatch] {
                let handler = self.0.endpoints.label(HANDLER, endpoint);
                let labels = [handler, decision(Decision::Deny), KeyValue::new(CODE, code.as_str())];
                self.0.attempts.add(0, &labels);
            }
        }
    }

    fn count(&self, event: &AuditEvent<'_>) {
        let Instruments { attempts, duration, endpoints, services, .. } = &*self.0;
        let decision = decision(event.decision);
        let handler = endpoints.label(HANDLER, event.endpoint);
        let service = event.service.as_deref().map(|service| services.label("caller.service", service));
        let code = event.code.map(|code| KeyValue::new(CODE, code.as_str()));
        // Each set of labels always has the same order: the SDK finds it without sorting it.
        match (&service, code) {
            (None, None) => attempts.add(1, &[handler, decision.clone()]),
            (None, Some(code)) => attempts.add(1, &[handler, decision.clone(), code]),
            (Some(service), None) => attempts.add(1, &[handler, decision.clone(), service.clone()]),
            (Some(service), Some(code)) => {
                attempts.add(1, &[handler, decision.clone(), service.clone(), code]);
            }
        }
        duration.record(event.unrecorded.took.as_secs_f64(), std::slice::from_ref(&decision));
        self.count_key(event, decision);
        if let Some(service) = service {
            self.measure_life(event, &service);
        }
    }

    fn count_key(&self, event: &AuditEvent<'_>, decision: KeyValue) {
        // In the record a key stands only when its signature was good.
        let Some(kid) = event.kid.as_deref() else { return };
        let kid = self.0.kids.label("kid", kid);
        match event.issuer.as_deref() {
            Some(issuer) => self.0.key_uses.add(1, &[kid, decision, self.0.issuers.label("issuer", issuer)]),
            None => self.0.key_uses.add(1, &[kid, decision]),
        }
    }

    fn measure_life(&self, event: &AuditEvent<'_>, service: &KeyValue) {
        let known = event.unrecorded;
        let Some(expires_at) = known.expires_at else { return };
        let left = span(event.time, Timestamp::from_unix(expires_at));
        self.0.remaining.record(left, std::slice::from_ref(service));
        let Some(issued_at) = known.issued_at else { return };
        let life = span(Timestamp::from_unix(issued_at), Timestamp::from_unix(expires_at));
        if life > 0.0 {
            self.0.remaining_ratio.record((left / life).min(1.0), std::slice::from_ref(service));
        }
    }
}

const HANDLER: &str = "code.function.name";
const CODE: &str = "code";

fn decision(decision: Decision) -> KeyValue {
    KeyValue::new("decision", decision.as_str())
}

/// Zero where the end comes first: a token that lives by its leeway has nothing left.
fn span(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).unwrap_or_default().as_secs_f64()
}

impl AuditSink for MetricsAudit {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        self.count(event);
        Ok(())
    }
}

impl std::fmt::Debug for MetricsAudit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsAudit").finish_non_exhaustive()
    }
}
