//! The OpenTelemetry of a program in one call: metrics for Prometheus, and metrics and traces by OTLP if a collector is
//! named.

use std::{error::Error, fmt, sync::Arc};

use opentelemetry::{metrics::MeterProvider, trace::TracerProvider};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    metrics::SdkMeterProvider,
    trace::{SdkTracer, SdkTracerProvider},
};
use prometheus::{Registry, TextEncoder};
use reqwest::blocking::Client;
use service_only::audit::AuditSink;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::{Metrics, TracesAudit};

/// The name under which the instruments are registered.
const SCOPE: &str = "service-only";

/// The variable of OpenTelemetry that names a collector.
const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The OpenTelemetry of a program that has none yet: instruments, spans, a text for Prometheus, and OTLP to a collector.
/// Cheap to clone; all clones share one state.
///
/// If your program has its own SDK, use [`Metrics`] and [`TracesAudit`] with it instead.
///
/// ```no_run
/// # async fn start(keys: service_only::KeySet) -> Result<(), Box<dyn std::error::Error>> {
/// use service_only::{JsonLinesAudit, Verifier};
/// use service_only_otel::Telemetry;
///
/// let telemetry = Telemetry::from_env()?;
/// let log = JsonLinesAudit::to_writer(std::io::stdout())?;
/// telemetry.metrics().watch_audit(&log);
/// let verifier = Verifier::builder()
///     .issuer("bakery-auth")
///     .keys(keys)
///     .audit((log, telemetry.audit()))
///     .build()?;
/// telemetry.metrics().watch_verifier(&verifier);
/// // A handler for Prometheus returns this, on a separate port:
/// let text = telemetry.scrape()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Telemetry(Arc<Providers>);

struct Providers {
    registry: Registry,
    metrics: Metrics,
    meters: SdkMeterProvider,
    tracers: SdkTracerProvider,
}

impl Telemetry {
    /// Starts the providers. They also send by OTLP if `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector.
    ///
    /// # Errors
    /// When an exporter cannot be built.
    pub fn from_env() -> Result<Self, TelemetryError> {
        Self::new(std::env::var(COLLECTOR).ok().filter(|base| !base.is_empty()).as_deref())
    }

    /// Starts the providers. `collector` is the base of an OTLP endpoint, such as `http://collector:4318`. OpenTelemetry's
    /// own variables set the rest, such as headers, the service's name and the sampler.
    ///
    /// # Errors
    /// When an exporter cannot be built.
    pub fn new(collector: Option<&str>) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        // Otherwise each series would have the scope's name, which is the same for all.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()
            .map_err(TelemetryError::of)?;
        let mut meters = SdkMeterProvider::builder().with_reader(exporter);
        let mut tracers = SdkTracerProvider::builder();
        if let Some(base) = collector {
            let base = base.trim_end_matches('/');
            let client = client()?;
            let metrics = MetricExporter::builder().with_http().with_endpoint(format!("{base}/v1/metrics"));
            let metrics = metrics.with_http_client(client.clone()).build().map_err(TelemetryError::of)?;
            let spans = SpanExporter::builder().with_http().with_endpoint(format!("{base}/v1/traces"));
            let spans = spans.with_http_client(client).build().map_err(TelemetryError::of)?;
            meters = meters.with_periodic_exporter(metrics);
            tracers = tracers.with_batch_exporter(spans);
        }
        let (meters, tracers) = (meters.build(), tracers.build());
        let metrics = Metrics::new(&meters.meter(SCOPE));
        Ok(Self(Arc::new(Providers { registry, metrics, meters, tracers })))
    }

    /// The instruments. Let them watch the verifier, its keys and its log.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The sink of a verifier that counts each decision and creates its span. Put it beside the sink that writes the record.
    pub fn audit(&self) -> impl AuditSink + use<> {
        (self.0.metrics.audit(), TracesAudit::new(self.tracer()))
    }

    /// Converts spans of `tracing` to OpenTelemetry spans, and writes events to standard error. Install it with `init()` of
    /// `tracing_subscriber::util::SubscriberInitExt`.
    pub fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        let spans = tracing_opentelemetry::layer().with_tracer(self.tracer());
        let events = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        // Exporters also emit events about themselves, which must not be exported.
        tracing_subscriber::registry()
            .with(spans.with_filter(LevelFilter::INFO))
            .with(events.with_filter(LevelFilter::INFO))
    }

    /// All current metrics, in Prometheus' text format.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub fn scrape(&self) -> Result<String, TelemetryError> {
        TextEncoder::new().encode_to_string(&self.0.registry.gather()).map_err(TelemetryError::of)
    }

    /// Sends all pending data. It blocks on the network, so call it where blocking is allowed.
    ///
    /// # Errors
    /// When the data cannot be sent.
    pub fn shutdown(&self) -> Result<(), TelemetryError> {
        self.0.tracers.shutdown().map_err(TelemetryError::of)?;
        self.0.meters.shutdown().map_err(TelemetryError::of)
    }

    fn tracer(&self) -> SdkTracer {
        self.0.tracers.tracer(SCOPE)
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// Why telemetry cannot be started, scraped or sent.
#[derive(Debug)]
pub struct TelemetryError(Box<dyn Error + Send + Sync>);

impl TelemetryError {
    fn of(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "telemetry: {}", self.0)
    }
}

impl Error for TelemetryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A client that ignores `http_proxy`: a collector is in the same network. The client is built on a separate thread, because
/// building it blocks, and the caller may be asynchronous.
fn client() -> Result<Client, TelemetryError> {
    let built = std::thread::spawn(|| Client::builder().no_proxy().build()).join();
    let built = built.map_err(|_| TelemetryError::of("the thread that builds the HTTP client panicked"))?;
    built.map_err(TelemetryError::of)
}
