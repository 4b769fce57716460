//! An audit record that owns its texts, which a sink can store and a test can compare.

use std::net::IpAddr;

use serde::Serialize;
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    denial::{Code, Explanation, Stage},
    policy::{Endpoint, PolicyDigest},
};

/// The decision about a caller.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "an attempt is admitted or refused")]
pub enum Decision {
    /// The caller was admitted.
    Allow,
    /// The caller was refused.
    Deny,
}

impl Decision {
    /// The decision as the audit log prints it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// The record of one attempt, created by [`AuditEvent::to_record`](super::AuditEvent::to_record).
///
/// Its fields are those of the JSON object in the audit log, with the names of OpenTelemetry if it defines one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditRecord {
    /// The record's id, a UUID of version 7. It is also the `instance` of the response.
    pub id: Uuid,
    /// The time of the decision, in UTC.
    pub time: Timestamp,
    /// The decision.
    pub decision: Decision,
    /// The HTTP status of the decision; 200 for an admitted caller that no code has refused.
    pub status: u16,
    /// The rule that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The stage that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// The reason of the refusal, for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The handler, as `module::path::function`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
    /// The digest of the handler's policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<PolicyDigest>,
    /// The method of the request.
    #[serde(rename = "http.request.method", skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The template of the route, such as `/api/v1/{service}/tenant/{tenant_id}`.
    #[serde(rename = "http.route", skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The path of the request, without its query.
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The verified service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The verified user, if a gateway admits users: the `user_id` or `sub`, escaped and truncated.
    #[serde(rename = "user.id", skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The party that acts for the service or the user: `sub` of the verified token's `act`, escaped and truncated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The verified token's `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The key whose signature verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The verified token's issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The kind of the verified token: `compatible`, `strict`, `kubernetes`, `spiffe`, `spiffe_x509` or `oauth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<&'static str>,
    /// The proof of the sender that was checked: `mtls`, `dpop` or the experimental `wpt`; `None` for a bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<&'static str>,
    /// The name in the certificate of the connection: a SPIFFE ID, or the first other name. Never one from a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The address of the peer of the connection, never one from a header.
    #[serde(rename = "client.address", skip_serializing_if = "Option::is_none")]
    pub client_address: Option<IpAddr>,
    /// The trace of the request, from a valid `traceparent` (W3C Trace Context).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// How long the decision took by the verifier's clock, in microseconds.
    pub duration_us: u64,
    /// The name in a token that was not authenticated.
    #[serde(rename = "unverified.service", skip_serializing_if = "Option::is_none")]
    pub unverified_service: Option<String>,
    /// Whether a record of the same id was written before. Not part of the JSON object.
    #[serde(skip)]
    pub amends: bool,
}

impl AuditRecord {
    /// The refusal in sentences; `None` for an admitted caller.
    pub fn explanation(&self) -> Option<Explanation> {
        Some(Explanation::of(self.code?, self.reason.as_deref().unwrap_or_default()))
    }
}
