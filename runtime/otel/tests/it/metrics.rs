//! What a program's own SDK gets to see: what is counted, by which labels, and that no stranger makes a new
//! one.

mod collected;
mod decisions;
mod watched;

use std::collections::BTreeMap;

use axum::{Router, routing::get};
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData, ResourceMetrics},
};
use service_only::{Verifier, service_only};
use service_only_otel::Metrics;
use service_only_testkit::TestAuthority;

#[service_only(services("shop"))]
async fn stock() -> &'static str {
    "7\n"
}

struct World {
    authority: TestAuthority,
    exporter: InMemoryMetricExporter,
    provider: SdkMeterProvider,
    metrics: Metrics,
}

impl World {
    fn new() -> Self {
        Self::with_names(100)
    }

    fn with_names(names: usize) -> Self {
        let authority = TestAuthority::new();
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let metrics = Metrics::with_clock(&provider.meter("test"), names, authority.clock().clone());
        Self { authority, exporter, provider, metrics }
    }

    fn verifier(&self) -> Verifier {
        self.authority.verifier_builder().audit(self.metrics.audit()).build().unwrap()
    }

    fn router(&self) -> Router {
        Router::new().route("/stock", get(stock)).with_state(self.verifier())
    }

    /// Every series now, as `name{label=value,…}`, with its value; of a histogram its count and its sum.
    fn collect(&self) -> BTreeMap<String, f64> {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        self.exporter.get_finished_metrics().unwrap().last().map(series).unwrap_or_default()
    }
}

fn series(all: &ResourceMetrics) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let metrics = all.scope_metrics().flat_map(|scope| scope.metrics());
    for metric in metrics {
        let mut put = |part: &str, labels: &mut dyn Iterator<Item = &opentelemetry::KeyValue>, value: f64| {
            let mut labels: Vec<_> = labels.map(|label| format!("{}={}", label.key, label.value)).collect();
            labels.sort();
            found.insert(format!("{}{part}{{{}}}", metric.name(), labels.join(",")), value);
        };
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                sum.data_points().for_each(|at| put("", &mut at.attributes(), at.value() as f64));
            }
            AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
                gauge.data_points().for_each(|at| put("", &mut at.attributes(), at.value() as f64));
            }
            AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
                gauge.data_points().for_each(|at| put("", &mut at.attributes(), at.value()));
            }
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                for at in histogram.data_points() {
                    put(".count", &mut at.attributes(), at.count() as f64);
                    put(".sum", &mut at.attributes(), at.sum());
                }
            }
            other => panic!("{}: {other:?}", metric.name()),
        }
    }
    found
}

/// The series of one instrument, without its name.
fn of<'s>(all: &'s BTreeMap<String, f64>, name: &str) -> Vec<(&'s str, f64)> {
    let named = all.iter().filter_map(|(series, value)| Some((series.strip_prefix(name)?, *value)));
    named.filter(|(labels, _)| labels.starts_with('{')).collect()
}
