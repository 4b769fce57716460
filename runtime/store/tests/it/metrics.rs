//! What the metrics see of the revocations of a database.

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};
use service_only_otel::Metrics;
use service_only_store::{NewRevocation, SqlRevocations, Store};
use service_only_testkit::TestAuthority;

/// The values of `service_only.revocations` now.
fn collect(provider: &SdkMeterProvider, exporter: &InMemoryMetricExporter) -> Vec<u64> {
    exporter.reset();
    provider.force_flush().unwrap();
    let collected = exporter.get_finished_metrics().unwrap();
    let metrics = collected.iter().flat_map(|all| all.scope_metrics()).flat_map(|scope| scope.metrics());
    metrics
        .filter(|metric| metric.name() == "service_only.revocations")
        .flat_map(|metric| match metric.data() {
            AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
                gauge.data_points().map(|at| at.value()).collect::<Vec<_>>()
            }
            other => panic!("not a gauge: {other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn revocations_of_a_database_are_counted_while_a_verifier_has_them_and_not_kept_for_that() {
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let metrics = Metrics::new(&provider.meter("test"));
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("tokens.db").display());
    let store = Store::create(&url).await.unwrap();
    store.revoke(&NewRevocation::key("bakery-auth", "old")).await.unwrap();
    let revocations = SqlRevocations::of(&url).start().unwrap();
    revocations.loaded().await;
    metrics.watch_revocations(revocations.len_while_used());
    let verifier = TestAuthority::new().verifier_builder().revocation(revocations).build().unwrap();
    assert_eq!(collect(&provider, &exporter), [1]);
    drop(verifier);
    assert!(collect(&provider, &exporter).is_empty());
}
