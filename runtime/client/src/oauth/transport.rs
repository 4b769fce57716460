//! One HTTP request to a provider, with limits on time and size, without redirects and without proxies of the
//! environment.

use std::time::{Duration, SystemTime};

use reqwest::{RequestBuilder, StatusCode, Url, redirect::Policy};
use service_only::{
    __satellite::{HttpClient, HttpSettings, cause, server_url},
    clock::Timestamp,
};
use zeroize::Zeroizing;

use crate::error::{TokenError, TokenErrorKind};

/// See [`ClientCredentials::DEFAULT_TIMEOUT`](crate::ClientCredentials::DEFAULT_TIMEOUT).
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// See [`ClientCredentials::MAX_RESPONSE_BYTES`](crate::ClientCredentials::MAX_RESPONSE_BYTES).
pub(crate) const MAX_RESPONSE_BYTES: usize = 64 * 1024;

pub(crate) struct Transport {
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) proxy: Option<String>,
    pub(crate) timeout: Duration,
    pub(crate) allow_http: bool,
}

impl Default for Transport {
    fn default() -> Self {
        Self { roots: None, proxy: None, timeout: DEFAULT_TIMEOUT, allow_http: false }
    }
}

/// How long requests pause after a 429 without `Retry-After`.
pub(crate) const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// When the next request may be sent (RFC 9110 section 10.2.3).
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    Pause(Duration),
    Date(SystemTime),
}

impl RetryAfter {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let seconds = value.parse().ok().map(Duration::from_secs).map(Self::Pause);
        seconds.or_else(|| httpdate::parse_http_date(value).ok().map(Self::Date))
    }
}

/// The parts of a response that are read.
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) is_html: bool,
    pub(crate) retry_after: Option<RetryAfter>,
    /// The nonce for the next proof of DPoP (RFC 9449 section 8).
    #[cfg(feature = "issue")]
    pub(crate) nonce: Option<http::HeaderValue>,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Response {
    /// An error if the provider limits requests. For a date in the past the pause is zero, and the supply
    /// adds its own for each failure.
    pub(crate) fn check_limit(&self, now: Timestamp) -> Result<(), TokenErrorKind> {
        if self.status != StatusCode::TOO_MANY_REQUESTS {
            return Ok(());
        }
        Err(TokenErrorKind::RateLimited(match self.retry_after {
            Some(RetryAfter::Pause(pause)) => pause,
            Some(RetryAfter::Date(date)) => Timestamp::from(date).since(now).unwrap_or_default(),
            None => DEFAULT_RETRY_AFTER,
        }))
    }
}

impl Transport {
    pub(crate) fn client(&self) -> Result<HttpClient, TokenError> {
        let settings = HttpSettings {
            roots: self.roots.as_deref(),
            proxy: self.proxy.as_deref(),
            allow_http: self.allow_http,
            allow_no_roots: self.allow_http,
            // A redirect would carry the credential to a place that is not configured.
            redirect: Policy::none,
            user_agent: concat!("service-only-client/", env!("CARGO_PKG_VERSION")),
        };
        settings.build().map_err(configuration)
    }

    /// Parses a URL that a credential may be sent to.
    pub(crate) fn parse(&self, text: &str) -> Result<Url, TokenError> {
        server_url(text, self.allow_http, "read the credential").map_err(configuration)
    }

    /// Sends a request and reads its whole response within the timeout.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, TokenErrorKind> {
        let answered = tokio::time::timeout(self.timeout, receive(request)).await;
        answered.unwrap_or(Err(TokenErrorKind::Timeout(self.timeout)))
    }
}

async fn receive(request: RequestBuilder) -> Result<Response, TokenErrorKind> {
    let request = request.header("accept", "application/json").header("accept-encoding", "identity");
    let mut answer = request.send().await.map_err(|error| failed(&error))?;
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let is_html =
        header("content-type").is_some_and(|value| value.to_ascii_lowercase().contains("text/html"));
    let retry_after = header("retry-after").and_then(RetryAfter::parse);
    #[cfg(feature = "issue")]
    let nonce = answer.headers().get("dpop-nonce").cloned();
    let status = answer.status();
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
        if chunk.len() > MAX_RESPONSE_BYTES - body.len() {
            return Err(TokenErrorKind::Response(format!(
                "the response is larger than {MAX_RESPONSE_BYTES} bytes"
            )));
        }
        body.extend_from_slice(&chunk);
    }
    let is_html = is_html || body.trim_ascii_start().starts_with(b"<");
    Ok(Response {
        status,
        is_html,
        retry_after,
        #[cfg(feature = "issue")]
        nonce,
        body,
    })
}

pub(crate) fn configuration(why: impl Into<String>) -> TokenError {
    TokenErrorKind::Configuration(why.into()).into()
}

fn failed(error: &reqwest::Error) -> TokenErrorKind {
    let why = cause(error);
    let remedy = if why.contains("certificate") {
        "; set the certificate authority of the provider with `.root_certificates(…)`"
    } else if error.is_connect() {
        "; is the URL right, and does a proxy need `.proxy(…)`?"
    } else {
        ""
    };
    TokenErrorKind::NoAnswer(format!("{why}{remedy}"))
}
