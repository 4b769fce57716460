//! Exposes decisions as OpenTelemetry spans.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Span, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer},
};
use service_only::{
    audit::{AuditError, AuditEvent, AuditSink},
    clock::Timestamp,
};

/// Creates a span for each decision: the decision, its rule and its duration, and nothing from the token. Use
/// it beside a sink that writes: `.audit((log, TracesAudit::new(tracer)))`. It never fails.
///
/// The parent is the active span of the request's thread, as `tracing-opentelemetry` creates it. Without one,
/// the parent is the span that the request's `traceparent` names. The program's sampler decides whether a
/// trace is kept. A parent-based sampler allows a stranger's `traceparent` to decide. The example `metrics`
/// creates a span for each request with `tracing-opentelemetry`, nests these spans in it, and exports all by
/// OTLP.
///
/// ```
/// use opentelemetry::trace::TracerProvider;
/// # use opentelemetry::trace::noop::NoopTracerProvider;
/// use service_only::JsonLinesAudit;
/// use service_only_otel::TracesAudit;
/// # fn main() -> std::io::Result<()> {
/// # let provider = NoopTracerProvider::new();
///
/// let log = JsonLinesAudit::to_writer(std::io::stdout())?;
/// let audit = (log, TracesAudit::new(provider.tracer("orders")));
/// # let _ = audit;
/// # Ok(()) }
/// ```
pub struct TracesAudit<T>(T);

/// The name of the spans.
const NAME: &str = "service_only authorize";

impl<T: Tracer> TracesAudit<T> {
    /// Creates spans with this tracer.
    pub fn new(tracer: T) -> Self {
        Self(tracer)
    }
}

impl<T: Tracer + Send + Sync + 'static> AuditSink for TracesAudit<T> {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        let span = self.0.span_builder(NAME).with_kind(SpanKind::Internal);
        let span = span.with_start_time(system(event.time())).with_attributes(decision(event));
        let mut span = span.start_with_context(&self.0, &parent(event));
        if !span.is_recording() {
            return Ok(());
        }
        span.set_attributes(details(event));
        // A refused caller is not an error of this service; a check that cannot be made is one.
        if event.status() >= 500 {
            let code = event.code().map_or("", |code| code.as_str());
            span.set_status(Status::error(code));
        }
        span.end_with_timestamp(system(event.time().plus(event.duration())));
        Ok(())
    }
}

/// The attributes for a sampler, for example for one that keeps refusals.
fn decision(event: &AuditEvent<'_>) -> impl Iterator<Item = KeyValue> + use<> {
    let decision = KeyValue::new("service_only.decision", event.decision().as_str());
    let code = event.code().map(|code| KeyValue::new("service_only.code", code.as_str()));
    let stage = event.stage().map(|stage| KeyValue::new("service_only.stage", stage.as_str()));
    std::iter::once(decision).chain(code).chain(stage)
}

fn details(event: &AuditEvent<'_>) -> impl Iterator<Item = KeyValue> + use<> {
    let handler = event.endpoint().map(|handler| KeyValue::new("code.function.name", handler.to_string()));
    // Links the trace to the audit record, which names the caller.
    let record = KeyValue::new("service_only.audit.id", event.id().to_string());
    handler.into_iter().chain([record])
}

fn parent(event: &AuditEvent<'_>) -> Context {
    let current = Context::current();
    match remote(event) {
        Some(remote) if !current.has_active_span() => current.with_remote_span_context(remote),
        _ => current,
    }
}

/// The span that the request's `traceparent` names.
fn remote(event: &AuditEvent<'_>) -> Option<SpanContext> {
    let trace = TraceId::from_hex(event.trace_id()?).ok()?;
    let span = event.parent_span()?;
    let flags = if span.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let id = SpanId::from_bytes(span.id.to_be_bytes());
    Some(SpanContext::new(trace, id, flags, true, TraceState::NONE))
}

fn system(at: Timestamp) -> SystemTime {
    let since = at.since(Timestamp::from_unix(0)).unwrap_or(Duration::ZERO);
    // If the time overflows, the clock is broken: the span starts at the epoch.
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

impl<T> fmt::Debug for TracesAudit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracesAudit").finish_non_exhaustive()
    }
}
