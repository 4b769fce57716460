//! Answers one request. Each page is a GET or a HEAD, without a body, a cookie or a reason that helps an attacker.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use serde_json::json;

use super::metrics::Metrics;
use super::publication::{Health, Publication, Snapshot, tag};
use crate::listener::certificate::Certificate;

/// The path of the set, below the issuer's own.
pub(crate) const JWKS: &str = "/.well-known/jwks.json";

/// The path of OpenID Connect Discovery 1.0 section 4, which comes after the issuer's own.
const OPENID: &str = "/.well-known/openid-configuration";

/// The path of RFC 8414 section 3, which comes before the issuer's own.
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// How long a certificate that cannot be read again may be a renewal in progress.
const RENEWAL: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Jwks,
    Discovery,
    Health,
    Ready,
    Metrics,
}

pub(crate) struct Pages {
    by_path: BTreeMap<String, Page>,
    publication: Arc<Publication>,
    certificate: Option<Certificate>,
    discovery: Option<Discovery>,
    metrics: Option<Metrics>,
}

/// The discovery document.
struct Discovery {
    text: String,
    tag: String,
}

type Answer = Response<Full<Bytes>>;

impl Pages {
    pub(crate) fn new(
        issuer: &str,
        publication: Arc<Publication>,
        certificate: Option<Certificate>,
        metrics: Option<Metrics>,
    ) -> Self {
        let mut by_path = BTreeMap::from([
            (JWKS.to_owned(), Page::Jwks),
            ("/healthz".to_owned(), Page::Health),
            ("/readyz".to_owned(), Page::Ready),
        ]);
        if metrics.is_some() {
            by_path.insert("/metrics".to_owned(), Page::Metrics);
        }
        let discovery = path_of(issuer).map(|path| {
            by_path.insert(format!("{path}{JWKS}"), Page::Jwks);
            by_path.insert(format!("{path}{OPENID}"), Page::Discovery);
            by_path.insert(format!("{OAUTH}{path}"), Page::Discovery);
            Discovery::of(issuer)
        });
        Self { by_path, publication, certificate, discovery, metrics }
    }

    pub(crate) fn has_discovery(&self) -> bool {
        self.discovery.is_some()
    }

    /// These pages, for a listener.
    pub(crate) fn service(
        self: Arc<Self>,
    ) -> impl Service<Request<Incoming>, Response = Answer, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static {
        service_fn(move |request| {
            let pages = Arc::clone(&self);
            async move { pages.answer(request).await }
        })
    }

    /// Answers a request, and never reads its body.
    pub(crate) async fn answer<B>(&self, request: Request<B>) -> Result<Answer, Infallible> {
        let (head, _) = request.into_parts();
        Ok(self.answer_to(&head.method, head.uri.path(), &head.headers).await)
    }

