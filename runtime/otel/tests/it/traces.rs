//! A span for each decision: in the right trace, with the rule that decided, and with nothing of the token.

use axum::{Router, routing::get};
use opentelemetry::{
    SpanId, TraceId,
    trace::{SpanContext, Status, TraceContextExt, TraceFlags, TraceState, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use service_only::{Verifier, audit::NoAudit, revocation::RevocationStore, service_only};
use service_only_otel::TracesAudit;
use service_only_testkit::{TestAuthority, call};

#[service_only(services("shop"))]
async fn stock() -> &'static str {
    "7\n"
}

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;

struct World {
    authority: TestAuthority,
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
}

impl World {
    fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_simple_exporter(exporter.clone())
            .build();
        Self { authority: TestAuthority::new(), exporter, provider }
    }

    fn verifier(&self) -> Verifier {
        let audit = (NoAudit, TracesAudit::new(self.provider.tracer("test")));
        self.authority.verifier_builder().audit(audit).build().unwrap()
    }

    fn router(&self) -> Router {
        Router::new().route("/stock", get(stock)).with_state(self.verifier())
    }

    fn only(&self) -> SpanData {
        let spans = self.exporter.get_finished_spans().unwrap();
        self.exporter.reset();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.into_iter().next().unwrap()
    }

    async fn ask(&self, token: &str, traceparent: Option<&str>) -> SpanData {
        let app = call(self.router());
        let request = app.get("/stock").bearer(token);
        match traceparent {
            Some(value) => request.header("traceparent", value).await,
            None => request.await,
        };
        self.only()
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|own| own.key.as_str() == key).map(|own| own.value.to_string())
}

#[tokio::test]
async fn span_of_a_decision_names_the_handler_and_nothing_of_the_token() {
    let world = World::new();
    let shop = world.authority.service("shop").role("clerk").scope("stock:read").token();
    let allowed = world.ask(shop.as_str(), None).await;
    assert_eq!(attribute(&allowed, "service_only.decision").unwrap(), "allow");
    assert_eq!(attribute(&allowed, "code.function.name").unwrap(), "it::traces::stock");
    assert_eq!(attribute(&allowed, "service_only.code"), None);

    let orders = world.authority.service("orders").token();
    let refused = world.ask(orders.as_str(), None).await;
    assert_eq!(attribute(&refused, "service_only.decision").unwrap(), "deny");
    assert_eq!(attribute(&refused, "service_only.code").unwrap(), "service_not_allowed");
    assert_eq!(attribute(&refused, "service_only.stage").unwrap(), "policy");
    assert_eq!(refused.status, Status::Unset);

    let of_tokens = [&shop, &orders].map(|token| token.claims());
    for span in [allowed, refused] {
        let said = span.attributes.iter().map(|own| own.value.to_string()).collect::<Vec<_>>();
        for claims in &of_tokens {
            for claim in claims.as_object().unwrap().values().filter_map(|claim| claim.as_str()) {
                assert!(!said.iter().any(|said| said == claim), "{claim} in {said:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_span_belongs_to_the_trace_of_the_request() {
    let world = World::new();
    let shop = world.authority.service("shop").token();
    let header = format!("00-{TRACE:032x}-{SPAN:016x}-01");
    let span = world.ask(shop.as_str(), Some(&header)).await;
    assert_eq!(span.span_context.trace_id(), TraceId::from_bytes(TRACE.to_be_bytes()));
    assert_eq!(
        (span.parent_span_id, span.parent_span_is_remote),
        (SpanId::from_bytes(SPAN.to_be_bytes()), true)
    );

    for broken in ["00-0-0-01", &header[1..], &format!("00-{TRACE:032x}-{:016x}-01", 0)] {
        let span = world.ask(shop.as_str(), Some(broken)).await;
        assert_eq!(span.parent_span_id, SpanId::INVALID, "{broken}");
        assert_ne!(span.span_context.trace_id(), TraceId::from_bytes(TRACE.to_be_bytes()), "{broken}");
    }
}

#[tokio::test]
async fn parent_based_sampler_drops_the_span_of_an_unsampled_trace() {
    let world = World::new();
    let shop = world.authority.service("shop").token();
    let header = format!("00-{TRACE:032x}-{SPAN:016x}-00");
    call(world.router()).get("/stock").bearer(shop.as_str()).header("traceparent", header.as_str()).await;
    assert_eq!(world.exporter.get_finished_spans().unwrap().len(), 0);
}

#[tokio::test]
async fn an_active_span_takes_precedence_over_the_header_as_parent() {
    let world = World::new();
    let shop = world.authority.service("shop").token();
    let tracer = world.provider.tracer("test");
    let (trace, id) = (TraceId::from_bytes([7; 16]), SpanId::from_bytes([7; 8]));
    let context = SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE);
    let active = opentelemetry::Context::new().with_remote_span_context(context);
    let server = tracer.start_with_context("GET /stock", &active);
    let active = active.with_span(server);
    let verifier = world.verifier();
    {
        let _guard = active.clone().attach();
        verifier.verify(shop.as_str()).unwrap();
    }
    let span = world.only();
    assert_eq!(span.parent_span_id, active.span().span_context().span_id());
    assert_eq!(span.span_context.trace_id(), trace);
}

struct Down;

impl RevocationStore for Down {
    fn status(
        &self,
        _: &service_only::revocation::PresentedToken<'_>,
    ) -> Result<service_only::revocation::RevocationStatus, service_only::revocation::RevocationOutage> {
        Err(service_only::revocation::RevocationOutage::new("down"))
    }
}

#[test]
fn failed_check_is_an_error_span_and_a_refusal_is_not() {
    let world = World::new();
    let audit = TracesAudit::new(world.provider.tracer("test"));
    let verifier = world.authority.verifier_builder().audit(audit).revocation(Down).build().unwrap();
    verifier.verify(world.authority.service("shop").token().as_str()).unwrap_err();
    assert_eq!(world.only().status, Status::error("revocation_unavailable"));
    verifier.verify("garbage").unwrap_err();
    assert_eq!(world.only().status, Status::Unset);
}
