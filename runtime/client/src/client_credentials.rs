//! The settings of tokens for client credentials.

#[cfg(feature = "issue")]
use std::sync::Arc;
use std::{fmt, path::PathBuf, time::Duration};

use service_only::clock::{Clock, SystemClock};
#[cfg(feature = "issue")]
use service_only::issue::{DpopKey, SigningKey};

#[cfg(feature = "issue")]
use crate::signing::Dpop;
use crate::{
    AudienceParameter, TokenSource, TokenSupply,
    error::{TokenError, TokenErrorKind},
    minter::Minter,
    oauth::{
        Credential, DEFAULT_TIMEOUT, Endpoint, MAX_CREDENTIAL_BYTES, MAX_RESPONSE_BYTES, Place, Transport,
    },
};

/// The settings of client credentials. Create it with [`TokenSource::client_credentials`].
///
/// ```no_run
/// use service_only_client::{AttachToken, TokenSource};
///
/// # fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = TokenSource::client_credentials("https://sso.bakery.example/realms/bakery")
///     .client_id("billing")
///     .secret_file("/var/run/secrets/billing/client-secret")
///     .start()?;
/// let attach = AttachToken::from(tokens).to("https://orders.bakery.example")?.audience("orders");
/// # Ok(()) }
/// ```
#[must_use = "nothing is requested until `start` is called"]
pub struct ClientCredentials {
    place: Place,
    client_id: Option<String>,
    credential: Option<Credential>,
    scopes: Vec<String>,
    audience: AudienceParameter,
    #[cfg(feature = "issue")]
    dpop: Option<Dpop>,
    transport: Transport,
    renew_after: u32,
    clock: Box<dyn Clock>,
}

impl TokenSource {
    /// Obtains tokens with client credentials from the OAuth 2.0 server that has this issuer. The URL of the token
    /// endpoint is read from `ISSUER/.well-known/openid-configuration`, which must contain the same issuer.
    pub fn client_credentials(issuer: impl Into<String>) -> ClientCredentials {
        ClientCredentials {
            place: Place::Issuer(issuer.into()),
            client_id: None,
            credential: None,
            scopes: Vec::new(),
            audience: AudienceParameter::Resource,
            #[cfg(feature = "issue")]
            dpop: None,
            transport: Transport::default(),
            renew_after: TokenSupply::DEFAULT_RENEWAL_PERCENT,
            clock: Box::new(SystemClock),
        }
    }
}

impl ClientCredentials {
    /// The default timeout of one request to the provider: ten seconds.
    pub const DEFAULT_TIMEOUT: Duration = DEFAULT_TIMEOUT;

    /// The maximum size of a response of the provider, in bytes. A token has at most a quarter of it.
    pub const MAX_RESPONSE_BYTES: usize = MAX_RESPONSE_BYTES;

    /// The maximum size of a file with a client secret or an assertion, in bytes.
    pub const MAX_CREDENTIAL_BYTES: usize = MAX_CREDENTIAL_BYTES;

    /// Sets the URL of the token endpoint. The discovery document is then not read.
    pub fn token_endpoint(mut self, url: impl Into<String>) -> Self {
        let issuer = match self.place {
            Place::Issuer(issuer) | Place::Endpoint { issuer, .. } => issuer,
        };
        self.place = Place::Endpoint { issuer, url: url.into() };
        self
    }

    /// Sets the id of this client. Required.
    pub fn client_id(self, id: impl Into<String>) -> Self {
        Self { client_id: Some(id.into()), ..self }
    }

    /// Authenticates with the client secret in a file, by HTTP Basic (`client_secret_basic`). The file is read for every
    /// request, so a new secret is in use without a restart.
    pub fn secret_file(self, path: impl Into<PathBuf>) -> Self {
        Self { credential: Some(Credential::SecretFile { path: path.into(), in_body: false }), ..self }
    }

