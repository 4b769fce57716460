//! Fetches a JWK set once over HTTP, with limits on time and size, and only from the configured place.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use reqwest::{
    Method, Response, StatusCode, Url,
    header::{ACCEPT, ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, HeaderMap},
    redirect::{Attempt, Policy},
};
use serde::de::MapAccess;

use zeroize::Zeroizing;

use super::{RemoteError, RemoteErrorKind, freshness::fresh_for};
use crate::{
    denial::quoted,
    http_client::{HttpClient, HttpSettings, cause, server_url, shown},
    json::{self, JsonError, Value},
    keys::{KeySet, set::read_bounded},
    text,
};

/// The configured source of the keys.
#[derive(Debug)]
pub(crate) enum Place {
    Jwks(String),
    Issuer(String),
}

#[derive(Default)]
pub(crate) struct Transport {
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) bearer: Option<PathBuf>,
    pub(crate) follow_redirects: bool,
    pub(crate) allow_http: bool,
    pub(crate) proxy: Option<String>,
}

pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) bytes: usize,
    pub(crate) keys: usize,
}

pub(crate) struct Fetcher {
    client: HttpClient,
    /// The URL of the JWK set, or of the discovery document of an issuer.
    home: Url,
    issuer: Option<String>,
    bearer: Option<TokenFile>,
    allow_http: bool,
    limits: Limits,
    /// The URL of the current request, without secrets, for logs.
    asking: String,
}

/// A file with a bearer token. Only one thread at a time reads it, because its file system may hang.
struct TokenFile {
    path: PathBuf,
    is_read: Arc<AtomicBool>,
}

pub(crate) struct Fetched {
    pub(crate) keys: KeySet,
    pub(crate) fresh_for: Option<Duration>,
}

/// The maximum number of redirects, if redirects are followed.
const MAX_REDIRECTS: usize = 3;

/// The maximum length of a bearer token. A Kubernetes token has about 1,000 bytes.
const MAX_BEARER_BYTES: usize = 16 * 1024;

/// The timeout for reading a token. A file system that needs longer hangs.
const MAX_READ: Duration = Duration::from_secs(2);

impl Fetcher {
    pub(crate) fn new(place: Place, transport: Transport, limits: Limits) -> Result<Self, RemoteError> {
        let (home, issuer) = match place {
            Place::Jwks(url) => (parse(&url, transport.allow_http), None),
            Place::Issuer(issuer) => (document_of(&issuer, transport.allow_http), Some(issuer)),
        };
        let home = home.map_err(RemoteError::configuration)?;
        if transport.bearer.is_some() && home.scheme() != "https" {
            return Err(RemoteError::configuration(
                "a bearer token is sent over https only; leave `.bearer_token_file(…)` out",
            ));
        }
        let client = client(&transport, home.scheme() == "http")?;
        let Transport { bearer, allow_http, .. } = transport;
        let bearer = bearer.map(|path| TokenFile { path, is_read: Arc::default() });
        let asking = shown(&home);
        Ok(Self { client, home, issuer, bearer, allow_http, limits, asking })
    }

    pub(crate) fn place(&self) -> String {
        shown(&self.home)
    }

    pub(crate) async fn fetch(&mut self) -> Result<Fetched, RemoteError> {
        let timeout = self.limits.timeout;
        let in_time = tokio::time::timeout(timeout, self.fetch_keys()).await;
        in_time
            .unwrap_or(Err(RemoteErrorKind::Timeout(timeout)))
            .map_err(|kind| RemoteError::from(kind).at(&self.asking))
    }

    async fn fetch_keys(&mut self) -> Result<Fetched, RemoteErrorKind> {
        let url = match self.issuer.clone() {
            None => self.home.clone(),
            Some(issuer) => self.discover(&issuer).await?,
        };
        let answer = self.get(url).await?;
        let fresh_for = freshness(answer.headers());
        let keys = KeySet::from_jwks_of(&self.body(answer).await?, self.limits.keys);
        Ok(Fetched { keys: keys.map_err(RemoteErrorKind::Keys)?, fresh_for })
    }

