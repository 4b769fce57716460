//! Metrics and traces of `service-only` by OpenTelemetry.
//!
//! [`Metrics`] counts decisions, and reads keys, tokens and the audit log at each collection. [`TracesAudit`]
//! creates a span for each decision. Add both as audit sinks next to the sink that writes the records. They never
//! fail, and they do not affect decisions.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `client` | the remaining lifetime of the token that this program sends |
//! | `remote` | the age and the failures of keys that are fetched |
//! | `tls` | the expiry, the revision and the errors of the certificate of this service |
//! | `telemetry` | [`Telemetry`]: the SDK, Prometheus and OTLP of a program in one call |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]

mod metrics;
#[cfg(feature = "telemetry")]
mod telemetry;
mod traces;

#[cfg(feature = "telemetry")]
pub use self::telemetry::{Telemetry, TelemetryError};
pub use self::{
    metrics::{Metrics, MetricsAudit},
    traces::TracesAudit,
};
