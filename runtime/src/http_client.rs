//! The HTTP client that fetches keys, and tokens for `service-only-client`: without proxies of the environment, and with
//! errors that contain no secret.

use std::error::Error;

use reqwest::{Certificate, Client, ClientBuilder, Method, Proxy, RequestBuilder, Url, redirect::Policy};

use crate::denial::{Backslash, escaped, quoted};

/// The settings of a client.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "hidden")]
pub struct HttpSettings<'s> {
    /// The certificates of the trusted authorities in PEM, instead of those of the machine.
    pub roots: Option<&'s [u8]>,
    /// The URL of a proxy.
    pub proxy: Option<&'s str>,
    /// Whether a URL may be plain HTTP.
    pub allow_http: bool,
    /// Whether the client may lack certificates, because it uses plain HTTP: an image may have no authorities.
    pub allow_no_roots: bool,
    /// Which redirects are followed.
    pub redirect: fn() -> Policy,
    /// The value of the header `User-Agent`.
    pub user_agent: &'static str,
}

/// A client, and the requests that it can send.
#[derive(Debug)]
pub struct HttpClient {
    client: Client,
    /// Why the client trusts no certificate.
    no_roots: Option<String>,
}

impl HttpSettings<'_> {
    /// # Errors
    /// When a setting is invalid, or the machine has no certificates of authorities and the client needs them.
    pub fn build(&self) -> Result<HttpClient, String> {
        let trusted = |client| HttpClient { client, no_roots: None };
        if let Some(pem) = self.roots {
            let roots = Certificate::from_pem_bundle(pem).unwrap_or_default();
            if roots.is_empty() {
                return Err("the root certificates contain no certificate in PEM".to_owned());
            }
            return build(self.settings()?.tls_certs_only(roots)).map(trusted);
        }
        let why = match build(self.settings()?) {
            Ok(client) => return Ok(trusted(client)),
            Err(error) => format!(
                "{error}; install the package `ca-certificates`, or set certificate authorities with `.root_certificates(…)`"
            ),
        };
        if !self.allow_no_roots {
            return Err(why);
        }
        let client = build(self.settings()?.tls_certs_only([]))?;
        Ok(HttpClient { client, no_roots: Some(why) })
    }

    fn settings(&self) -> Result<ClientBuilder, String> {
        let settings = Client::builder()
            // An environment variable must not put a proxy between a verifier and its keys.
            .no_proxy()
            // Another crate of the program may have enabled these features.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .https_only(!self.allow_http)
            .redirect((self.redirect)())
            .user_agent(self.user_agent);
        match self.proxy {
            None => Ok(settings),
            // The text may contain a password.
            Some(url) => Proxy::all(url).map(|proxy| settings.proxy(proxy)).map_err(|_| {
                "the text of `.proxy(…)` is not the URL of a proxy, such as `http://proxy.example:3128`"
                    .to_owned()
            }),
        }
    }
}

fn build(settings: ClientBuilder) -> Result<Client, String> {
    settings.build().map_err(|error| messages(&error))
}

impl HttpClient {
    /// # Errors
    /// When the URL needs TLS and the client trusts no certificate. The error names the remedy.
    pub fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, &str> {
        match &self.no_roots {
            Some(why) if url.scheme() == "https" => Err(why),
            _ => Ok(self.client.request(method, url)),
        }
    }
}

/// Parses the URL of a server. `risk` names what an attacker on the network could do if it were plain HTTP.
///
/// # Errors
/// When the text is not a URL, has another scheme than `https`, or has a part that is leaked or never sent.
pub fn server_url(text: &str, allow_http: bool, risk: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{}` is not a URL: {error}", quoted(text)))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => {
            return Err(format!(
                "`{}`: over plain http, an attacker on the network could {risk}; use https",
                quoted(text)
            ));
        }
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

/// Formats a URL for a log without its query, which may contain a secret.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}

/// Why a request failed. The outermost message of the error contains the URL, and the URL may contain a secret.
pub fn cause(error: &reqwest::Error) -> String {
    error.source().map_or_else(|| "the connection failed".to_owned(), messages)
}

/// The maximum length of [`messages`], in characters.
const MAX_MESSAGES: usize = 512;

/// Joins the messages of all nested errors: the outer messages of an HTTP client rarely name the cause.
fn messages(error: &dyn Error) -> String {
    let mut messages = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        messages = format!("{messages}: {error}");
        cause = error.source();
    }
    escaped(&messages, MAX_MESSAGES, Backslash::Doubled).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_has_an_https_url_without_a_password_or_a_fragment() {
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
            let parsed = server_url(url, allow_http, "replace the keys");
            assert_eq!(parsed.is_ok(), ok, "{url} {allow_http}");
            assert!(!parsed.is_err_and(|why| why.contains("secret")), "{url}");
        }
    }

    #[test]
    fn client_without_certificates_sends_no_request_over_tls() {
        let client = HttpClient { client: Client::new(), no_roots: Some("no roots".to_owned()) };
        let url = |text| Url::parse(text).unwrap();
        assert_eq!(client.request(Method::GET, url("https://auth.example/")).err(), Some("no roots"));
        assert!(client.request(Method::GET, url("http://auth.example/")).is_ok());
    }
}
