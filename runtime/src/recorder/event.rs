//! The record of a decision, put together from what the request, the token and the decision say. It
//! borrows: what nobody keeps is not copied.

mod id;

use std::{borrow::Cow, convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use uuid::Uuid;

pub(super) use self::id::event_id;
use super::Attempt;
use crate::{
    audit::{AuditEvent, Decision, Members, Unrecorded, is_bare},
    caller::{Caller, Identity, User},
    clock::Timestamp,
    denial::{Backslash, Denial, MAX_QUOTED, escaped},
    keys::{KeyId, MAX_KID_LENGTH},
    policy::Endpoint,
    trace_context::TraceParent,
    verifier::Known,
};

/// What a framework knows of the request, for the audit record. Nothing here decides.
#[derive(Debug, Default)]
pub(crate) struct RequestContext<'r> {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) method: Option<&'r str>,
    pub(crate) route: Option<Cow<'r, str>>,
    pub(crate) path: Option<&'r str>,
    pub(crate) client_address: Option<IpAddr>,
    pub(crate) trace: Option<TraceParent<'r>>,
}

/// Someone whose token was accepted.
pub(crate) trait Recorded: Sized {
    /// Leaves it to the record.
    fn note(&self, known: &mut Known);

    /// Makes it the first owner of its attempt.
    fn owning(self, attempt: Arc<Attempt>) -> Self;
}

/// The claims were given, and no token was accepted.
impl Recorded for () {
    fn note(&self, _: &mut Known) {}

    fn owning(self, _: Arc<Attempt>) {}
}

/// Nothing can be accepted.
impl Recorded for Infallible {
    fn note(&self, _: &mut Known) {}

    fn owning(self, _: Arc<Attempt>) -> Self {
        self
    }
}

impl Recorded for Caller {
    fn note(&self, known: &mut Known) {
        known.caller = Some(self.without_attempt());
    }

    fn owning(self, attempt: Arc<Attempt>) -> Self {
        Self::owning(self, attempt)
    }
}

impl Recorded for Identity {
    fn note(&self, known: &mut Known) {
        match self {
            Self::Service(caller) => caller.note(known),
            Self::User(user) => known.user = Some(user.without_attempt()),
        }
    }

    fn owning(self, attempt: Arc<Attempt>) -> Self {
        match self {
            Self::Service(caller) => Self::Service(caller.owning(attempt)),
            Self::User(user) => Self::User(user.owning(attempt)),
        }
    }
}

/// How a record relates to others.
#[derive(Debug, Copy, Clone, Default)]
pub(crate) struct Line {
    /// Whether its caller is refused if it is lost.
    pub(crate) is_required: bool,
    /// Whether one of the same id was written before, and no longer says the outcome.
    pub(crate) amends: bool,
}

impl Line {
    /// A refusal after "allow" was written.
    pub(crate) const fn amending() -> Self {
        Self { is_required: false, amends: true }
    }
}

/// A decision of which no event was made yet. A sink that writes it otherwise needs none.
pub struct Draft<'d> {
    pub(crate) id: Uuid,
    pub(crate) time: Timestamp,
    took: Duration,
    denial: Option<&'d Denial>,
    known: &'d Known,
    request: RequestContext<'d>,
    line: Line,
}

/// What there is to say of nearly every request: a service was let in, and there is nothing that had to be
/// escaped, the handler, the method and the template aside.
pub(crate) struct Usual<'d> {
    pub(crate) request: &'d RequestContext<'d>,
    /// What the token says, joined.
    pub(crate) said: &'d str,
    pub(crate) duration_us: u64,
}

impl<'d> Draft<'d> {
    #[inline]
    pub(crate) fn new(
        (id, time, took): (Uuid, Timestamp, Duration),
        denial: Option<&'d Denial>,
        known: &'d Known,
        request: RequestContext<'d>,
        line: Line,
    ) -> Self {
        Self { id, time, took, denial, known, request, line }
    }

    /// Whether the caller is admitted only if this record is kept.
    pub(crate) fn is_required(&self) -> bool {
        self.line.is_required
    }

