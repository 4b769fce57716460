//! One attempt: an accepted request or token whose record is not final yet.
//!
//! The record is written when the attempt is closed. That happens at a refusal, or when the handler ends and drops
//! the last owner, whichever comes first. So a handler that refuses a caller leaves one "deny" record, and a
//! handler that panics or is cancelled leaves one record too. A stored clone of a caller holds a weak link and delays
//! nothing.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use uuid::Uuid;

use super::{Recorder, event};
use crate::{
    audit::{AuditEvent, Line, RequestContext, Subject},
    clock::Timestamp,
    denial::{Code, Denial},
    peer::PeerCertificate,
    policy::Endpoint,
    rejection::RequestHeaders,
    threads::locked,
};

/// What a framework knows about a request. It is read when a record is written, and kept only if that is later.
pub(crate) trait Asked: RequestHeaders {
    /// The parts of the request that remain while the handler runs.
    type Kept: KeptRequest;

    /// Whether the request ends with its handler, so that all decisions until then have one record. A token that
    /// comes without a request can be passed to any number of functions, and each of them is an attempt.
    const IS_REQUEST: bool = true;

    fn context(&self) -> RequestContext<'_>;

    /// Keeps the parts, by clones that copy no text. With `with_headers` it also copies the map of the headers, for the body
    /// of a later refusal.
    fn keep(&self, with_headers: bool) -> Self::Kept;
}

/// A request that is kept until its record is written.
pub(crate) trait KeptRequest: RequestHeaders + Send + Sync + 'static {
    fn context(&self) -> RequestContext<'_>;
}

/// A decision about a connection, without a request.
pub(crate) struct Connection(pub(crate) Option<PeerCertificate>);

impl Asked for Connection {
    type Kept = Self;
    const IS_REQUEST: bool = false;

    fn context(&self) -> RequestContext<'_> {
        KeptRequest::context(self)
    }

    fn keep(&self, _: bool) -> Self {
        Self(self.0.clone())
    }
}

impl RequestHeaders for Connection {
    fn header(&self, _: &str) -> Option<&str> {
        None
    }
}

impl KeptRequest for Connection {
    fn context(&self) -> RequestContext<'_> {
        RequestContext { peer: self.0.as_ref().and_then(PeerCertificate::id), ..RequestContext::default() }
    }
}

/// A token that came without a request.
pub(crate) struct NoRequest;

impl Asked for NoRequest {
    type Kept = Self;
    const IS_REQUEST: bool = false;

    fn context(&self) -> RequestContext<'_> {
        RequestContext::default()
    }

    fn keep(&self, _: bool) -> Self {
        Self
    }
}

impl RequestHeaders for NoRequest {
    fn header(&self, _: &str) -> Option<&str> {
        None
    }
}

impl KeptRequest for NoRequest {
    fn context(&self) -> RequestContext<'_> {
        RequestContext::default()
    }
}

/// A service or a user, as records describe it.
pub(crate) trait Identified: Send + Sync {
    fn subject(&self) -> Subject<'_>;
}

/// An attempt whose caller was admitted. The request is the last field and unsized: one allocation.
pub(crate) struct Attempt<R: KeptRequest + ?Sized = dyn KeptRequest> {
    recorder: Arc<Recorder>,
    id: Uuid,
    time: Timestamp,
    who: Option<Arc<dyn Identified>>,
    is_request: bool,
    state: Mutex<State>,
    request: R,
}

struct State {
    phase: Phase,
    took: Duration,
    /// The handler or function that decided last.
    endpoint: Option<Endpoint>,
    /// The request as the last decision saw it, if that was not the first: a router may have matched it since.
    request: Option<Box<dyn KeptRequest>>,
    /// Whether the caller was passed to a function.
    claimed: bool,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing is written yet.
    Open,
    /// "Allow" was written before the handler ran. A change is another line of the same id.
    Written,
    Closed,
}

