//! The complete response of a router.

use std::fmt;

use axum::response::Response;
use http::{
    HeaderMap, StatusCode,
    header::{AsHeaderName, CONTENT_TYPE, WWW_AUTHENTICATE},
    response::Parts,
};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use service_only::audit::AuditRecord;
use uuid::Uuid;

use crate::{
    assertions::{Answer, Answered},
    audit::{Audited, RecordingAudit, Tick},
    fail::{OrFail, fail},
};

/// The response to a [`TestRequest`](crate::TestRequest). `Display` prints all of it, for a message.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # use axum::{Router, routing::get};
/// # use service_only::service_only;
/// # use service_only_testkit::{TestAuthority, call};
/// # #[service_only] async fn stock() -> &'static str { "12 loaves" }
/// # let authority = TestAuthority::new();
/// # let app = call(Router::new().route("/stock", get(stock)).with_state(authority.verifier()));
/// let response = app.get("/stock").bearer(authority.service("orders").token()).await;
/// assert_eq!(response.text(), "12 loaves");
///
/// let response = app.get("/stock").await;
/// assert_eq!(response.challenge(), Some(r#"Bearer realm="service""#));
/// assert_eq!(response.problem()["title"], "A valid service token is required");
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TestResponse {
    /// Method and URI of the request, for a failing assertion.
    request: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    audit: Option<RecordingAudit>,
    /// The first and the last tick of the call.
    called: (Tick, Tick),
}

impl TestResponse {
    pub(crate) async fn read(
        request: String,
        response: Response,
        audit: Option<RecordingAudit>,
        called: Tick,
    ) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.or_fail("the body of the response").to_bytes().to_vec();
        let Parts { status, headers, extensions, .. } = parts;
        // The router may write a record only when the last part of a response is dropped.
        drop(extensions);
        let called = (called, Tick::next());
        Self { request, status, headers, body, audit, called }
    }

    /// The status. You can compare it with a number: `response.status() == 403`.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The first header of this name, if its value is text.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The challenge of a refusal: `WWW-Authenticate`.
    pub fn challenge(&self) -> Option<&str> {
        self.header(WWW_AUTHENTICATE)
    }

    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    /// When it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).or_fail("the body of the response is not text")
    }

    /// The body, read as JSON.
    ///
    /// # Panics
    /// When it is not JSON of that type.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).or_fail("the body of the response is not the JSON wanted")
    }

    /// The problem document of a refusal (RFC 9457).
    ///
    /// # Panics
    /// When the body is not one: the media type is another, or `status` is not the response's own.
    #[track_caller]
    pub fn problem(&self) -> Value {
        if self.header(CONTENT_TYPE) != Some("application/problem+json") {
            fail(format_args!("expected a problem document\n\n{self}"));
        }
        let problem: Value = self.json();
        if problem.get("status") != Some(&Value::from(self.status.as_u16())) {
            fail(format_args!("the problem's `status` is not the response's {}\n\n{problem:#}", self.status));
        }
        problem
    }

    /// The records of this call in an audit log. A refusal names its own record (RFC 9457 `instance`). For
    /// other responses, these are the records that arrived during the call.
    pub(crate) fn records_in(&self, audit: &RecordingAudit) -> Vec<AuditRecord> {
        let (called, answered) = self.called;
        let during = audit.between(called, answered);
        match self.instance() {
            Some(instance) => during.into_iter().filter(|event| event.id == instance).collect(),
            None => during,
        }
    }

    fn instance(&self) -> Option<Uuid> {
        let is_problem = self.header(CONTENT_TYPE) == Some("application/problem+json");
        let problem: Value = is_problem.then(|| serde_json::from_slice(&self.body).ok()).flatten()?;
        problem.get("instance")?.as_str()?.strip_prefix("urn:uuid:")?.parse().ok()
    }
}

impl Audited for TestResponse {
    fn trail(&self) -> Option<RecordingAudit> {
        self.audit.clone()
    }

    fn records(&self) -> Vec<AuditRecord> {
        self.audit.as_ref().map(|audit| self.records_in(audit)).unwrap_or_default()
    }
}

impl Answer for TestResponse {
    fn answered(&self) -> Answered {
        Answered {
            has_challenge: Some(self.challenge().is_some()),
            instance: self.instance(),
            description: self.to_string(),
            audit: self.audit.clone(),
            ..Answered::with(self.status)
        }
    }
}

/// Prints the request, the status, the headers and the body, for a failing assertion.
impl fmt::Display for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {}", self.request, self.status)?;
        for (name, value) in &self.headers {
            write!(f, "\n    {name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        if !self.body.is_empty() {
            write!(f, "\n    {}", String::from_utf8_lossy(&self.body))?;
        }
        Ok(())
    }
}
