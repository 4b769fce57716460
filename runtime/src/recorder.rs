//! What a decision is made with: a clock, a word on revocation, an audit sink. A verifier and the callers
//! that it verified share one, so that what is decided about a caller later is decided and recorded alike.

mod attempt;
mod event;

use std::{
    any::Any,
    borrow::Cow,
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use uuid::Uuid;

pub use self::event::Draft;
pub(crate) use self::{
    attempt::{Asked, Attempt, Attempts, KeptRequest, NoRequest},
    event::{Line, Recorded, RequestContext, Usual},
};
use self::{
    attempt::{Decision, audit_unavailable},
    event::event_id,
};
use crate::{
    audit::{AuditError, AuditSink, TracingAudit},
    clock::{Clock, SystemClock},
    denial::{Code, Denial},
    policy::Endpoint,
    rejection::Rejection,
    revocation::Revocation,
    verifier::{Known, Moment},
};

pub(crate) struct Recorder {
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) leeway: Duration,
    pub(crate) audit: Box<dyn AuditSink>,
    pub(crate) require_audit: bool,
    pub(crate) realm: String,
    pub(crate) revocation: Option<Revocation>,
}

impl Recorder {
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), leeway: self.leeway }
    }

    /// The epoch of the revocations, to be asked for before a decision.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.revocation.as_ref()?.store.epoch()
    }

    /// Runs a decision at one instant. A refusal is recorded. A caller who is accepted owns its attempt, whose
    /// record is written when the outcome is known. A sink that is off gets no record. The closure that
    /// describes the request runs only when there is something to write.
    pub(crate) fn decide<T: Recorded, A: Asked>(
        self: &Arc<Self>,
        asked: impl FnOnce() -> Attempted<A>,
        decision: impl FnOnce(Moment, &mut Known) -> Result<T, Denial>,
    ) -> Result<T, (Denial, Uuid)> {
        let (at, mut known) = (self.moment(), Known::default());
        let decided = self.decided(at, &mut known, decision);
        if self.audit.is_off() {
            return decided.map_err(|denial| (denial, event_id(at.now)));
        }
        let took = self.took(at);
        let Attempted { endpoint, request, earlier } = asked();
        let later = || Some(Box::new(request.keep()) as Box<dyn KeptRequest>).filter(|_| A::IS_REQUEST);
        let accepted = match decided {
            Ok(accepted) => accepted,
            Err(denial) => {
                let earlier = earlier.and_then(|earlier| {
                    earlier.deny(&denial, Some(Decision { known: &known, endpoint, took, request: later() }))
                });
                let id = earlier.unwrap_or_else(|| {
                    let id = event_id(at.now);
                    let request = RequestContext { endpoint, ..request.context() };
                    let times = (id, at.now, took);
                    let _ = self.record(&Draft::new(times, Some(&denial), &known, request, Line::default()));
                    id
                });
                return Err((denial, id));
            }
        };
        if let Some(earlier) = earlier
            && let Some(allowed) = earlier.allow_again(endpoint, took, later())
        {
            return match allowed {
                Ok(()) => Ok(accepted.owning(earlier)),
                Err(denial) => Err((denial, earlier.id())),
            };
        }
        let id = event_id(at.now);
        let attempt: Arc<Attempt> =
            Arc::new(Attempt::open(self, (id, at.now, took), known, endpoint, A::IS_REQUEST, request.keep()));
        if self.records_before_the_handler() {
            attempt.write_first().map_err(|denial| (denial, id))?;
        }
        Ok(accepted.owning(attempt))
    }

    /// The same for a handler that cannot refuse later. The record is written at once.
    pub(crate) fn decide_at_once<'r, T: Recorded>(
        &self,
        request: impl Fn() -> RequestContext<'r>,
        decision: impl FnOnce(Moment, &mut Known) -> Result<T, Denial>,
    ) -> Result<T, (Denial, Uuid)> {
        let (at, mut known) = (self.moment(), Known::default());
        let decided = self.decided(at, &mut known, decision);
        let id = event_id(at.now);
        if self.audit.is_off() {
            return decided.map_err(|denial| (denial, id));
        }
        let times = (id, at.now, self.took(at));
        let denial = decided.as_ref().err();
        let line = Line { is_required: denial.is_none() && self.requires_audit(), amends: false };
        let recorded = self.record(&Draft::new(times, denial, &known, request(), line));
        if line.is_required && recorded.is_err() {
            let denial = audit_unavailable();
            self.amend(&Draft::new(times, Some(&denial), &known, request(), Line::amending()));
            return Err((denial, id));
        }
        decided.map_err(|denial| (denial, id))
    }

    /// Records a refusal that needed no decision.
    pub(crate) fn refuse<'r>(
        &self,
        request: impl Fn() -> RequestContext<'r>,
        denial: Denial,
        note: impl FnOnce(&mut Known),
    ) -> (Denial, Uuid) {
        let refused = self.decide_at_once(request, |_, known| {
            note(known);
            Err::<Infallible, _>(denial)
        });
        match refused {
            Ok(never) => match never {},
            Err(refused) => refused,
        }
    }

    /// Refuses someone whose token was accepted: closes the open attempt, or records a new one.
    pub(crate) fn refuse_accepted(
        &self,
        attempt: Option<Arc<Attempt>>,
        reason: Cow<'static, str>,
        note: impl FnOnce(&mut Known),
    ) -> Rejection {
        let denial = Denial::new(Code::Refused, reason);
        let (denial, id) = match attempt.and_then(|attempt| attempt.deny(&denial, None)) {
            Some(id) => (denial, id),
            None => self.refuse(RequestContext::default, denial, note),
        };
        Rejection::new(denial, &self.realm, id)
    }

    /// By the clock that the decision was made by: one reading less, and a test that holds it still knows the
    /// answer.
    fn took(&self, at: Moment) -> Duration {
        self.clock.now().since(at.now).unwrap_or_default()
    }

    /// Decides; where the audit is required, asks whether a record would be kept before it says "allow". A key source
    /// or a revocation store that panics refuses the caller, so that the attempt has a record.
    fn decided<T: Recorded>(
        &self,
        at: Moment,
        known: &mut Known,
        decision: impl FnOnce(Moment, &mut Known) -> Result<T, Denial>,
    ) -> Result<T, Denial> {
        let decided = catch_unwind(AssertUnwindSafe(|| decision(at, known)));
        let accepted = decided.unwrap_or_else(|panic| Err(panicked(&*panic)))?;
        accepted.note(known);
        match self.requires_audit().then(|| caught(|| self.audit.ready())) {
            Some(Err(error)) => {
                tracing::error!(target: "service_only::audit", %error, "the audit is required and not ready");
                Err(audit_unavailable())
            }
            _ => Ok(accepted),
        }
    }

    /// The one place that says when "allow" is written: before the handler runs, where a caller is admitted only
    /// if its record is kept; else when the handler ends, so that the record says what became of it.
    fn records_before_the_handler(&self) -> bool {
        self.requires_audit()
    }

    fn requires_audit(&self) -> bool {
        self.require_audit || self.audit.is_required()
    }

    /// Tells the sinks that have written "allow" what became of the caller. It may be lost: the caller is refused.
    fn amend(&self, draft: &Draft<'_>) {
        let _ = caught(|| self.audit.record_draft(draft));
    }

    /// Hands a record to the sink, and logs a loss.
    fn record(&self, draft: &Draft<'_>) -> Result<(), AuditError> {
        caught(|| self.audit.record_draft(draft)).inspect_err(|error| {
            if !error.is_logged() {
                tracing::error!(target: "service_only::audit", %error, id = %draft.id, "an audit record was lost");
            }
        })
    }
}

/// Calls a sink. A panic of it is a lost record: it may come while the panic of a handler unwinds, and a second one
/// would abort the process.
fn caught(sink: impl FnOnce() -> Result<(), AuditError>) -> Result<(), AuditError> {
    catch_unwind(AssertUnwindSafe(sink)).unwrap_or_else(|panic| {
        Err(AuditError::new(format!("the audit sink panicked: {}", message_of(&*panic))))
    })
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> Denial {
    let message = message_of(panic);
    tracing::error!(target: "service_only", message, "a part of the verifier panicked, so the caller is refused");
    Denial::new(Code::Panicked, format!("a part of the verifier panicked: {message}"))
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no message)")
}

/// What is asked for: a place, the request, and the attempt that an earlier decision about the same request opened.
pub(crate) struct Attempted<A> {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) request: A,
    pub(crate) earlier: Option<Arc<Attempt>>,
}

/// Where no verifier was asked: as a verifier that was told nothing else.
impl Default for Recorder {
    fn default() -> Self {
        Self {
            clock: Box::new(SystemClock),
            leeway: Duration::ZERO,
            audit: Box::new(TracingAudit),
            require_audit: false,
            realm: String::new(),
            revocation: None,
        }
    }
}
