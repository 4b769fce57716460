//! The program's own OpenTelemetry setup: metrics that Prometheus scrapes, and both metrics and traces by
//! OTLP if a collector is named.

use std::sync::Arc;

use opentelemetry::{
    metrics::{Meter, MeterProvider},
    trace::TracerProvider,
};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    metrics::SdkMeterProvider,
    trace::{SdkTracer, SdkTracerProvider},
};
use prometheus::{Registry, TextEncoder};
use reqwest::blocking::Client;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::layer::{Layer, SubscriberExt};

/// The name under which the instruments are registered.
const SCOPE: &str = "service-only";

/// The OpenTelemetry providers. Cheap to clone; all clones share one state.
#[derive(Clone)]
pub(crate) struct Telemetry(Arc<Providers>);

struct Providers {
    registry: Registry,
    meters: SdkMeterProvider,
    tracers: SdkTracerProvider,
}

impl Telemetry {
    /// `collector` is the base of an OTLP endpoint, such as `http://collector:4318`. OpenTelemetry's own
    /// variables set the rest, such as headers, the service's name and the sampler.
    pub(crate) fn new(collector: Option<&str>) -> anyhow::Result<Self> {
        let registry = Registry::new();
        // Otherwise each series would have the scope's name, which is the same for all.
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()?;
        let mut meters = SdkMeterProvider::builder().with_reader(exporter);
        let mut tracers = SdkTracerProvider::builder();
        if let Some(base) = collector {
            let base = base.trim_end_matches('/');
            let client = client()?;
            let metrics = MetricExporter::builder().with_http().with_endpoint(format!("{base}/v1/metrics"));
            let spans = SpanExporter::builder().with_http().with_endpoint(format!("{base}/v1/traces"));
            meters = meters.with_periodic_exporter(metrics.with_http_client(client.clone()).build()?);
            tracers = tracers.with_batch_exporter(spans.with_http_client(client).build()?);
        }
        Ok(Self(Arc::new(Providers { registry, meters: meters.build(), tracers: tracers.build() })))
    }

    pub(crate) fn meter(&self) -> Meter {
        self.0.meters.meter(SCOPE)
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.0.tracers.tracer(SCOPE)
    }

    /// Converts spans of `tracing` to OpenTelemetry spans, and writes events to standard error.
    pub(crate) fn subscriber(&self) -> impl Subscriber + Send + Sync + use<> {
        let spans = tracing_opentelemetry::layer().with_tracer(self.tracer());
        let events = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        // Exporters also emit events about themselves, which must not be exported.
        tracing_subscriber::registry()
            .with(spans.with_filter(LevelFilter::INFO))
            .with(events.with_filter(LevelFilter::INFO))
    }

    /// All current metrics, in Prometheus' text format.
    pub(crate) fn scrape(&self) -> anyhow::Result<String> {
        Ok(TextEncoder::new().encode_to_string(&self.0.registry.gather())?)
    }

    /// Sends all pending data. Blocks on the network.
    pub(crate) fn shutdown(&self) -> anyhow::Result<()> {
        self.0.tracers.shutdown()?;
        Ok(self.0.meters.shutdown()?)
    }
}

/// A client that ignores `http_proxy`: here the collector is in the same network. If you reach yours through
/// a proxy, name it here. The client is built on a separate thread, because building it blocks and the caller
/// may be asynchronous.
fn client() -> anyhow::Result<Client> {
    let built = std::thread::spawn(|| Client::builder().no_proxy().build());
    Ok(built.join().map_err(|_| anyhow::anyhow!("the thread that builds the HTTP client panicked"))??)
}
