//! The answer of a stub to a caller with an accepted token.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

use crate::{app::header, fail::OrFail};

/// The answer of a [`StubService`](crate::StubService) to one method and path.
///
/// ```
/// use service_only_testkit::StubAnswer;
///
/// StubAnswer::text("12 loaves");
/// StubAnswer::json(&serde_json::json!({"loaves": 12})).header("etag", "\"7\"");
/// StubAnswer::status(409);
/// ```
#[derive(Debug, Clone)]
#[must_use = "give it to `StubService::on`"]
pub struct StubAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl StubAnswer {
    /// An empty body with this status.
    ///
    /// # Panics
    /// When the number is not an HTTP status.
    #[track_caller]
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).or_fail("the status of an answer");
        Self { status, headers: HeaderMap::new(), body: Vec::new() }
    }

    /// Status 200 and a text.
    #[track_caller]
    pub fn text(body: impl Into<String>) -> Self {
        let body = body.into().into_bytes();
        Self { body, ..Self::status(200) }.header(CONTENT_TYPE, "text/plain; charset=utf-8")
    }

    /// Status 200 and a value as JSON.
    ///
    /// # Panics
    /// When the value cannot be serialized.
    #[track_caller]
    pub fn json(body: &(impl Serialize + ?Sized)) -> Self {
        let body = serde_json::to_vec(body).or_fail("the body of an answer");
        Self { body, ..Self::status(200) }.header(CONTENT_TYPE, "application/json")
    }

    /// The same answer with another status.
    ///
    /// # Panics
    /// When the number is not an HTTP status.
    #[track_caller]
    pub fn with_status(self, status: u16) -> Self {
        Self { status: Self::status(status).status, ..self }
    }

    /// Adds a header.
    ///
    /// # Panics
    /// When name or value is not valid in HTTP.
    #[track_caller]
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName, Error: std::fmt::Display>,
        value: impl AsRef<[u8]>,
    ) -> Self {
        let (name, value) = header(name, value);
        self.headers.append(name, value);
        self
    }

    pub(crate) fn response(&self) -> Response {
        (self.status, self.headers.clone(), Body::from(self.body.clone())).into_response()
    }
}
