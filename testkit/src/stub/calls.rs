//! The calls that a stub has received.

use std::fmt;

use http::{
    HeaderMap, Method, StatusCode, Uri,
    header::{AUTHORIZATION, AsHeaderName},
    request::Parts,
};

/// A call that a [`StubService`](crate::StubService) has received. `Display` prints it in one line, without its
/// token.
#[derive(Debug, Clone)]
pub struct StubCall {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
    service: Option<String>,
    status: StatusCode,
}

impl StubCall {
    /// A call before the decision about its caller.
    pub(super) fn received(parts: &Parts, body: Vec<u8>) -> Self {
        let Parts { method, uri, headers, .. } = parts;
        let (method, uri, mut headers) = (method.clone(), uri.clone(), headers.clone());
        // `Debug` must not print the token.
        let credentials = headers.iter_mut().filter(|(name, _)| *name == AUTHORIZATION);
        credentials.for_each(|(_, value)| value.set_sensitive(true));
        Self { method, uri, headers, body, service: None, status: StatusCode::OK }
    }

    /// The call after its answer, which has the name of an admitted service.
    pub(super) fn answered(self, service: Option<String>, status: StatusCode) -> Self {
        Self { service, status, ..self }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The query, without its question mark.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    /// The first header of this name, if its value is text.
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The verified name of the calling service; `None` if the call was refused.
    #[doc(alias = "caller")]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Display for StubCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, uri, status, .. } = self;
        match self.service() {
            Some(service) => write!(f, "{method} {uri} of `{service}` answered {status}"),
            None => write!(f, "{method} {uri} without an accepted token answered {status}"),
        }
    }
}

/// One line for each call.
pub(super) fn listed(calls: &[StubCall]) -> String {
    match calls {
        [] => "it received no call\n".to_owned(),
        calls => calls.iter().map(|call| format!("{call}\n")).collect(),
    }
}