impl<R: KeptRequest> Attempt<R> {
    pub(crate) fn open(
        recorder: &Arc<Recorder>,
        (id, time, took): (Uuid, Timestamp, Duration),
        who: Option<Arc<dyn Identified>>,
        endpoint: Option<Endpoint>,
        is_request: bool,
        request: R,
    ) -> Self {
        let state = State { phase: Phase::Open, took, endpoint, request: None, claimed: endpoint.is_some() };
        let recorder = Arc::clone(recorder);
        Self { recorder, id, time, who, is_request, state: Mutex::new(state), request }
    }
}

impl Attempt {
    pub(crate) fn id(&self) -> Uuid {
        self.id
    }

    /// Whether the attempt ends with a request. Otherwise it ends with the function that received the caller.
    pub(crate) fn is_request(&self) -> bool {
        self.is_request
    }

    pub(crate) fn is_open(&self) -> bool {
        locked(&self.state).phase != Phase::Closed
    }

    /// Claims the attempt for a function. Only the first function that claims it gets it.
    pub(crate) fn claim(&self) -> bool {
        let state = &mut *locked(&self.state);
        state.phase != Phase::Closed && !std::mem::replace(&mut state.claimed, true)
    }

    /// Writes "allow" before the handler runs.
    ///
    /// # Errors
    /// When the audit is required and the record is lost. Every working sink then gets the record of the refusal.
    pub(crate) fn write_first(&self) -> Result<(), Denial> {
        self.write_now(&mut locked(&self.state))
    }

    /// Takes over a later decision that admits the same caller. `None` if the attempt is closed.
    pub(crate) fn allow_again(
        &self,
        endpoint: Option<Endpoint>,
        took: Duration,
        request: Option<Box<dyn KeptRequest>>,
    ) -> Option<Result<(), Denial>> {
        let state = &mut *locked(&self.state);
        if state.phase == Phase::Closed {
            return None;
        }
        state.took += took;
        state.endpoint = endpoint.or(state.endpoint);
        state.request = request.or(state.request.take());
        Some(match state.phase {
            Phase::Written => self.write_now(state),
            _ => Ok(()),
        })
    }

    fn write_now(&self, state: &mut State) -> Result<(), Denial> {
        let is_required = self.recorder.requires_audit();
        let line = Line { is_required, amends: state.phase == Phase::Written };
        let written = self.recorder.record(&self.event(state, None, None, line));
        if written.is_err() && is_required {
            state.phase = Phase::Closed;
            let denial = audit_unavailable();
            self.recorder.amend(&self.event(state, Some(&denial), None, Line::amending()));
            return Err(denial);
        }
        state.phase = Phase::Written;
        Ok(())
    }

    /// Closes the attempt with a refusal of the handler, or of a later decision, which provides the place and
    /// further facts. `None` if it was closed before: then the caller records the refusal as a new attempt.
    pub(crate) fn deny(&self, denial: &Denial, decision: Option<Decision<'_>>) -> Option<Uuid> {
        let state = &mut *locked(&self.state);
        if state.phase == Phase::Closed {
            return None;
        }
        let line = Line { amends: state.phase == Phase::Written, ..Line::default() };
        state.phase = Phase::Closed;
        let mut subject = None;
        if let Some(Decision { subject: later, endpoint, took, request }) = decision {
            subject = later;
            state.took += took;
            state.endpoint = endpoint.or(state.endpoint);
            state.request = request.or(state.request.take());
        }
        // The caller is refused even if the record is lost.
        let _ = self.recorder.record(&self.event(state, Some(denial), subject, line));
        Some(self.id)
    }
}

impl<R: KeptRequest + ?Sized> Attempt<R> {
    /// Closes the attempt as allowed, because nothing has refused the caller.
    pub(crate) fn finish(&self) {
        let state = &mut *locked(&self.state);
        if std::mem::replace(&mut state.phase, Phase::Closed) != Phase::Open {
            return;
        }
        let _ = self.recorder.record(&self.event(state, None, None, Line::default()));
    }

