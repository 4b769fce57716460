//! One attempt, as it is recorded.

use std::{borrow::Cow, net::IpAddr, time::Duration};

use serde::Serialize;
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    denial::{Code, Stage},
    policy::Endpoint,
};

/// What was decided.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The caller was let through.
    Allow,
    /// The caller was refused.
    Deny,
}

impl Decision {
    /// The decision as the audit writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// The record of one attempt. Serializes to the JSON object of the audit log; names are those of
/// OpenTelemetry where it has one.
///
/// `service`, `jti` and `issuer` are set only when the token was authenticated. What an unverified
/// token says of itself stands in `unverified_service`, escaped and cut.
///
/// It borrows from the request and from the token; a sink that keeps it calls
/// [`AuditEvent::into_owned`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditEvent<'a> {
    /// The record's id, a UUID of version 7; also the `instance` of the answer.
    pub id: Uuid,
    /// When it was decided, in UTC.
    pub time: Timestamp,
    /// What was decided.
    pub decision: Decision,
    /// The HTTP status that the decision stands for; 200 for an admitted caller that nothing has refused, even if
    /// the handler answers otherwise. A handler refuses with [`Caller::refuse`](crate::Caller::refuse).
    pub status: u16,
    /// The rule that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The stage that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// The refusal in words, for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
    /// The handler, as `module::path::function`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// The method of the request.
    #[serde(rename = "http.request.method", skip_serializing_if = "Option::is_none")]
    pub method: Option<Cow<'a, str>>,
    /// The template of the route, such as `/api/v1/{service}/tenant/{tenant_id}`.
    #[serde(rename = "http.route", skip_serializing_if = "Option::is_none")]
    pub route: Option<Cow<'a, str>>,
    /// The path of the request, without its query.
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    pub path: Option<Cow<'a, str>>,
    /// The verified service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Cow<'a, str>>,
    /// The verified user, where a gateway lets users through: the `user_id` or `sub`, escaped and
    /// cut.
    #[serde(rename = "user.id", skip_serializing_if = "Option::is_none")]
    pub user: Option<Cow<'a, str>>,
    /// The verified token's `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<Cow<'a, str>>,
    /// The key whose signature verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<Cow<'a, str>>,
    /// The verified token's issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Cow<'a, str>>,
    /// The kind of the verified token: `compatible`, `strict`, `kubernetes`, `spiffe` or `oauth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<&'static str>,
    /// The address of the peer of the connection, never one from a header.
    #[serde(rename = "client.address", skip_serializing_if = "Option::is_none")]
    pub client_address: Option<IpAddr>,
    /// The trace that the request belongs to, from a valid `traceparent` (W3C Trace Context).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<Cow<'a, str>>,
    /// How long the decision took by the verifier's clock, in microseconds.
    pub duration_us: u64,
    /// The name that a token gave itself which was not authenticated.
    #[serde(rename = "unverified.service", skip_serializing_if = "Option::is_none")]
    pub unverified_service: Option<Cow<'a, str>>,
    /// What metrics and traces want, and no record holds.
    #[serde(skip)]
    pub unrecorded: Unrecorded,
}

/// What is known of a decision and stands in no record: it is counted, or names a span of somebody else.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unrecorded {
    /// How long the decision took by the verifier's clock, to the nanosecond.
    pub took: Duration,
    /// The `iat` of the verified token.
    pub issued_at: Option<i64>,
    /// The `exp` of the verified token.
    pub expires_at: Option<i64>,
    /// Whether a record of the same id was made before: this one says the outcome now. Only where records are
    /// written before the handler runs, see [`VerifierBuilder::require_audit`](crate::VerifierBuilder::require_audit).
    pub amends: bool,
    /// The span that the request comes from, of the same `traceparent` as the record's `trace_id`.
    pub parent_span: Option<ParentSpan>,
}

/// The span of a caller, as the caller says: it chooses a trace, and decides nothing.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentSpan {
    /// Its name in the trace.
    pub id: u64,
    /// Whether the caller keeps the trace.
    pub is_sampled: bool,
}

impl AuditEvent<'_> {
    /// The same record, for as long as it is wanted.
    pub fn into_owned(self) -> AuditEvent<'static> {
        AuditEvent {
            reason: self.reason.map(owned),
            method: self.method.map(owned),
            route: self.route.map(owned),
            path: self.path.map(owned),
            service: self.service.map(owned),
            user: self.user.map(owned),
            jti: self.jti.map(owned),
            kid: self.kid.map(owned),
            issuer: self.issuer.map(owned),
            trace_id: self.trace_id.map(owned),
            unverified_service: self.unverified_service.map(owned),
            id: self.id,
            time: self.time,
            decision: self.decision,
            status: self.status,
            code: self.code,
            stage: self.stage,
            endpoint: self.endpoint,
            profile: self.profile,
            client_address: self.client_address,
            duration_us: self.duration_us,
            unrecorded: self.unrecorded,
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}
