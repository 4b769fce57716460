//! Metrics and traces of `service-only` by OpenTelemetry.
//!
//! [`Metrics`] counts decisions, and reads keys, tokens and the audit when a collection asks. [`TracesAudit`] makes
//! a span of each decision. Both are audit sinks beside the one that writes: they never fail, and they decide
//! nothing.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `client` | the remaining lifetime of the token that this program sends |
//! | `remote` | the age and the failures of keys that are fetched |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod metrics;
mod traces;

pub use self::{
    metrics::{DEFAULT_METRIC_NAMES, MAX_METRIC_SERIES, Metrics, MetricsAudit},
    traces::TracesAudit,
};