    /// Fetches the discovery document. It must name the configured issuer (OpenID Connect Discovery 1.0 section 4.3).
    async fn discover(&mut self, issuer: &str) -> Result<Url, RemoteErrorKind> {
        let answer = self.get(self.home.clone()).await?;
        let document = Document::read(&self.body(answer).await?)?;
        if document.issuer.as_deref() != Some(issuer) {
            let found = document.issuer.as_deref().map(quoted).unwrap_or_default();
            return Err(RemoteErrorKind::Discovery(format!(
                "`issuer` is `{found}`, expected `{}`",
                quoted(issuer)
            )));
        }
        let uri = document
            .jwks_uri
            .ok_or_else(|| RemoteErrorKind::Discovery("`jwks_uri` is missing".to_owned()))?;
        parse(&uri, self.allow_http).map_err(|why| RemoteErrorKind::Discovery(format!("`jwks_uri`: {why}")))
    }

    async fn get(&mut self, url: Url) -> Result<Response, RemoteErrorKind> {
        self.asking = shown(&url);
        // The author of the discovery document must not choose which server receives the token.
        let bearer = self.bearer.as_ref().filter(|_| url.origin() == self.home.origin());
        let mut request = self
            .client
            .request(Method::GET, url)
            .map_err(no_answer)?
            .header(ACCEPT, "application/jwk-set+json, application/json")
            .header(ACCEPT_ENCODING, "identity");
        if let Some(file) = bearer {
            request = request.bearer_auth(&*file.read().await?);
        }
        let answer = request.send().await.map_err(|error| failed(&error))?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            other => Err(RemoteErrorKind::Status(other.as_u16())),
        }
    }

    /// Reads the body and stops at the limit, whatever length the server announced.
    async fn body(&self, mut answer: Response) -> Result<Vec<u8>, RemoteErrorKind> {
        // Refuse compressed responses: a small response must not expand into a large one.
        let encodings = answer.headers().get_all(CONTENT_ENCODING).iter();
        let encoding = encodings.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
        if let Some(encoding) =
            encoding.into_iter().find(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"))
        {
            return Err(RemoteErrorKind::Encoded(quoted(&encoding)));
        }
        let limit = self.limits.bytes;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
            if chunk.len() > limit - body.len() {
                return Err(RemoteErrorKind::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl TokenFile {
    async fn read(&self) -> Result<Zeroizing<String>, RemoteErrorKind> {
        let hangs = || {
            let path = self.path.display();
            RemoteErrorKind::BearerToken(format!(
                "{path}: the bearer token is not read within {MAX_READ:?}: does its file system hang?"
            ))
        };
        // At most one thread is blocked, however many fetches fail.
        if self.is_read.swap(true, Ordering::AcqRel) {
            return Err(hangs());
        }
        let (path, is_read) = (self.path.clone(), Arc::clone(&self.is_read));
        let read = tokio::task::spawn_blocking(move || {
            let token = read_token(&path);
            is_read.store(false, Ordering::Release);
            token
        });
        match tokio::time::timeout(MAX_READ, read).await {
            Ok(Ok(token)) => token.map_err(RemoteErrorKind::BearerToken),
            Ok(Err(_)) | Err(_) => Err(hangs()),
        }
    }
}

fn read_token(path: &Path) -> Result<Zeroizing<String>, String> {
    let bytes = read_bounded(path, MAX_BEARER_BYTES).map_err(|error| error.to_string())?;
    let text =
        text::decode(&bytes).map_err(|why| format!("{}: the bearer token is {why}", path.display()))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{}: not exactly one bearer token", path.display()));
    }
    Ok(Zeroizing::new(token.to_owned()))
}

fn client(transport: &Transport, plain: bool) -> Result<HttpClient, RemoteError> {
    let settings = HttpSettings {
        roots: transport.roots.as_deref(),
        proxy: transport.proxy.as_deref(),
        allow_http: transport.allow_http,
        allow_no_roots: plain,
        redirect: if transport.follow_redirects { || Policy::custom(same_origin) } else { Policy::none },
        user_agent: concat!("service-only/", env!("CARGO_PKG_VERSION")),
    };
    settings.build().map_err(RemoteError::configuration)
}

fn same_origin(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let (next, previous) = (attempt.url(), attempt.previous());
    let same = previous.first().is_some_and(|first| first.origin() == next.origin());
    if next.scheme() == "https" && same && previous.len() <= MAX_REDIRECTS {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// Parses a URL that keys may be fetched from.
fn parse(text: &str, allow_http: bool) -> Result<Url, String> {
    server_url(text, allow_http, "replace the keys")
}

/// Builds the URL of the discovery document. A trailing slash of the issuer is not doubled (OpenID Connect Discovery
/// 1.0 section 4).
fn document_of(issuer: &str, allow_http: bool) -> Result<Url, String> {
    let url = parse(issuer, allow_http)?;
    if url.query().is_some() {
        return Err("an issuer has no query (`?`)".to_owned());
    }
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    parse(&format!("{base}/.well-known/openid-configuration"), allow_http)
}

fn freshness(headers: &HeaderMap) -> Option<Duration> {
    let cache_control = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    fresh_for(cache_control, headers.get(AGE).and_then(|value| value.to_str().ok()))
}

/// The parts of a discovery document that are read.
#[derive(Default)]
struct Document {
    issuer: Option<String>,
    jwks_uri: Option<String>,
}

impl Document {
    fn read(json: &[u8]) -> Result<Self, RemoteErrorKind> {
        let mut document = Self::default();
        let text = text::decode(json).map_err(|why| RemoteErrorKind::Discovery(why.to_string()))?;
        json::read_object(text.as_bytes(), &mut document).map_err(|error| match error {
            JsonError::Malformed(why) | JsonError::WrongType(why) => RemoteErrorKind::Discovery(why),
        })?;
        Ok(document)
    }
}

json::names! {
    /// The members of a discovery document that are read.
    DocumentName {
        Issuer = "issuer",
        JwksUri = "jwks_uri",
    }
}

impl<'de> json::Members<'de> for Document {
    type Name = DocumentName;

    fn member<A: MapAccess<'de>>(&mut self, name: DocumentName, map: &mut A) -> Result<(), A::Error> {
        let value = map.next_value::<Value<'de>>()?.into_text().map(Into::into);
        match name {
            DocumentName::Issuer => self.issuer = value,
            DocumentName::JwksUri => self.jwks_uri = value,
        }
        Ok(())
    }
}

fn failed(error: &reqwest::Error) -> RemoteErrorKind {
    let why = cause(error);
    match PROXY_VARIABLES
        .into_iter()
        .find(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
    {
        Some(name) if error.is_connect() => {
            no_answer(format!("{why} (`{name}` is set and ignored: set a proxy with `.proxy(…)`)"))
        }
        _ => no_answer(why),
    }
}

/// The environment variables from which other clients read a proxy.
const PROXY_VARIABLES: [&str; 6] =
    ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY"];

fn no_answer(why: impl Into<String>) -> RemoteErrorKind {
    RemoteErrorKind::NoAnswer(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_discovery_document_is_below_the_issuer_url() {
        for (issuer, document) in [
            ("https://auth.example", "https://auth.example/.well-known/openid-configuration"),
            ("https://auth.example/", "https://auth.example/.well-known/openid-configuration"),
            ("https://auth.example/t/1", "https://auth.example/t/1/.well-known/openid-configuration"),
            ("https://auth.example/t/1/", "https://auth.example/t/1/.well-known/openid-configuration"),
        ] {
            assert_eq!(document_of(issuer, false).unwrap().as_str(), document);
        }
        assert!(document_of("https://auth.example/?tenant=1", false).is_err());
        assert!(document_of("http://auth.example", false).is_err());
    }

    #[test]
    fn a_document_with_a_member_twice_or_of_another_type_names_nothing() {
        let read = |json: &str| Document::read(json.as_bytes());
        let good =
            read(r#"{"issuer":"a","jwks_uri":"b","scopes_supported":["openid"],"x":{"y":1}}"#).unwrap();
        assert_eq!((good.issuer.as_deref(), good.jwks_uri.as_deref()), (Some("a"), Some("b")));
        assert!(read(r#"{"issuer":"a","issuer":"b"}"#).is_err() && read("[]").is_err() && read("").is_err());
        assert!(read(r#"{"issuer":["a"]}"#).unwrap().issuer.is_none());
    }
}