    /// Whether it says that the caller is admitted.
    pub(crate) fn admits(&self) -> bool {
        self.denial.is_none()
    }

    fn duration_us(&self) -> u64 {
        u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX)
    }

    #[inline]
    pub(crate) fn usual(&self) -> Option<Usual<'_>> {
        if self.denial.is_some() || self.known.user.is_some() || self.known.unverified_service.is_some() {
            return None;
        }
        let is_plain = |path: &str| path.len() < MAX_PATH && is_bare(path.as_bytes());
        let caller = self.known.caller.as_ref().filter(|_| self.request.path.is_none_or(is_plain))?;
        let said = caller.said(|| join(caller))?;
        Some(Usual { request: &self.request, said, duration_us: self.duration_us() })
    }

    #[doc(hidden)]
    pub fn event(&self) -> AuditEvent<'_> {
        let Self { id, time, took, denial, known, ref request, line } = *self;
        let (caller, user) = (known.caller.as_ref(), known.user.as_ref());
        let issuer = caller.map(Caller::issuer).or(user.map(|user| user.claims().issuer.as_str()));
        let jti = caller.map(Caller::jti).or(user.map(|user| user.claims().jti.as_deref())).flatten();
        let kid = match caller {
            Some(caller) => caller.key_id().map(KeyId::as_str),
            None => known.kid.as_deref(),
        };
        AuditEvent {
            id,
            time,
            decision: if denial.is_none() { Decision::Allow } else { Decision::Deny },
            status: denial.map_or(200, Denial::status),
            code: denial.map(Denial::code),
            stage: denial.map(Denial::stage),
            reason: denial.map(|denial| denial.reason().into()),
            endpoint: request.endpoint,
            method: request.method.map(|method| logged(method, MAX_METHOD)),
            route: request.route.as_deref().map(|route| logged(route, MAX_PATH)),
            path: request.path.map(|path| logged(path, MAX_PATH)),
            service: caller.map(|caller| caller.service().into()),
            user: user.and_then(User::id).map(|id| logged(id, MAX_QUOTED)),
            jti: jti.map(|jti| logged(jti, MAX_QUOTED)),
            kid: kid.map(|kid| logged(kid, MAX_KID_LENGTH)),
            profile: caller.map(Caller::profile).or(known.profile),
            issuer: issuer.map(|issuer| logged(issuer, MAX_PATH)),
            client_address: request.client_address,
            trace_id: request.trace.map(|trace| trace.trace_id.into()),
            duration_us: self.duration_us(),
            unverified_service: known.unverified_service.as_deref().map(Cow::Borrowed),
            unrecorded: Unrecorded {
                took,
                issued_at: caller.map(Caller::issued_at).or(user.map(|user| user.claims().iat)).flatten(),
                expires_at: caller.map(Caller::expires_at).or(user.map(|user| user.claims().exp)),
                parent_span: request.trace.and_then(|trace| trace.span),
                amends: line.amends,
            },
        }
    }
}

/// What a caller's records have in common, unless something of it is not written as it is.
fn join(caller: &Caller) -> Option<Box<str>> {
    let (jti, kid, issuer) = (caller.jti(), caller.key_id().map(KeyId::as_str), caller.issuer());
    let is_plain = |text, longest| matches!(logged(text, longest), Cow::Borrowed(_));
    let plain = jti.is_none_or(|jti| is_plain(jti, MAX_QUOTED))
        && kid.is_none_or(|kid| is_plain(kid, MAX_KID_LENGTH))
        && is_plain(issuer, MAX_PATH);
    let members = Members { service: caller.service(), jti, kid, issuer, profile: caller.profile() };
    plain.then(|| members.join()).flatten()
}

/// The longest path, route or issuer that is recorded, in characters.
const MAX_PATH: usize = 1024;

/// The longest method that is recorded, in characters. The longest registered one has 17.
const MAX_METHOD: usize = 32;

/// A path may hold any text above ASCII, a key's name any at all.
fn logged(text: &str, longest: usize) -> Cow<'_, str> {
    escaped(text, longest, Backslash::Doubled)
}