    async fn answer_to(&self, method: &Method, path: &str, headers: &HeaderMap) -> Answer {
        let Some(page) = self.by_path.get(path) else {
            return plain(StatusCode::NOT_FOUND, "not found\n");
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            let answer = plain(StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD\n");
            return with(answer, ALLOW, "GET, HEAD");
        }
        let snapshot = self.publication.snapshot();
        match page {
            Page::Jwks => self.set(&snapshot, headers),
            Page::Discovery => self.document(&snapshot, headers),
            Page::Health => self.health(&snapshot),
            Page::Ready => ready(&snapshot),
            Page::Metrics => self.measured(&snapshot).await,
        }
    }

    fn set(&self, snapshot: &Snapshot, headers: &HeaderMap) -> Answer {
        if snapshot.health == Health::Gone {
            return unavailable();
        }
        let set = &snapshot.set;
        cached(headers, "application/jwk-set+json", &set.text, &set.tag, snapshot.max_age)
    }

    fn document(&self, snapshot: &Snapshot, headers: &HeaderMap) -> Answer {
        match &self.discovery {
            Some(Discovery { text, tag }) => cached(headers, "application/json", text, tag, snapshot.max_age),
            None => plain(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    /// Unhealthy if the set or the certificate could not be read for some time, or if the certificate has expired. The
    /// reason is on standard error.
    fn health(&self, snapshot: &Snapshot) -> Answer {
        let certificate = match &self.certificate {
            Some(certificate) if certificate.has_expired() => "expired",
            Some(certificate)
                if certificate.broken_since().is_some_and(|since| since.elapsed() > RENEWAL) =>
            {
                "unreadable"
            }
            _ => "ok",
        };
        let is_well = snapshot.health == Health::Fresh && certificate == "ok";
        let body = json!({
            "status": if is_well { "ok" } else { "unhealthy" },
            "set": snapshot.health.as_str(),
            "keys": snapshot.set.kids.len(),
            "read_seconds_ago": snapshot.age.as_secs(),
            "certificate": certificate,
        });
        report(if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &body)
    }

    async fn measured(&self, snapshot: &Snapshot) -> Answer {
        let Some(metrics) = &self.metrics else { return plain(StatusCode::NOT_FOUND, "not found\n") };
        let text = metrics.text(snapshot).await;
        let answer =
            with(body(StatusCode::OK, text), CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8");
        with(answer, CACHE_CONTROL, "no-store")
    }
}

impl Discovery {
    /// Only what is true for an issuer that mints tokens and has no endpoint. Both specifications also ask for
    /// `response_types_supported`, which would name a flow that does not exist here.
    fn of(issuer: &str) -> Self {
        let base = issuer.strip_suffix('/').unwrap_or(issuer);
        let text = json!({ "issuer": issuer, "jwks_uri": format!("{base}{JWKS}") }).to_string() + "\n";
        Self { tag: tag(&text), text }
    }
}

/// The path of an issuer that has a discovery document: an https URL without a query, a user or a fragment.
fn path_of(issuer: &str) -> Option<String> {
    let uri: Uri = issuer.parse().ok()?;
    let has_host = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    let is_plain = uri.scheme_str() == Some("https") && uri.query().is_none() && !issuer.contains('#');
    (has_host && is_plain).then(|| uri.path().trim_end_matches('/').to_owned())
}

/// Ready as long as a set can be sent, even if it is not fresh.
fn ready(snapshot: &Snapshot) -> Answer {
    let is_ready = snapshot.health != Health::Gone;
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    report(status, &json!({ "status": if is_ready { "ready" } else { "unready" } }))
}

/// A document that clients and proxies may keep, or 304 if they have it.
fn cached(headers: &HeaderMap, kind: &'static str, text: &str, tag: &str, max_age: Duration) -> Answer {
    let answer = if has(headers, tag) {
        body(StatusCode::NOT_MODIFIED, "")
    } else {
        with(body(StatusCode::OK, text.to_owned()), CONTENT_TYPE, kind)
    };
    // Without `must-revalidate`, a proxy may send an old set for as long as it wants while this server is down.
    let control = format!("public, max-age={}, must-revalidate", max_age.as_secs());
    with(with(answer, ETAG, tag), CACHE_CONTROL, &control)
}

/// Whether the client has this version: RFC 9110 section 13.1.2, by the weak comparison.
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    // A tag of this server has no comma.
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn unavailable() -> Answer {
    let answer = plain(StatusCode::SERVICE_UNAVAILABLE, "the set cannot be read\n");
    with(answer, RETRY_AFTER, "10")
}

fn report(status: StatusCode, value: &serde_json::Value) -> Answer {
    let answer = with(body(status, format!("{value}\n")), CONTENT_TYPE, "application/json");
    with(answer, CACHE_CONTROL, "no-store")
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    let answer = with(body(status, text), CONTENT_TYPE, "text/plain; charset=utf-8");
    with(answer, CACHE_CONTROL, "no-store")
}

fn body(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    with(answer, X_CONTENT_TYPE_OPTIONS, "nosniff")
}

fn with(mut answer: Answer, name: HeaderName, value: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}
