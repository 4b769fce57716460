//! What a decision is made with: a clock, a word on revocation, an audit sink. A verifier and the callers
//! that it verified share one, so that what is decided about a caller later is decided and recorded alike.

mod event;

use std::time::Duration;

use uuid::Uuid;

pub use self::event::Draft;
use self::event::event_id;
pub(crate) use self::event::{Recorded, RequestContext, Usual};
use crate::{
    audit::{AuditError, AuditSink, TracingAudit},
    clock::{Clock, SystemClock},
    denial::{Code, Denial},
    revocation::Revocation,
    verifier::{Known, Moment},
};

pub(crate) struct Recorder {
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) leeway: Duration,
    pub(crate) audit: Box<dyn AuditSink>,
    pub(crate) require_audit: bool,
    pub(crate) revocation: Option<Revocation>,
}

impl Recorder {
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), leeway: self.leeway }
    }

    /// The epoch of the revocations, to be asked for before a decision.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.revocation.as_ref()?.store.epoch()
    }

    /// Runs a decision at one instant, and writes exactly one record of it, unless nobody wants any. What
    /// is known of the request is asked for only when there is something to write.
    pub(crate) fn decide<'r, T: Recorded>(
        &self,
        request: impl FnOnce() -> RequestContext<'r>,
        decision: impl FnOnce(Moment, &mut Known) -> Result<T, Denial>,
    ) -> Result<T, (Denial, Uuid)> {
        let at = self.moment();
        let mut known = Known::default();
        let decided = decision(at, &mut known).and_then(|decided| self.auditable(decided, &mut known));
        if self.audit.is_off() {
            return decided.map_err(|denial| (denial, event_id(at.now)));
        }
        let id = event_id(at.now);
        // By the clock that the decision was made by: one reading less, and a test that holds it still
        // knows the answer.
        let took = self.clock.now().since(at.now).unwrap_or_default();
        let recorded = self.record(&Draft::new((id, at.now, took), &decided, &known, request()));
        match decided {
            Ok(_) if recorded.is_err() && self.requires_audit() => Err((audit_unavailable(), id)),
            decided => decided.map_err(|denial| (denial, id)),
        }
    }

    /// Records a refusal that needed no decision.
    #[cfg(any(feature = "actix", feature = "tonic"))]
    pub(crate) fn refuse<'r>(
        &self,
        request: impl FnOnce() -> RequestContext<'r>,
        denial: Denial,
    ) -> (Denial, Uuid) {
        match self.decide(request, |_, _| Err::<std::convert::Infallible, _>(denial)) {
            Ok(never) => match never {},
            Err(refused) => refused,
        }
    }

    /// Where the audit is required, asks whether a record would be written, before it says "allow".
    fn auditable<T: Recorded>(&self, decided: T, known: &mut Known) -> Result<T, Denial> {
        match self.requires_audit().then(|| self.audit.ready()) {
            Some(Err(error)) => {
                tracing::error!(target: "service_only::audit", %error, "the audit is required and not ready");
                decided.keep(known);
                Err(audit_unavailable())
            }
            _ => Ok(decided),
        }
    }

    fn requires_audit(&self) -> bool {
        self.require_audit || self.audit.is_required()
    }

    /// Hands over a record, and says so where it is lost.
    fn record(&self, draft: &Draft<'_>) -> Result<(), AuditError> {
        self.audit.record_draft(draft).inspect_err(|error| {
            if !error.is_logged() {
                tracing::error!(target: "service_only::audit", %error, id = %draft.id, "an audit record was lost");
            }
        })
    }
}

fn audit_unavailable() -> Denial {
    Denial::new(Code::AuditUnavailable, "the audit record could not be written")
}

/// Where no verifier was asked: as a verifier that was told nothing else.
impl Default for Recorder {
    fn default() -> Self {
        Self {
            clock: Box::new(SystemClock),
            leeway: Duration::ZERO,
            audit: Box::new(TracingAudit),
            require_audit: false,
            revocation: None,
        }
    }
}
