//! The token endpoint of one provider for one client.

use std::fmt;

use reqwest::{Method, RequestBuilder, StatusCode, Url, header::CONTENT_TYPE};
use serde::Deserialize;
use service_only::{
    __satellite::{HttpClient, escaped, shown},
    Denial,
    clock::Clock,
};
use tokio::sync::Mutex;

use super::{
    AudienceParameter, answer,
    credential::{Credential, form},
    transport::{Response, Transport},
};
#[cfg(feature = "issue")]
use crate::signing::{DPOP, Dpop};
use crate::{
    error::{TokenError, TokenErrorKind},
    token::Sendable,
};

/// Where the token endpoint is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Issuer(String),
    Endpoint { issuer: String, url: String },
}

/// A provider, and what identifies this client to it.
pub(crate) struct Endpoint {
    issuer: String,
    client_id: String,
    credential: Credential,
    scopes: Vec<String>,
    audience: AudienceParameter,
    transport: Transport,
    client: HttpClient,
    #[cfg(feature = "issue")]
    dpop: Option<Dpop>,
    /// The discovery document; `None` if the endpoint is configured.
    document: Option<Url>,
    /// The endpoint, once it is known.
    url: Mutex<Option<Url>>,
}

impl Endpoint {
    pub(crate) fn new(
        place: Place,
        client_id: String,
        credential: Credential,
        scopes: Vec<String>,
        audience: AudienceParameter,
        transport: Transport,
    ) -> Result<Self, TokenError> {
        let (issuer, document, url) = match place {
            Place::Issuer(issuer) => {
                transport.parse(&issuer)?;
                let base = issuer.strip_suffix('/').unwrap_or(&issuer);
                let document = transport.parse(&format!("{base}/.well-known/openid-configuration"))?;
                (issuer, Some(document), None)
            }
            Place::Endpoint { issuer, url } => {
                let url = transport.parse(&url)?;
                (issuer, None, Some(url))
            }
        };
        let client = transport.client()?;
        let url = Mutex::new(url);
        Ok(Self {
            issuer,
            client_id,
            credential,
            scopes,
            audience,
            transport,
            client,
            #[cfg(feature = "issue")]
            dpop: None,
            document,
            url,
        })
    }

    /// Asks for tokens that are bound to this key.
    #[cfg(feature = "issue")]
    pub(crate) fn with_dpop(self, dpop: Option<Dpop>) -> Self {
        Self { dpop, ..self }
    }

    /// Obtains a token for an audience.
    pub(crate) async fn obtain(
        &self,
        audience: Option<&str>,
        clock: &dyn Clock,
    ) -> Result<Sendable, TokenError> {
        let url = self.locate(clock).await?;
        let place = shown(&url);
        let obtained = self.request(url, audience, clock).await;
        if matches!(obtained.as_ref().map_err(TokenError::kind), Err(TokenErrorKind::Status(404))) {
            // The provider may have moved its endpoint.
            self.forget().await;
        }
        obtained.map_err(|error| error.at(&place))
    }

    async fn request(
        &self,
        url: Url,
        audience: Option<&str>,
        clock: &dyn Clock,
    ) -> Result<Sendable, TokenError> {
        let response = self.send(&url, audience, clock).await?;
        #[cfg(feature = "issue")]
        let (response, expected) = match &self.dpop {
            None => (response, answer::TokenType::Bearer),
            Some(dpop) => {
                let has_nonce = dpop.keep_nonce(&target(&url)?, response.nonce.as_ref());
                let response = match has_nonce && answer::needs_nonce(&response) {
                    true => self.send(&url, audience, clock).await?,
                    false => response,
                };
                (response, answer::TokenType::Dpop)
            }
        };
        #[cfg(not(feature = "issue"))]
        let expected = answer::TokenType::Bearer;
        // Read the clock after the response: `expires_in` begins when the provider answers, so this is too late by the
        // way of the response at most, and `exp` of the token limits it.
        Ok(answer::token(&response, audience, self.audience, expected, clock.now())?)
    }

