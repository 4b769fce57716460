//! A collector that accepts OTLP over HTTP, as far as the tests need it.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span};
use prost::Message;
use tracing::instrument::WithSubscriber;

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

/// What the collector received from one request.
struct Sent(Vec<(&'static str, Vec<u8>)>);

impl Sent {
    /// Sends a token, in the trace of `traceparent`, and shuts the program down.
    async fn of(token: &str, world: World, traceparent: &str, got: Got) -> Self {
        let ask = async {
            world.stock.get("/stock").bearer(token).header("traceparent", traceparent).await;
        };
        ask.with_subscriber(world.telemetry.subscriber()).await;
        tokio::task::spawn_blocking(move || world.telemetry.shutdown().unwrap()).await.unwrap();
        Self(std::mem::take(&mut *got.lock().unwrap()))
    }

    fn has(&self, what: &str, text: &[u8]) -> bool {
        let mut of = self.0.iter().filter(|(kind, _)| *kind == what);
        of.any(|(_, body)| body.windows(text.len()).any(|window| window == text))
    }

    fn spans(&self) -> Vec<Span> {
        let of = self.0.iter().filter(|(kind, _)| *kind == "traces");
        let decoded = of.map(|(_, body)| ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
        let scopes = decoded.flat_map(|sent| sent.resource_spans).flat_map(|of| of.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    fn span(&self, name: &str) -> Span {
        let spans = self.spans();
        spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name} in {spans:#?}")).clone()
    }
}

async fn world(got: &Got) -> World {
    let collector = listen(Arc::clone(got)).await;
    let telemetry = tokio::task::spawn_blocking(move || Telemetry::new(Some(&collector)).unwrap());
    World::with(telemetry.await.unwrap())
}

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const CALLER: u64 = 0x00f0_67aa_0ba9_02b7;

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_metrics_and_spans_in_the_trace_of_the_request() {
    let got = Got::default();
    let world = world(&got).await;
    let token = world.authority.service("shop").scope("stock:read").token();
    let traceparent = format!("00-{TRACE:032x}-{CALLER:016x}-01");
    let sent = Sent::of(token.as_str(), world, &traceparent, got).await;
    assert!(sent.has("metrics", b"service_only.attempts") && sent.has("metrics", b"service_only.key.uses"));

    let request = sent.span("GET /stock");
    assert_eq!(request.trace_id, TRACE.to_be_bytes());
    assert_eq!(request.parent_span_id, CALLER.to_be_bytes());
    for name in ["service_only authorize", "count the shelves"] {
        let span = sent.span(name);
        assert_eq!((&span.trace_id, &span.parent_span_id), (&request.trace_id, &request.span_id), "{name}");
    }
    // No export may contain any part of the token.
    for part in token.as_str().split('.') {
        assert!(!sent.has("traces", part.as_bytes()) && !sent.has("metrics", part.as_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_of_an_unauthenticated_request_has_the_decision_and_not_the_handler() {
    let got = Got::default();
    let world = world(&got).await;
    let traceparent = format!("00-{TRACE:032x}-{CALLER:016x}-01");
    let sent = Sent::of("garbage", world, &traceparent, got).await;
    let (request, decision) = (sent.span("GET /stock"), sent.span("service_only authorize"));
    assert_eq!(decision.parent_span_id, request.span_id);
    assert!(decision.attributes.iter().any(|own| own.key == "service_only.code"));
    assert_eq!(sent.spans().len(), 2);
}
