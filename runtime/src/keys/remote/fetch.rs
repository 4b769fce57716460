//! One fetch over HTTP: bounded in time and size, and from nowhere but where it was told.

use std::{error::Error, path::PathBuf, time::Duration};

use reqwest::{
    Certificate, Client, Response, StatusCode, Url,
    header::{ACCEPT, AGE, CACHE_CONTROL, HeaderMap},
    redirect::{Attempt, Policy},
};
use serde::de::MapAccess;

use super::{RemoteError, freshness::fresh_for};
use crate::{
    denial::quoted,
    json::{self, JsonError, Value},
    keys::{KeyError, KeySet, set::read_bounded},
};

/// Where the keys are, as it was said.
#[derive(Debug)]
pub(super) enum Place {
    Jwks(String),
    Issuer(String),
}

#[derive(Default)]
pub(super) struct Transport {
    pub(super) roots: Option<Vec<u8>>,
    pub(super) bearer: Option<PathBuf>,
    pub(super) follow_redirects: bool,
    pub(super) allow_http: bool,
}

pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) bytes: usize,
    pub(super) keys: usize,
}

pub(super) struct Fetcher {
    client: Client,
    /// The JWK set, or the discovery document of an issuer.
    home: Url,
    issuer: Option<String>,
    bearer: Option<PathBuf>,
    allow_http: bool,
    limits: Limits,
}

pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) fresh_for: Option<Duration>,
}

/// Redirects that are followed, where any are.
const MAX_REDIRECTS: usize = 3;

/// A Kubernetes token has about 1,000 bytes.
const MAX_BEARER_BYTES: usize = 16 * 1024;

impl Fetcher {
    pub(super) fn new(place: Place, transport: Transport, limits: Limits) -> Result<Self, RemoteError> {
        let (home, issuer) = match place {
            Place::Jwks(url) => (parse(&url, transport.allow_http), None),
            Place::Issuer(issuer) => (document_of(&issuer, transport.allow_http), Some(issuer)),
        };
        let home = home.map_err(RemoteError::Configuration)?;
        if transport.bearer.is_some() && home.scheme() != "https" {
            let why = "a bearer token is sent over https only; leave `.bearer_token_file(…)` out";
            return Err(RemoteError::Configuration(why.to_owned()));
        }
        let client = client(&transport)?;
        let Transport { bearer, allow_http, .. } = transport;
        Ok(Self { client, home, issuer, bearer, allow_http, limits })
    }

    /// Fit for a log: a query may hold a secret.
    pub(super) fn place(&self) -> String {
        let mut url = self.home.clone();
        url.set_query(None);
        url.into()
    }

    pub(super) async fn fetch(&self) -> Result<Fetched, RemoteError> {
        let timeout = self.limits.timeout;
        let in_time = tokio::time::timeout(timeout, self.fetch_keys()).await;
        in_time.unwrap_or(Err(RemoteError::Timeout(timeout)))
    }

    async fn fetch_keys(&self) -> Result<Fetched, RemoteError> {
        let url = match &self.issuer {
            None => self.home.clone(),
            Some(issuer) => self.discover(issuer).await?,
        };
        let answer = self.get(url).await?;
        let fresh_for = freshness(answer.headers());
        let keys = KeySet::from_jwks(&self.body(answer).await?).map_err(RemoteError::Keys)?;
        let (found, most) = (keys.len() + keys.skipped().len(), self.limits.keys);
        if found > most {
            return Err(RemoteError::Keys(KeyError::unusable(format!("{found} keys, more than {most}"))));
        }
        Ok(Fetched { keys, fresh_for })
    }

    /// OpenID Connect Discovery 1.0 section 4.3: the document must name the issuer that was asked.
    async fn discover(&self, issuer: &str) -> Result<Url, RemoteError> {
        let answer = self.get(self.home.clone()).await?;
        let document = Document::read(&self.body(answer).await?)?;
        if document.issuer.as_deref() != Some(issuer) {
            let found = document.issuer.as_deref().map(quoted).unwrap_or_default();
            return Err(RemoteError::Discovery(format!(
                "`issuer` is `{found}`, expected `{}`",
                quoted(issuer)
            )));
        }
        let uri =
            document.jwks_uri.ok_or_else(|| RemoteError::Discovery("there is no `jwks_uri`".to_owned()))?;
        parse(&uri, self.allow_http).map_err(|why| RemoteError::Discovery(format!("`jwks_uri`: {why}")))
    }

