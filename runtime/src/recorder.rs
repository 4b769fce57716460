//! Runs a decision at one instant and records it. A verifier and the callers that it verified share one recorder, so
//! that a later decision about a caller uses the same clock, revocations and audit sink.

mod attempt;
mod id;
mod refused;

use std::{
    any::Any,
    convert::Infallible,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use uuid::Uuid;

pub(crate) use self::{
    attempt::{Asked, Attempt, Attempts, Connection, Identified, KeptRequest, NoRequest},
    refused::{Recorded, Refused},
};
use self::{
    attempt::{Decision, audit_unavailable},
    id::event_id,
};
use crate::{
    audit::{
        AuditError, AuditEvent, AuditSink, Line, RequestContext, Subject, TracingAudit, caught, panic_message,
    },
    clock::{Clock, SystemClock, Timestamp},
    denial::{Code, Denial},
    dpop::Proofs,
    policy::Endpoint,
    proof::RequiredProof,
    rejection::{Challenges, Refusal, RefusalBodies, RefusalBody, Rejection, RequestHeaders},
    revocation::Revocation,
    sets::Sets,
    times::Moment,
};

pub(crate) struct Recorder {
    pub(crate) clock: Box<dyn Clock>,
    pub(crate) leeway: Duration,
    pub(crate) audit: Box<dyn AuditSink>,
    pub(crate) require_audit: bool,
    pub(crate) realm: String,
    pub(crate) revocation: Option<Revocation>,
    /// The bodies of refusals, if the application builds them.
    pub(crate) bodies: Option<RefusalBodies>,
    /// The sets of services that policies refer to.
    pub(crate) sets: Sets,
    /// Where clients find the metadata of the resource.
    pub(crate) metadata_url: Option<String>,
    /// Which proofs of DPoP are accepted.
    pub(crate) proofs: Option<Proofs>,
    /// The proof that every caller must give.
    pub(crate) required_proof: Option<RequiredProof>,
    /// Which Workload Proof Tokens are accepted.
    #[cfg(feature = "experimental-wimse")]
    pub(crate) wpt: Option<Proofs>,
}

/// A refusal, the id of its record, and the body of the application.
pub(crate) struct Denied {
    pub(crate) denial: Denial,
    pub(crate) id: Uuid,
    pub(crate) body: Option<RefusalBody>,
}

impl From<Denied> for Denial {
    fn from(denied: Denied) -> Self {
        denied.denial
    }
}

impl Recorder {
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.clock.now(), leeway: self.leeway }
    }

    /// The epoch of the revocations. Read it before a decision.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.revocation.as_ref()?.store.epoch()
    }

    /// Runs a decision at one instant. A refusal is recorded. An accepted caller owns its attempt, whose
    /// record is written when the handler ends. A sink that is off gets no record. The closure that
    /// describes the request runs only if there is something to write.
    pub(crate) fn decide<T: Recorded, A: Asked>(
        self: &Arc<Self>,
        asked: impl FnOnce() -> Attempted<A>,
        decision: impl FnOnce(Moment) -> Result<T, Refused>,
    ) -> Result<T, Denied> {
        let at = self.moment();
        let decided = self.decided(at, decision);
        if self.audit.is_off() {
            return decided.map_err(|refused| {
                let request = self.bodies.is_some().then(|| asked().request);
                let headers = request.as_ref().map(|request| request as &dyn RequestHeaders);
                self.denied(refused.denial, event_id(at.now), headers.unwrap_or(&NoRequest))
            });
        }
        let took = self.took(at);
        let Attempted { endpoint, request, earlier, who } = asked();
        let keep = || request.keep(self.keeps_headers());
        let later = || Some(Box::new(keep()) as Box<dyn KeptRequest>).filter(|_| A::IS_REQUEST);
        let accepted = match decided {
            Ok(accepted) => accepted,
            Err(refused) => {
                // A panic says nothing about the token. What was known before still holds.
                let has_panicked = refused.denial.code() == Code::Panicked;
                let refused = Refused { who: refused.who.or(who), ..refused };
                let earlier = earlier.and_then(|earlier| {
                    let subject = (!has_panicked).then(|| refused.subject());
                    let decision = Decision { subject, endpoint, took, request: later() };
                    earlier.deny(&refused.denial, Some(decision))
                });
                let id = earlier.unwrap_or_else(|| {
                    let id = event_id(at.now);
                    let request = RequestContext { endpoint, ..request.context() };
                    let _ = self.record(&refused.event((id, at.now, took), request, Line::default()));
                    id
                });
                return Err(self.denied(refused.denial, id, &request));
            }
        };
        if let Some(earlier) = earlier
            && let Some(allowed) = earlier.allow_again(endpoint, took, later())
        {
            return match allowed {
                Ok(()) => Ok(accepted.owning(earlier)),
                Err(denial) => Err(self.denied(denial, earlier.id(), &request)),
            };
        }
        let id = event_id(at.now);
        let who = accepted.identified();
        let attempt: Arc<Attempt> =
            Arc::new(Attempt::open(self, (id, at.now, took), who, endpoint, A::IS_REQUEST, keep()));
        if self.records_before_the_handler() {
            attempt.write_first().map_err(|denial| self.denied(denial, id, &request))?;
        }
        Ok(accepted.owning(attempt))
    }

    /// Decides for a handler that cannot refuse later. The record is written immediately.
    pub(crate) fn decide_at_once<'r, T: Recorded>(
        &self,
        request: impl Fn() -> RequestContext<'r>,
        decision: impl FnOnce(Moment) -> Result<T, Refused>,
    ) -> Result<T, (Denial, Uuid)> {
        let at = self.moment();
        let decided = self.decided(at, decision);
        let id = event_id(at.now);
        if self.audit.is_off() {
            return decided.map_err(|refused| (refused.denial, id));
        }
        let times = (id, at.now, self.took(at));
        let accepted = match decided {
            Ok(accepted) => accepted,
            Err(refused) => {
                let _ = self.record(&refused.event(times, request(), Line::default()));
                return Err((refused.denial, id));
            }
        };
        let who = accepted.identified();
        let subject = who.as_ref().map(|who| who.subject()).unwrap_or_default();
        let line = Line { is_required: self.requires_audit(), amends: false };
        let recorded = self.record(&event(times, None, subject, request(), line));
        if line.is_required && recorded.is_err() {
            let denial = audit_unavailable();
            self.amend(&event(times, Some(&denial), subject, request(), Line::amending()));
            return Err((denial, id));
        }
        Ok(accepted)
    }

    /// Records a refusal that needed no decision.
    pub(crate) fn refuse<'r>(
        &self,
        request: impl Fn() -> RequestContext<'r>,
        refused: Refused,
    ) -> (Denial, Uuid) {
        match self.decide_at_once(request, |_| Err::<Infallible, _>(refused)) {
            Ok(never) => match never {},
            Err(refused) => refused,
        }
    }

    /// Refuses a service or a user whose token was accepted: closes the open attempt, or records a new one.
    pub(crate) fn refuse_accepted(
        &self,
        attempt: Option<Arc<Attempt>>,
        denial: Denial,
        who: Arc<dyn Identified>,
    ) -> Rejection {
        let closed = attempt.as_ref().and_then(|attempt| attempt.deny(&denial, None));
        let (denial, id) = match closed {
            Some(id) => (denial, id),
            None => self.refuse(RequestContext::default, Refused { who: Some(who), ..denial.into() }),
        };
        let headers: &dyn RequestHeaders = match &attempt {
            Some(attempt) => attempt,
            None => &NoRequest,
        };
        self.rejection(self.denied(denial, id, headers))
    }

    /// Adds the body that the application builds.
    fn denied(&self, denial: Denial, id: Uuid, headers: &dyn RequestHeaders) -> Denied {
        let refusal = || Refusal::new(denial.status(), id, headers);
        let body = self.bodies.as_ref().and_then(|bodies| bodies.build(&refusal()));
        Denied { denial, id, body }
    }

    pub(crate) fn rejection(&self, Denied { denial, id, body }: Denied) -> Rejection {
        let (challenges, nonce) = match &self.proofs {
            None => (Challenges::bearer(&self.realm), None),
            Some(proofs) => {
                let needs_nonce = denial.code() == Code::UseDpopNonce;
                let nonce = if needs_nonce { proofs.next_nonce(self.clock.now()) } else { None };
                (
                    Challenges { dpop: Some(proofs.algorithm_names()), ..Challenges::bearer(&self.realm) },
                    nonce,
                )
            }
        };
        let challenges = Challenges { accepts_bearer: !self.requires_dpop(), ..challenges };
        #[cfg(feature = "experimental-wimse")]
        let challenges =
            challenges.with_wpt(self.wpt.is_some(), self.required_proof == Some(RequiredProof::Wpt));
        Rejection::new(denial, challenges, id, body)
            .with_nonce(nonce)
            .with_metadata(self.metadata_url.as_deref())
    }

    /// Whether every caller must give a proof of DPoP, so that no bearer token is accepted.
    pub(crate) fn requires_dpop(&self) -> bool {
        self.required_proof == Some(RequiredProof::Dpop)
    }

    /// Whether a request keeps its headers while the handler runs: the handler may refuse, and the body may depend on
    /// them.
    pub(crate) fn keeps_headers(&self) -> bool {
        self.bodies.is_some()
    }

    /// The duration of a decision, by the clock that the decision used. A separate clock would need another
    /// reading, and a test with a fixed clock can predict the result.
    fn took(&self, at: Moment) -> Duration {
        self.clock.now().since(at.now).unwrap_or_default()
    }

    /// Decides. If the audit is required, checks whether a record would be kept before it allows. A key source
    /// or a revocation store that panics refuses the caller, so that the attempt has a record.
    fn decided<T: Recorded>(
        &self,
        at: Moment,
        decision: impl FnOnce(Moment) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let decided = catch_unwind(AssertUnwindSafe(|| decision(at)));
        let accepted = decided.unwrap_or_else(|panic| Err(panicked(&*panic).into()))?;
        match self.requires_audit().then(|| caught(|| self.audit.ready())) {
            Some(Err(error)) => {
                tracing::error!(target: "service_only::audit", %error, "the audit is required and not ready");
                Err(Refused { who: accepted.identified(), ..audit_unavailable().into() })
            }
            _ => Ok(accepted),
        }
    }

    /// Decides when "allow" is written; no other code does. It is written before the handler runs if a caller is
    /// admitted only with a kept record. Otherwise it is written when the handler ends, so that the record contains
    /// the outcome.
    fn records_before_the_handler(&self) -> bool {
        self.requires_audit()
    }

    fn requires_audit(&self) -> bool {
        self.require_audit || self.audit.is_required()
    }

    /// Sends the outcome to the sinks that have written "allow". It may be lost, because the caller is refused
    /// anyway.
    fn amend(&self, event: &AuditEvent<'_>) {
        let _ = caught(|| self.audit.record(event));
    }

    /// Passes a record to the sink, and logs a loss.
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        caught(|| self.audit.record(event)).inspect_err(|error| {
            if !error.is_logged() {
                tracing::error!(target: "service_only::audit", %error, id = %event.id, "an audit record was lost");
            }
        })
    }
}

