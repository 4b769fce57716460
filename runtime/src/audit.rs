//! The audit: one record per attempt, admitted or refused, and the sinks that receive the records.

#![doc = include_str!("audit/guarantees.md")]

mod event;
mod json_lines;
mod needs_no_escape;
mod record;
mod tracing;

use std::{
    any::Any,
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

#[doc(hidden)]
pub use self::json_lines::LogObserver;
pub use self::{
    event::AuditEvent,
    json_lines::{JsonLinesAudit, JsonLinesBuilder, WhenFull},
    record::{AuditRecord, Decision},
    tracing::TracingAudit,
};
pub(crate) use self::{
    event::{Line, MAX_PATH, RequestContext, Subject, logged},
    needs_no_escape::needs_no_escape,
};
use crate::denial::quoted;
pub use crate::trace_context::ParentSpan;

/// Receives the record of every attempt.
///
/// `record` is called on the request's thread: it must not block on a disk or a network. A refusal is recorded
/// immediately. An admitted caller is recorded when its handler ends, or before it runs, see
/// [`VerifierBuilder::require_audit`](crate::verifier::VerifierBuilder::require_audit).
///
/// You can combine several sinks into one: a pair `(A, B)`, or a `Vec` of boxed sinks. If you write a sink that
/// forwards records to others, forward `ready`, `is_required` and `is_off` too, as a pair does.
pub trait AuditSink: Send + Sync + 'static {
    /// Receives one record.
    ///
    /// # Errors
    /// When the record is lost. The verifier logs the error. If it is configured to
    /// [require the audit](crate::verifier::VerifierBuilder::require_audit), it refuses the caller.
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError>;

    /// Whether a record would be kept now. If the audit is
    /// [required](crate::verifier::VerifierBuilder::require_audit), the verifier calls it before it admits a
    /// caller. So a sink that writes later can report that it could not write earlier records.
    ///
    /// # Errors
    /// When records are being lost.
    fn ready(&self) -> Result<(), AuditError> {
        Ok(())
    }

    /// Whether a caller whose record is lost is refused, even if the verifier is not configured to
    /// [require the audit](crate::verifier::VerifierBuilder::require_audit). The record is then written before the
    /// handler runs. It is called for every decision.
    fn is_required(&self) -> bool {
        false
    }

    /// Whether no record is wanted, so that none is created. It is called for every decision.
    fn is_off(&self) -> bool {
        false
    }
}

macro_rules! sink_behind {
    ($($pointer:ident),*) => { $(
        impl<A: AuditSink + ?Sized> AuditSink for $pointer<A> {
            fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
                (**self).record(event)
            }

            fn ready(&self) -> Result<(), AuditError> {
                (**self).ready()
            }

            fn is_required(&self) -> bool {
                (**self).is_required()
            }

            fn is_off(&self) -> bool {
                (**self).is_off()
            }
        }
    )* };
}

sink_behind!(Arc, Box);

/// An optional sink, for example from a configuration; `None` behaves like [`NoAudit`].
impl<A: AuditSink> AuditSink for Option<A> {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        self.as_ref().map_or(Ok(()), |sink| sink.record(event))
    }

    fn ready(&self) -> Result<(), AuditError> {
        self.as_ref().map_or(Ok(()), AuditSink::ready)
    }

    fn is_required(&self) -> bool {
        self.as_ref().is_some_and(AuditSink::is_required)
    }

    fn is_off(&self) -> bool {
        self.as_ref().is_none_or(AuditSink::is_off)
    }
}

/// All sinks receive every record, as in a pair. An empty list behaves like [`NoAudit`].
impl<A: AuditSink> AuditSink for Vec<A> {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        let mut recorded = Ok(());
        for sink in self {
            recorded = both(recorded, caught(|| sink.record(event)));
            if recorded.is_err() && event.is_required() {
                break;
            }
        }
        recorded
    }

    fn ready(&self) -> Result<(), AuditError> {
        self.iter().try_for_each(AuditSink::ready)
    }

    fn is_required(&self) -> bool {
        self.iter().any(AuditSink::is_required)
    }

    fn is_off(&self) -> bool {
        self.iter().all(AuditSink::is_off)
    }
}

/// Both sinks receive every record, the second one even if the first has failed.
///
/// If the audit is required, all sinks must be [ready](AuditSink::ready) before any of them receives a record. If one
/// of them loses a record, the others receive the record of the refusal. So the last record of an id is what the
/// caller received. Put the sink first that is most likely to fail: those after it receive only the refusal.
impl<A: AuditSink, B: AuditSink> AuditSink for (A, B) {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        let first = caught(|| self.0.record(event));
        if first.is_err() && event.is_required() {
            // The caller is refused, and both sinks receive the record of the refusal.
            return first;
        }
        both(first, caught(|| self.1.record(event)))
    }

    fn ready(&self) -> Result<(), AuditError> {
        self.0.ready().and(self.1.ready())
    }

    fn is_required(&self) -> bool {
        self.0.is_required() || self.1.is_required()
    }

    fn is_off(&self) -> bool {
        self.0.is_off() && self.1.is_off()
    }
}

/// Calls a sink. A panic of the sink counts as a lost record. It may occur while the panic of a handler unwinds,
/// and a second panic would abort the process.
pub(crate) fn caught(sink: impl FnOnce() -> Result<(), AuditError>) -> Result<(), AuditError> {
    catch_unwind(AssertUnwindSafe(sink)).unwrap_or_else(|panic| {
        Err(AuditError::new(format!("the audit sink panicked: {}", panic_message(&*panic))))
    })
}

/// The text of a panic, escaped and truncated for a log.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.map_or_else(|| "(no message)".to_owned(), quoted)
}

fn both(first: Result<(), AuditError>, second: Result<(), AuditError>) -> Result<(), AuditError> {
    match (first, second) {
        // Return the error that is not logged yet.
        (Err(first), Err(second)) => Err(if first.logged { second } else { first }),
        (first, second) => first.and(second),
    }
}

/// Drops every record. Use it for tools that print the decision themselves; a service that uses it has no
/// audit.
#[derive(Debug, Copy, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "a value without fields")]
pub struct NoAudit;

impl AuditSink for NoAudit {
    fn record(&self, _event: &AuditEvent<'_>) -> Result<(), AuditError> {
        Ok(())
    }

    fn is_off(&self) -> bool {
        true
    }
}

/// The error for a lost record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditError {
    reason: String,
    logged: bool,
}

impl AuditError {
    /// Creates an error with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), logged: false }
    }

    /// Marks the loss as logged by the sink, which may log once and not for every record. The
    /// verifier then does not log it.
    #[must_use]
    pub fn logged(self) -> Self {
        Self { logged: true, ..self }
    }

    pub(crate) fn is_logged(&self) -> bool {
        self.logged
    }
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for AuditError {}

#[cfg(test)]
mod tests;
