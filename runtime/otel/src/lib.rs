//! Metrics and traces of `service-only` by OpenTelemetry.
//!
//! [`Metrics`] counts decisions, and reads keys, tokens and the audit when a collection asks. [`TracesAudit`] makes
//! a span of each decision. Both are audit sinks beside the one that writes: they never fail, and they decide
//! nothing.

mod metrics;
mod traces;

pub use self::{
    metrics::{DEFAULT_METRIC_NAMES, MAX_METRIC_SERIES, Metrics, MetricsAudit},
    traces::TracesAudit,
};
