//! A collector that takes OTLP over HTTP, as far as this needs one.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, routing::post};

use super::*;

type Got = Arc<Mutex<Vec<(&'static str, Vec<u8>)>>>;

async fn listen(got: Got) -> String {
    let take = |what: &'static str| {
        post(move |State(got): State<Got>, body: Bytes| async move {
            got.lock().unwrap().push((what, body.to_vec()));
        })
    };
    let app = Router::new().route("/v1/metrics", take("metrics")).route("/v1/traces", take("traces"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app.with_state(got)).await });
    format!("http://{address}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_metrics_and_the_span_in_the_trace_of_the_request() {
    let got = Got::default();
    let collector = listen(Arc::clone(&got)).await;
    let telemetry = tokio::task::spawn_blocking(move || Telemetry::new(Some(&collector)).unwrap());
    let world = World::with(telemetry.await.unwrap());
    let token = world.authority.service("shop").scope("stock:read").token();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    world.stock.get("/stock").bearer(&token).header("traceparent", traceparent).await;
    let telemetry = world.telemetry.clone();
    tokio::task::spawn_blocking(move || telemetry.shutdown().unwrap()).await.unwrap();

    let got = got.lock().unwrap();
    let sent = |what: &str, text: &[u8]| {
        let of = got.iter().filter(|(kind, _)| *kind == what);
        of.clone().any(|(_, body)| body.windows(text.len()).any(|window| window == text))
    };
    assert!(sent("metrics", b"service_only.attempts") && sent("metrics", b"service_only.key.uses"));
    assert!(sent("traces", b"service_only authorize"));
    let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes();
    assert!(sent("traces", &trace) && sent("traces", &0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()));
    // Nobody gets a piece of the token.
    for part in token.as_str().split('.') {
        assert!(!sent("traces", part.as_bytes()) && !sent("metrics", part.as_bytes()));
    }
}
