//! The audit's view of one attempt. It borrows from the request, the token and the decision. Texts are
//! escaped when an accessor is called, so a sink pays only for what it reads.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{AuditRecord, Decision, needs_no_escape};
use crate::{
    claims::{ServiceClaims, UserClaims},
    clock::Timestamp,
    denial::{Backslash, Code, Denial, Stage, escaped},
    keys::KeyId,
    policy::{Endpoint, PolicyDigest},
    trace_context::{ParentSpan, TraceParent},
};

/// What a framework knows about the request. It does not influence a decision.
#[derive(Debug, Default)]
pub(crate) struct RequestContext<'r> {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) method: Option<&'r str>,
    pub(crate) route: Option<Cow<'r, str>>,
    pub(crate) path: Option<&'r str>,
    pub(crate) client_address: Option<IpAddr>,
    /// The name in the certificate of the connection.
    pub(crate) peer: Option<&'r str>,
    pub(crate) trace: Option<TraceParent<'r>>,
}

/// What the audit knows about the token. Claims are present only if the token was authenticated.
#[derive(Debug, Default, Copy, Clone)]
pub(crate) struct Subject<'s> {
    pub(crate) service: Option<&'s ServiceClaims>,
    pub(crate) user: Option<&'s UserClaims>,
    pub(crate) kid: Option<&'s str>,
    pub(crate) profile: Option<&'static str>,
    pub(crate) proof: Option<&'static str>,
    pub(crate) unverified_service: Option<&'s str>,
    /// The JSON members from `service` to `proof`, if the caller has cached them.
    pub(crate) fragment: Option<&'s str>,
}

/// How a record relates to others.
#[derive(Debug, Copy, Clone, Default)]
pub(crate) struct Line {
    /// Whether the caller is refused if the record is lost.
    pub(crate) is_required: bool,
    /// Whether a record of the same id was written before, and this record replaces its outcome.
    pub(crate) amends: bool,
}

impl Line {
    /// A refusal after "allow" was written.
    pub(crate) const fn amending() -> Self {
        Self { is_required: false, amends: true }
    }
}

/// The record of one attempt, which a sink reads through accessors. Serializes to the JSON object of the audit log.
///
/// [`service`](Self::service), [`jti`](Self::jti) and [`issuer`](Self::issuer) are set only when the token was
/// authenticated. What an unverified token says about itself is in
/// [`unverified_service`](Self::unverified_service), escaped and truncated.
///
/// It borrows from the request and from the token. A sink that keeps it calls [`to_record`](Self::to_record).
pub struct AuditEvent<'a> {
    pub(crate) id: Uuid,
    pub(crate) time: Timestamp,
    pub(crate) took: Duration,
    pub(crate) denial: Option<&'a Denial>,
    pub(crate) subject: Subject<'a>,
    pub(crate) request: RequestContext<'a>,
    pub(crate) line: Line,
}

impl<'a> AuditEvent<'a> {
    /// The record's id, a UUID of version 7. It is also the `instance` of the response.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The time of the decision, in UTC.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// What was decided.
    pub fn decision(&self) -> Decision {
        if self.denial.is_none() { Decision::Allow } else { Decision::Deny }
    }

    /// The HTTP status of the decision. It is 200 for an admitted caller that no code has refused, even if the
    /// handler responds with another status. A handler refuses with [`Caller::refuse`](crate::Caller::refuse).
    pub fn status(&self) -> u16 {
        self.denial.map_or(200, Denial::status)
    }

    /// The rule that refused.
    pub fn code(&self) -> Option<Code> {
        self.denial.map(Denial::code)
    }

    /// The stage that refused.
    pub fn stage(&self) -> Option<Stage> {
        self.denial.map(Denial::stage)
    }

