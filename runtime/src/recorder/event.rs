//! The record of a decision, put together from what the request, the token and the decision say. It
//! borrows: what nobody keeps is not copied.

mod id;

use std::{borrow::Cow, convert::Infallible, net::IpAddr, time::Duration};

use uuid::Uuid;

pub(super) use self::id::event_id;
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

/// What an accepted token says of itself in the audit.
pub(crate) trait Recorded: Sized {
    fn caller(&self) -> Option<&Caller> {
        None
    }

    fn user(&self) -> Option<&User> {
        None
    }

    /// Leaves it to a refusal after all.
    fn keep(self, _: &mut Known) {}
}

/// Nobody was authenticated: the claims were given.
impl Recorded for () {}

/// Nobody can be let in.
impl Recorded for Infallible {}

impl Recorded for Caller {
    fn caller(&self) -> Option<&Caller> {
        Some(self)
    }

    fn keep(self, known: &mut Known) {
        known.caller = Some(self);
    }
}

impl Recorded for Identity {
    fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Service(caller) => Some(caller),
            Self::User(_) => None,
        }
    }

    fn user(&self) -> Option<&User> {
        match self {
            Self::Service(_) => None,
            Self::User(user) => Some(user),
        }
    }

    fn keep(self, known: &mut Known) {
        match self {
            Self::Service(caller) => known.caller = Some(caller),
            Self::User(user) => known.user = Some(user),
        }
    }
}

/// A decision of which no event was made yet. A sink that writes it otherwise needs none.
pub struct Draft<'d> {
    pub(crate) id: Uuid,
    pub(crate) time: Timestamp,
    took: Duration,
    denial: Option<&'d Denial>,
    caller: Option<&'d Caller>,
    user: Option<&'d User>,
    known: &'d Known,
    request: RequestContext<'d>,
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
    pub(crate) fn new<T: Recorded>(
        (id, time, took): (Uuid, Timestamp, Duration),
        decided: &'d Result<T, Denial>,
        known: &'d Known,
        request: RequestContext<'d>,
    ) -> Self {
        let (accepted, denial) = match decided {
            Ok(accepted) => (Some(accepted), None),
            Err(denial) => (None, Some(denial)),
        };
        let caller = accepted.and_then(Recorded::caller).or(known.caller.as_ref());
        let user = accepted.and_then(Recorded::user).or(known.user.as_ref());
        Self { id, time, took, denial, caller, user, known, request }
    }

    fn duration_us(&self) -> u64 {
        u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX)
    }

    #[inline]
    pub(crate) fn usual(&self) -> Option<Usual<'_>> {
        if self.denial.is_some() || self.user.is_some() || self.known.unverified_service.is_some() {
            return None;
        }
        let is_plain = |path: &str| path.len() < MAX_PATH && is_bare(path.as_bytes());
        let caller = self.caller.filter(|_| self.request.path.is_none_or(is_plain))?;
        let said = caller.said(|| join(caller))?;
        Some(Usual { request: &self.request, said, duration_us: self.duration_us() })
    }

    #[doc(hidden)]
    pub fn event(&self) -> AuditEvent<'_> {
        let Self { id, time, took, denial, caller, user, known, ref request } = *self;
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
