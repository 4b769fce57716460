//! Audit records as `tracing` events of the target `service_only::audit`.

use tracing::{Level, event, event_enabled};

use super::{AuditError, AuditEvent, AuditSink, Decision};

/// Writes each record as one `tracing` event: `INFO` for an allowed caller, `WARN` for a refused
/// one. The default sink.
///
/// The program's `tracing` subscriber decides what happens to the event. Without a subscriber, or with one that
/// filters `INFO` of this target, the record of an allowed caller is lost. A verifier that requires the audit
/// refuses the caller then.
#[derive(Debug, Copy, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "a value without fields")]
pub struct TracingAudit;

/// The target of the events, for filters.
const TARGET: &str = "service_only::audit";

impl AuditSink for TracingAudit {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        // The fields are those of the JSON record. `tracing` needs the level and the names at
        // compile time, hence the macro.
        macro_rules! emit {
            ($level:expr, $message:literal) => {
                event!(
                    target: TARGET,
                    $level,
                    id = %event.id(),
                    time = %event.time(),
                    decision = event.decision().as_str(),
                    status = event.status(),
                    code = event.code().map(|code| code.as_str()),
                    stage = event.stage().map(|stage| stage.as_str()),
                    reason = event.reason(),
                    endpoint = event.endpoint().map(tracing::field::display),
                    policy_digest = event.policy_digest().map(tracing::field::display),
                    http.request.method = event.method().as_deref(),
                    http.route = event.route().as_deref(),
                    url.path = event.path().as_deref(),
                    service = event.service(),
                    user.id = event.user().as_deref(),
                    actor = event.actor().as_deref(),
                    jti = event.jti().as_deref(),
                    kid = event.kid().as_deref(),
                    issuer = event.issuer().as_deref(),
                    profile = event.profile(),
                    proof = event.proof(),
                    peer = event.peer().as_deref(),
                    client.address = event.client_address().map(tracing::field::display),
                    trace_id = event.trace_id(),
                    duration_us = event.duration_us(),
                    unverified.service = event.unverified_service(),
                    $message
                )
            };
        }
        match event.decision() {
            Decision::Allow => emit!(Level::INFO, "service call allowed"),
            Decision::Deny => emit!(Level::WARN, "service call refused"),
        }
        Ok(())
    }

    fn ready(&self) -> Result<(), AuditError> {
        if event_enabled!(target: TARGET, Level::INFO) {
            return Ok(());
        }
        Err(AuditError::new(
            "no `tracing` subscriber records the level INFO of the target `service_only::audit`",
        ))
    }
}