    async fn get(&self, url: Url) -> Result<Response, RemoteError> {
        // Whoever writes the discovery document must not choose who gets the token.
        let bearer = self.bearer.as_ref().filter(|_| url.origin() == self.home.origin());
        let mut request = self.client.get(url).header(ACCEPT, "application/jwk-set+json, application/json");
        if let Some(path) = bearer {
            let token = read_bounded(path, MAX_BEARER_BYTES).map_err(RemoteError::Keys)?;
            let token = std::str::from_utf8(&token).map_err(|_| no_answer("the bearer token is not text"))?;
            request = request.bearer_auth(token.trim());
        }
        let answer = request.send().await.map_err(|error| failed(&error))?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            other => Err(RemoteError::Status(other.as_u16())),
        }
    }

    /// Stops at the limit, whatever length was announced.
    async fn body(&self, mut answer: Response) -> Result<Vec<u8>, RemoteError> {
        let limit = self.limits.bytes;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
            if chunk.len() > limit - body.len() {
                return Err(RemoteError::TooLarge(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn client(transport: &Transport) -> Result<Client, RemoteError> {
    let mut builder = Client::builder()
        .no_proxy()
        .https_only(!transport.allow_http)
        .redirect(if transport.follow_redirects { Policy::custom(same_origin) } else { Policy::none() })
        .user_agent(concat!("service-only/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = &transport.roots {
        let roots = Certificate::from_pem_bundle(pem).unwrap_or_default();
        if roots.is_empty() {
            let why = "there is no certificate in PEM among the root certificates";
            return Err(RemoteError::Configuration(why.to_owned()));
        }
        builder = builder.tls_certs_only(roots);
    }
    builder.build().map_err(|error| RemoteError::Configuration(chain(&error)))
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

/// A URL that keys may be fetched from.
fn parse(text: &str, allow_http: bool) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{}` is no URL: {error}", quoted(text)))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => return Err("plain http lets anybody on the way choose the keys; use https".to_owned()),
        other => return Err(format!("the scheme is `{}`, expected `https`", quoted(other))),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a password in a URL ends up in logs; leave it out".to_owned());
    }
    if url.fragment().is_some() {
        return Err("a fragment (`#`) is never sent; leave it out".to_owned());
    }
    Ok(url)
}

/// OpenID Connect Discovery 1.0 section 4: a slash at the issuer's end is not doubled.
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

/// What is read of a discovery document.
#[derive(Default)]
struct Document {
    issuer: Option<String>,
    jwks_uri: Option<String>,
}

impl Document {
    fn read(json: &[u8]) -> Result<Self, RemoteError> {
        let mut document = Self::default();
        json::read_object(json, &mut document).map_err(|error| match error {
            JsonError::Malformed(why) | JsonError::WrongType(why) => RemoteError::Discovery(why),
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

fn failed(error: &reqwest::Error) -> RemoteError {
    // The outermost message holds the URL, and the URL may hold a secret.
    no_answer(error.source().map_or_else(|| "the connection failed".to_owned(), chain))
}

fn no_answer(why: impl Into<String>) -> RemoteError {
    RemoteError::NoAnswer(why.into())
}

/// The whole story: the outer messages of an HTTP client rarely say what is wrong.
fn chain(error: &dyn Error) -> String {
    let mut story = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        story = format!("{story}: {error}");
        cause = error.source();
    }
    quoted(&story)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_from_a_plain_url() {
        for (url, allow_http, ok) in [
            ("https://auth.example/jwks.json", false, true),
            ("https://auth.example:8443/jwks?version=2", false, true),
            ("http://auth.example/jwks.json", false, false),
            ("http://auth.example/jwks.json", true, true),
            ("file:///etc/jwks.json", true, false),
            ("ftp://auth.example/jwks", true, false),
            ("https://user:secret@auth.example/", false, false),
            ("https://user@auth.example/", false, false),
            ("https://auth.example/#keys", false, false),
            ("https://", false, false),
            ("auth.example/jwks.json", false, false),
            ("", false, false),
        ] {
            let parsed = parse(url, allow_http);
            assert_eq!(parsed.is_ok(), ok, "{url} {allow_http}");
            assert!(!parsed.is_err_and(|why| why.contains("secret")), "{url}");
        }
    }

    #[test]
    fn the_discovery_document_lies_below_the_issuer() {
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