    /// Builds the current record. It is about the attempt's own caller, unless a later decision knows more.
    fn event<'e>(
        &'e self,
        state: &'e State,
        denial: Option<&'e Denial>,
        subject: Option<Subject<'e>>,
        line: Line,
    ) -> AuditEvent<'e> {
        let request = match &state.request {
            Some(later) => later.context(),
            None => self.request.context(),
        };
        let request = RequestContext { endpoint: state.endpoint, ..request };
        let own = || self.who.as_ref().map(|who| who.subject()).unwrap_or_default();
        event((self.id, self.time, state.took), denial, subject.unwrap_or_else(own), request, line)
    }
}

/// The headers of the request, for the body of a refusal.
impl RequestHeaders for Arc<Attempt> {
    fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }
}

impl<R: KeptRequest + ?Sized> Drop for Attempt<R> {
    fn drop(&mut self) {
        self.finish();
    }
}

pub(crate) fn audit_unavailable() -> Denial {
    Denial::new(Code::AuditUnavailable, "the audit record could not be written")
}

/// A later decision about the same attempt.
pub(crate) struct Decision<'d> {
    /// `None` leaves the caller of the attempt.
    pub(crate) subject: Option<Subject<'d>>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) took: Duration,
    pub(crate) request: Option<Box<dyn KeptRequest>>,
}

/// The links of a caller to its attempts. Its first owner keeps the attempt open; a clone, which may be stored for
/// long, does not.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<Held>);

#[derive(Default)]
enum Held {
    #[default]
    None,
    Own(Arc<Attempt>),
    Linked(Weak<Attempt>),
    /// The attempts of running functions. The function that began last is at the end.
    Several(Vec<Weak<Attempt>>),
}

impl Attempts {
    pub(crate) fn own(attempt: Arc<Attempt>) -> Self {
        Self(Mutex::new(Held::Own(attempt)))
    }

    pub(crate) fn linked(attempt: &Arc<Attempt>) -> Self {
        Self(Mutex::new(Held::Linked(Arc::downgrade(attempt))))
    }

    /// The open attempt that began last.
    pub(crate) fn current(&self) -> Option<Arc<Attempt>> {
        let is_open = |attempt: &Arc<Attempt>| attempt.is_open();
        match &*locked(&self.0) {
            Held::None => None,
            Held::Own(attempt) => Some(Arc::clone(attempt)).filter(is_open),
            Held::Linked(attempt) => attempt.upgrade().filter(is_open),
            Held::Several(attempts) => attempts.iter().rev().filter_map(Weak::upgrade).find(is_open),
        }
    }

    /// Adds an attempt that its function keeps open. Closed attempts are removed.
    pub(crate) fn add(&self, attempt: &Arc<Attempt>) {
        let held = &mut *locked(&self.0);
        let mut attempts = match std::mem::take(held) {
            Held::None => Vec::new(),
            Held::Own(attempt) => vec![Arc::downgrade(&attempt)],
            Held::Linked(attempt) => vec![attempt],
            Held::Several(attempts) => attempts,
        };
        attempts.retain(|attempt| attempt.upgrade().is_some_and(|attempt| attempt.is_open()));
        attempts.push(Arc::downgrade(attempt));
        *held = Held::Several(attempts);
    }

    /// Hands over the ownership of the attempt, and keeps a link here.
    pub(crate) fn release(&mut self) -> Option<Arc<Attempt>> {
        let held = self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Held::Own(attempt) = held else { return None };
        let linked = Held::Linked(Arc::downgrade(attempt));
        match std::mem::replace(held, linked) {
            Held::Own(attempt) => Some(attempt),
            _ => None,
        }
    }
}

/// A clone has a link and does not own the attempt.
impl Clone for Attempts {
    fn clone(&self) -> Self {
        match &*locked(&self.0) {
            Held::None => Self::default(),
            Held::Own(attempt) => Self::linked(attempt),
            Held::Linked(attempt) => Self(Mutex::new(Held::Linked(attempt.clone()))),
            Held::Several(attempts) => Self(Mutex::new(Held::Several(attempts.clone()))),
        }
    }
}
