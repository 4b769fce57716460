//! Nothing that was counted is lost on its way to whoever collects: of threads that run and that ended, by
//! several readers, at shutdown.

use std::{sync::Barrier, thread};

use super::*;

const ALLOWED: &str = "{caller.service=shop,code.function.name=(none),decision=allow}";
const ATTEMPTS: &str = "service_only.attempts";
const DURATION: &str = "service_only.verification.duration.count";
const LIFE: &str = "service_only.token.remaining_life.count";

#[test]
fn parallel_counts_are_complete_while_other_threads_collect() {
    let world = World::new();
    let verifier = world.verifier();
    let token = world.authority.service("shop").token();
    let start = Barrier::new(5);
    let mut seen = 0.0;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                start.wait();
                (0..500).for_each(|_| drop(verifier.verify(&token).unwrap()));
            });
        }
        start.wait();
        for _ in 0..20 {
            let now = world.collect().get(&format!("{ATTEMPTS}{ALLOWED}")).copied().unwrap_or_default();
            assert!(now >= seen, "{now} after {seen}");
            seen = now;
        }
    });
    // The threads have ended, and what they counted has not.
    let all = world.collect();
    assert_eq!(all[&format!("{ATTEMPTS}{ALLOWED}")], 2_000.0);
    assert_eq!(of(&all, DURATION), [("{decision=allow}", 2_000.0)]);
    assert_eq!(of(&all, LIFE), [("{caller.service=shop}", 2_000.0)]);
    let uses: Vec<_> = of(&all, "service_only.key.uses").into_iter().map(|(_, count)| count).collect();
    assert_eq!(uses, [2_000.0]);
}

#[test]
fn each_cumulative_reader_gets_all_counts_at_every_collection() {
    let authority = TestAuthority::new();
    let exporters = [InMemoryMetricExporter::default(), InMemoryMetricExporter::default()];
    let mut provider = SdkMeterProvider::builder();
    for exporter in &exporters {
        provider = provider.with_reader(PeriodicReader::builder(exporter.clone()).build());
    }
    let provider = provider.build();
    let metrics = Metrics::new(&provider.meter("test"));
    let verifier = authority.verifier_builder().audit(metrics.audit()).build().unwrap();
    for calls in 1..4 {
        verifier.verify(&authority.service("shop").token()).unwrap();
        provider.force_flush().unwrap();
        for exporter in &exporters {
            let all = series(exporter.get_finished_metrics().unwrap().last().unwrap());
            assert_eq!(all[&format!("{ATTEMPTS}{ALLOWED}")], f64::from(calls));
            assert_eq!(of(&all, DURATION), [("{decision=allow}", f64::from(calls))]);
        }
    }
}

#[test]
fn a_shutdown_sends_what_was_counted_last() {
    let world = World::new();
    world.verifier().verify(&world.authority.service("shop").token()).unwrap();
    world.provider.shutdown().unwrap();
    let all = world.exporter.get_finished_metrics().unwrap().last().map(series).unwrap();
    assert_eq!(all[&format!("{ATTEMPTS}{ALLOWED}")], 1.0);
    assert_eq!(of(&all, LIFE), [("{caller.service=shop}", 1.0)]);
}

/// An exporter may ask for what happened since it asked last.
#[test]
fn a_delta_reader_gets_differences() {
    let authority = TestAuthority::new();
    let exporter = opentelemetry_sdk::metrics::InMemoryMetricExporterBuilder::new()
        .with_temporality(opentelemetry_sdk::metrics::Temporality::Delta)
        .build();
    let reader = PeriodicReader::builder(exporter.clone()).build();
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let metrics = Metrics::new(&provider.meter("test"));
    let verifier = authority.verifier_builder().audit(metrics.audit()).build().unwrap();
    for calls in [1, 3, 0, 2] {
        (0..calls).for_each(|_| drop(verifier.verify(&authority.service("shop").token()).unwrap()));
        exporter.reset();
        provider.force_flush().unwrap();
        let all = series(exporter.get_finished_metrics().unwrap().last().unwrap());
        assert_eq!(all[&format!("{ATTEMPTS}{ALLOWED}")], f64::from(calls));
        assert_eq!(of(&all, DURATION).iter().map(|(_, count)| *count).sum::<f64>(), f64::from(calls));
    }
}

/// Whatever the SDK would do with one too many.
#[test]
fn attempts_beyond_the_limit_of_series_are_one_sum() {
    let many = service_only_otel::Metrics::MAX_SERIES + 50;
    let world = World::with_names(many);
    let verifier = world.verifier();
    for number in 0..many {
        verifier.verify(&world.authority.service(format!("service-{number}")).token()).unwrap();
    }
    let all = world.collect();
    let attempts = of(&all, ATTEMPTS);
    assert_eq!(attempts.len(), service_only_otel::Metrics::MAX_SERIES);
    assert_eq!(attempts.iter().map(|(_, count)| *count).sum::<f64>(), many as f64);
    assert!(attempts.iter().any(|(labels, count)| *labels == "{otel.metric.overflow=true}" && *count > 50.0));
}
