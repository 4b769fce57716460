//! Metrics and traces of `service-only` by OpenTelemetry.
//!
//! [`Metrics`] counts decisions, and reads keys, tokens and the audit log at each collection. [`TracesAudit`]
//! creates a span for each decision. Use both as audit sinks beside the one that writes: they never fail, and
//! they make no decision.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `client` | the remaining lifetime of the token that this program sends |
//! | `remote` | the age and the failures of keys that are fetched |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]

mod metrics;
mod traces;

pub use self::{
    metrics::{Metrics, MetricsAudit},
    traces::TracesAudit,
};