    /// The reason of the refusal, for the operator.
    pub fn reason(&self) -> Option<&'a str> {
        self.denial.map(Denial::reason)
    }

    /// The handler, as `module::path::function`.
    pub fn endpoint(&self) -> Option<Endpoint> {
        self.request.endpoint
    }

    /// The digest of the handler's policy.
    pub fn policy_digest(&self) -> Option<PolicyDigest> {
        self.request.endpoint.and_then(|endpoint| endpoint.policy_digest())
    }

    /// The method of the request.
    pub fn method(&self) -> Option<Cow<'a, str>> {
        self.request.method.map(|method| logged(method, MAX_METHOD))
    }

    /// The template of the route, such as `/api/v1/{service}/tenant/{tenant_id}`.
    pub fn route(&self) -> Option<Cow<'_, str>> {
        self.request.route.as_deref().map(|route| logged(route, MAX_PATH))
    }

    /// The path of the request, without its query.
    pub fn path(&self) -> Option<Cow<'a, str>> {
        self.request.path.map(|path| logged(path, MAX_PATH))
    }

    /// The verified service.
    pub fn service(&self) -> Option<&'a str> {
        self.subject.service.map(|claims| claims.service.as_str())
    }

    /// The verified user, if a gateway admits users: the `user_id` or `sub`, escaped and truncated.
    pub fn user(&self) -> Option<Cow<'a, str>> {
        self.subject.user.and_then(UserClaims::id).map(|id| logged(id, Denial::MAX_QUOTED))
    }

    /// The party that acts for the service or the user: `sub` of the verified token's `act`, escaped and truncated.
    pub fn actor(&self) -> Option<Cow<'a, str>> {
        let actor = match (self.subject.service, self.subject.user) {
            (Some(claims), _) => claims.actor.as_ref(),
            (None, user) => user.and_then(|claims| claims.actor.as_ref()),
        };
        actor.map(|actor| logged(actor.name(), Denial::MAX_QUOTED))
    }

    /// The verified token's `jti`.
    pub fn jti(&self) -> Option<Cow<'a, str>> {
        let jti = match (self.subject.service, self.subject.user) {
            (Some(claims), _) => claims.jti.as_deref(),
            (None, Some(claims)) => claims.jti.as_deref(),
            (None, None) => None,
        };
        jti.map(|jti| logged(jti, Denial::MAX_QUOTED))
    }

    /// The key whose signature verified.
    pub fn kid(&self) -> Option<Cow<'a, str>> {
        self.subject.kid.map(|kid| logged(kid, KeyId::MAX_LENGTH))
    }

    /// The verified token's issuer.
    pub fn issuer(&self) -> Option<Cow<'a, str>> {
        let issuer = match (self.subject.service, self.subject.user) {
            (Some(claims), _) => Some(claims.issuer.as_str()),
            (None, user) => user.map(|claims| claims.issuer.as_str()),
        };
        issuer.map(|issuer| logged(issuer, MAX_PATH))
    }

    /// The kind of the verified token: `compatible`, `strict`, `kubernetes`, `spiffe`, `spiffe_x509` or `oauth`.
    pub fn profile(&self) -> Option<&'static str> {
        self.subject.profile
    }

    /// The proof of the sender that was checked: `mtls`, `dpop` or the experimental `wpt`; `None` for a bearer token.
    pub fn proof(&self) -> Option<&'static str> {
        self.subject.proof
    }

    /// The name in the certificate of the connection, which a handshake or the named gateway has proved: a SPIFFE ID, or the
    /// first other name. It is present also if the token was refused. A name in a header is never shown here.
    pub fn peer(&self) -> Option<Cow<'a, str>> {
        self.request.peer.map(|peer| logged(peer, MAX_PATH))
    }

    /// The address of the peer of the connection, never one from a header.
    pub fn client_address(&self) -> Option<IpAddr> {
        self.request.client_address
    }

    /// The trace of the request, from a valid `traceparent` (W3C Trace Context).
    pub fn trace_id(&self) -> Option<&'a str> {
        self.request.trace.map(|trace| trace.trace_id)
    }

    /// The span that the request comes from, from the same `traceparent` as [`trace_id`](Self::trace_id). Not part of
    /// the record.
    pub fn parent_span(&self) -> Option<ParentSpan> {
        self.request.trace.and_then(|trace| trace.span)
    }

    /// How long the decision took by the verifier's clock. The record has the value in whole microseconds.
    pub fn duration(&self) -> Duration {
        self.took
    }

    /// The name in a token that was not authenticated.
    pub fn unverified_service(&self) -> Option<&'a str> {
        self.subject.unverified_service
    }

    /// The `iat` of the verified token, in seconds since the Unix epoch. Not part of the record.
    pub fn issued_at(&self) -> Option<i64> {
        self.subject.service.map_or(self.subject.user.and_then(|claims| claims.iat), |claims| claims.iat)
    }

    /// The `exp` of the verified token, in seconds since the Unix epoch. Not part of the record.
    pub fn expires_at(&self) -> Option<i64> {
        self.subject.service.map(|claims| claims.exp).or(self.subject.user.map(|claims| claims.exp))
    }

    /// Whether a record of the same id was written before. This record is the outcome then. It happens only if
    /// records are written before the handler runs, see
    /// [`VerifierBuilder::require_audit`](crate::verifier::VerifierBuilder::require_audit).
    pub fn amends(&self) -> bool {
        self.line.amends
    }

    /// Copies the record, with owned texts.
    pub fn to_record(&self) -> AuditRecord {
        let owned = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        AuditRecord {
            id: self.id,
            time: self.time,
            decision: self.decision(),
            status: self.status(),
            code: self.code(),
            stage: self.stage(),
            reason: self.reason().map(str::to_owned),
            endpoint: self.endpoint(),
            policy_digest: self.policy_digest(),
            method: owned(self.method()),
            route: owned(self.route()),
            path: owned(self.path()),
            service: self.service().map(str::to_owned),
            user: owned(self.user()),
            actor: owned(self.actor()),
            jti: owned(self.jti()),
            kid: owned(self.kid()),
            issuer: owned(self.issuer()),
            profile: self.profile(),
            proof: self.proof(),
            peer: owned(self.peer()),
            client_address: self.client_address(),
            trace_id: self.trace_id().map(str::to_owned),
            duration_us: self.duration_us(),
            unverified_service: self.unverified_service().map(str::to_owned),
            amends: self.amends(),
        }
    }

    pub(crate) fn duration_us(&self) -> u64 {
        u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX)
    }

    /// Whether the caller is refused if this record is lost.
    pub(crate) fn is_required(&self) -> bool {
        self.line.is_required
    }

    /// The cached members of the caller, if no other text that is written each time needs an escape.
    /// That is so for nearly every record of an admitted service.
    #[inline]
    pub(crate) fn compact(&self) -> Option<&'a str> {
        let is_plain = |path: &str| path.len() < MAX_PATH && needs_no_escape(path.as_bytes());
        let RequestContext { path, peer, .. } = &self.request;
        if self.denial.is_some() || !path.is_none_or(is_plain) || !peer.is_none_or(is_plain) {
            return None;
        }
        self.subject.fragment
    }
}

impl std::fmt::Debug for AuditEvent<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_record().fmt(f)
    }
}

/// Serializes by way of [`AuditRecord`]. The sink that writes JSON lines has a faster way.
impl Serialize for AuditEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_record().serialize(serializer)
    }
}

/// The longest path, route or issuer that is recorded, in characters.
pub(crate) const MAX_PATH: usize = 1024;

/// The longest method that is recorded, in characters. The longest registered one has 17.
const MAX_METHOD: usize = 32;

/// Escapes and truncates a text. A path can contain any non-ASCII text, and the name of a key any text at all.
pub(crate) fn logged(text: &str, longest: usize) -> Cow<'_, str> {
    escaped(text, longest, Backslash::Doubled)
}