    /// Sends one request, with a new credential and a new proof: both may be valid only once.
    async fn send(
        &self,
        url: &Url,
        audience: Option<&str>,
        clock: &dyn Clock,
    ) -> Result<Response, TokenError> {
        #[cfg(not(feature = "issue"))]
        let _ = clock;
        let proof = self
            .credential
            .prove(
                &self.client_id,
                &self.issuer,
                #[cfg(feature = "issue")]
                clock.now(),
            )
            .await?;
        let (scope, named) = self.asked(audience);
        let mut pairs = vec![("grant_type", "client_credentials")];
        if !scope.is_empty() {
            pairs.push(("scope", &scope));
        }
        pairs.extend(named);
        pairs.extend(proof.parameters.iter().map(|(name, value)| (*name, value.as_str())));
        let mut body = form(pairs);
        let mut request =
            self.http_request(Method::POST, url)?.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(basic) = &proof.basic {
            let mut value = http::HeaderValue::from_str(basic)
                .map_err(|_| TokenErrorKind::Credential("the client secret cannot be sent".to_owned()))?;
            value.set_sensitive(true);
            request = request.header(http::header::AUTHORIZATION, value);
        }
        #[cfg(feature = "issue")]
        if let Some(dpop) = &self.dpop {
            request = request.header(DPOP, dpop.proof(&http::Method::POST, &target(url)?, None)?);
        }
        Ok(self.transport.send(request.body(std::mem::take(&mut *body))).await?)
    }

    fn http_request(&self, method: Method, url: &Url) -> Result<RequestBuilder, TokenErrorKind> {
        let request = self.client.request(method, url.clone());
        request.map_err(|why| TokenErrorKind::NoAnswer(why.to_owned()))
    }

    /// The scope of a request, and the parameter that names its audience.
    fn asked<'a>(&self, audience: Option<&'a str>) -> (String, Option<(&'static str, &'a str)>) {
        let mut scopes = self.scopes.clone();
        let named = match (self.audience, audience) {
            (AudienceParameter::Resource, Some(audience)) => Some(("resource", audience)),
            (AudienceParameter::Audience, Some(audience)) => Some(("audience", audience)),
            (AudienceParameter::DefaultScope, Some(audience)) => {
                scopes.push(format!("{audience}/.default"));
                None
            }
            _ => None,
        };
        (scopes.join(" "), named)
    }

    /// Returns the token endpoint, which the discovery document names.
    async fn locate(&self, clock: &dyn Clock) -> Result<Url, TokenError> {
        let mut known = self.url.lock().await;
        if let Some(url) = &*known {
            return Ok(url.clone());
        }
        let Some(document) = &self.document else {
            return Err(TokenErrorKind::Configuration("no token endpoint is known".to_owned()).into());
        };
        let url = self.discover(document, clock).await.map_err(|error| error.at(&shown(document)))?;
        *known = Some(url.clone());
        Ok(url)
    }

    async fn forget(&self) {
        if self.document.is_some() {
            *self.url.lock().await = None;
        }
    }

    async fn discover(&self, document: &Url, clock: &dyn Clock) -> Result<Url, TokenError> {
        #[derive(Deserialize)]
        struct Document {
            issuer: String,
            token_endpoint: String,
        }
        let response = self.transport.send(self.http_request(Method::GET, document)?).await?;
        response.check_limit(clock.now())?;
        if response.status != StatusCode::OK {
            return Err(TokenErrorKind::Status(response.status.as_u16()).into());
        }
        if response.is_html {
            return Err(TokenErrorKind::Html.into());
        }
        let found: Document = serde_json::from_slice(&response.body).map_err(|error| {
            let why = format!(
                "the discovery document cannot be read: {error}; set the URL with `.token_endpoint(…)`"
            );
            TokenErrorKind::Response(why)
        })?;
        // OpenID Connect Discovery 1.0 section 4.3.
        if found.issuer != self.issuer {
            let why = format!(
                "the document names the issuer `{}`, expected `{}`; write the issuer as the provider does",
                escaped(&found.issuer, Denial::MAX_QUOTED),
                self.issuer
            );
            return Err(TokenErrorKind::Response(why).into());
        }
        self.transport.parse(&found.token_endpoint)
    }
}

/// The URL in the form that a proof is about.
#[cfg(feature = "issue")]
fn target(url: &Url) -> Result<http::Uri, TokenErrorKind> {
    url.as_str()
        .parse()
        .map_err(|_| TokenErrorKind::Configuration("the token endpoint is not a URL".to_owned()))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}