    /// As [`secret_file`](Self::secret_file), with the secret in the body (`client_secret_post`).
    pub fn secret_file_in_body(self, path: impl Into<PathBuf>) -> Self {
        Self { credential: Some(Credential::SecretFile { path: path.into(), in_body: true }), ..self }
    }

    /// Authenticates with a signed assertion (`private_key_jwt`, RFC 7523). The provider knows the public key.
    #[cfg(feature = "issue")]
    pub fn private_key(self, key: impl Into<Arc<SigningKey>>) -> Self {
        Self { credential: Some(Credential::PrivateKey(key.into())), ..self }
    }

    /// Requests tokens that are bound to this key (RFC 9449 section 5). Pass the same key to
    /// [`AttachToken::dpop`](crate::AttachToken::dpop), which signs each request with it.
    #[cfg(feature = "issue")]
    pub fn dpop(self, key: impl Into<Arc<DpopKey>>) -> Self {
        Self { dpop: Some(Dpop::new(key.into())), ..self }
    }

    /// Authenticates with a token that another system issued to this workload, such as a Kubernetes token or a JWT-SVID in
    /// a file. The provider trusts that system (RFC 7523). The file is read for every request.
    pub fn assertion_file(self, path: impl Into<PathBuf>) -> Self {
        Self { credential: Some(Credential::AssertionFile(path.into())), ..self }
    }

    /// Adds a scope to each request.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Sets how a request tells the provider the audience of the token. The default is the parameter `resource` (RFC
    /// 8707).
    pub fn audience_parameter(self, parameter: AudienceParameter) -> Self {
        Self { audience: parameter, ..self }
    }

    /// Sets the certificate authorities of the provider, in PEM, in place of those of the system.
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.transport.roots = Some(pem.into());
        self
    }

    /// Sends requests to the provider through this proxy. Proxies of the environment are not used, because a proxy can
    /// read a credential that is sent over plain HTTP.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.transport.proxy = Some(url.into());
        self
    }

    /// Sets the timeout of one request to the provider.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.transport.timeout = timeout;
        self
    }

    /// Permits plain HTTP to the provider, for tests on one machine. Any host on the network can read the credential.
    pub fn dangerously_allow_http(mut self) -> Self {
        self.transport.allow_http = true;
        self
    }

    /// Sets after which percentage of its lifetime a token is renewed, from 10 to 90. The default is
    /// [`TokenSupply::DEFAULT_RENEWAL_PERCENT`].
    pub fn renew_after_percent(self, percent: u32) -> Self {
        Self { renew_after: percent, ..self }
    }

    /// Sets the clock. The default is [`SystemClock`].
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// Starts the source. It does not send a request yet: the first request to a recipient obtains the first token.
    ///
    /// # Errors
    /// When the client id or the credential is missing, or a setting cannot be used.
    pub fn start(self) -> Result<TokenSupply, TokenError> {
        let configuration = |why: &str| TokenError::from(TokenErrorKind::Configuration(why.to_owned()));
        let client_id = self.client_id.filter(|id| !id.is_empty());
        let client_id = client_id.ok_or_else(|| configuration("no client id; add `.client_id(…)`"))?;
        let credential = self.credential.ok_or_else(|| {
            configuration("no credential; add `.secret_file(…)`, `.private_key(…)` or `.assertion_file(…)`")
        })?;
        if !(10..=90).contains(&self.renew_after) {
            return Err(configuration("a token is renewed after 10 to 90 percent of its lifetime"));
        }
        let is_scope = |scope: &String| !scope.is_empty() && !scope.contains(char::is_whitespace);
        if !self.scopes.iter().all(is_scope) {
            return Err(configuration("a scope is empty or contains white space; add each with `.scope(…)`"));
        }
        let endpoint =
            Endpoint::new(self.place, client_id, credential, self.scopes, self.audience, self.transport)?;
        #[cfg(feature = "issue")]
        let endpoint = endpoint.with_dpop(self.dpop);
        Ok(TokenSupply::new(Minter::Endpoint(endpoint.into()), self.clock, self.renew_after))
    }
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("place", &self.place)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
