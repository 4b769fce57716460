//! One record per decision, allowed or refused, and the places that records go to.

mod json_lines;
mod tracing;

use std::{error::Error, fmt, sync::Arc};

use serde::Serialize;
use uuid::Uuid;

pub use self::{
    json_lines::{DEFAULT_QUEUE, JsonLinesAudit},
    tracing::TracingAudit,
};
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

/// The record of one decision. Serializes to the JSON object of the audit log; names are those of
/// OpenTelemetry where it has one.
///
/// `service`, `jti` and `issuer` are set only when the token was authenticated. What an unverified
/// token says of itself stands in `unverified_service`, escaped and cut.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditEvent {
    /// The record's id, a UUID of version 7; also the `instance` of the answer.
    pub id: Uuid,
    /// When it was decided, in UTC.
    pub time: Timestamp,
    /// What was decided.
    pub decision: Decision,
    /// The HTTP status that the decision stands for; 200 for an allowed caller, whatever the
    /// handler answers then.
    pub status: u16,
    /// The rule that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The stage that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// The refusal in words, for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The handler, as `module::path::function`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<Endpoint>,
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
    /// The verified user, where a gateway lets users through: the `user_id` or `sub`, escaped and
    /// cut.
    #[serde(rename = "user.id", skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The verified token's `jti`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// The key whose signature verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The verified token's issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The kind of the verified token: `compatible`, `strict`, `kubernetes`, `spiffe` or `oauth`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<&'static str>,
    /// The address of the peer of the connection, never one from a header.
    #[serde(rename = "client.address", skip_serializing_if = "Option::is_none")]
    pub client_address: Option<String>,
    /// The trace that the request belongs to, from a valid `traceparent` (W3C Trace Context).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// How long the decision took, in microseconds.
    pub duration_us: u64,
    /// The name that a token gave itself which was not authenticated.
    #[serde(rename = "unverified.service", skip_serializing_if = "Option::is_none")]
    pub unverified_service: Option<String>,
}

/// Takes the record of every decision.
///
/// `record` is called on the request's thread: it must not block on a disk or a network.
pub trait AuditSink: Send + Sync + 'static {
    /// Takes one record.
    ///
    /// # Errors
    /// When the record is lost. The verifier logs that; told to
    /// [require the audit](crate::VerifierBuilder::require_audit), it refuses the caller.
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError>;

    /// Whether a record would be kept now. Asked before a caller is let in where the audit is
    /// [required](crate::VerifierBuilder::require_audit), so that a sink which writes later can say
    /// that it could not write what came before.
    ///
    /// # Errors
    /// When records are being lost.
    fn ready(&self) -> Result<(), AuditError> {
        Ok(())
    }
}

impl<A: AuditSink + ?Sized> AuditSink for Arc<A> {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        (**self).record(event)
    }

    fn ready(&self) -> Result<(), AuditError> {
        (**self).ready()
    }
}

/// Both get every record, the second also when the first has failed.
impl<A: AuditSink, B: AuditSink> AuditSink for (A, B) {
    fn record(&self, event: &AuditEvent) -> Result<(), AuditError> {
        let (first, second) = (self.0.record(event), self.1.record(event));
        first.and(second)
    }

    fn ready(&self) -> Result<(), AuditError> {
        self.0.ready().and(self.1.ready())
    }
}

/// Drops every record. For tools that print the decision themselves; a service that uses it has no
/// audit.
#[derive(Debug, Copy, Clone, Default)]
pub struct NoAudit;

impl AuditSink for NoAudit {
    fn record(&self, _event: &AuditEvent) -> Result<(), AuditError> {
        Ok(())
    }
}

/// A record that was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditError(String);

impl AuditError {
    /// An error with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for AuditError {}