fn event<'e>(
    (id, time, took): (Uuid, Timestamp, Duration),
    denial: Option<&'e Denial>,
    subject: Subject<'e>,
    request: RequestContext<'e>,
    line: Line,
) -> AuditEvent<'e> {
    AuditEvent { id, time, took, denial, subject, request, line }
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> Denial {
    let panic = panic_message(panic);
    tracing::error!(target: "service_only", panic, "a part of the verifier panicked, so the caller is refused");
    Denial::new(Code::Panicked, format!("a part of the verifier panicked: {panic}"))
}

/// The subject of a decision: a place, the request, and the attempt that an earlier decision about the same request
/// opened.
pub(crate) struct Attempted<A> {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) request: A,
    pub(crate) earlier: Option<Arc<Attempt>>,
    /// The service or the user, where that is known before the decision.
    pub(crate) who: Option<Arc<dyn Identified>>,
}

/// Creates a recorder for decisions that are made without a verifier, with the defaults of `VerifierBuilder`.
impl Default for Recorder {
    fn default() -> Self {
        Self {
            clock: Box::new(SystemClock),
            leeway: Duration::ZERO,
            audit: Box::new(TracingAudit),
            require_audit: false,
            realm: String::new(),
            revocation: None,
            bodies: None,
            sets: Sets::default(),
            metadata_url: None,
            proofs: None,
            required_proof: None,
            #[cfg(feature = "experimental-wimse")]
            wpt: None,
        }
    }
}

#[cfg(test)]
mod tests;
