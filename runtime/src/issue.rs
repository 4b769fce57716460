//! Minting: signing keys and the issuer. Behind the feature `issue`, so that a service that only
//! verifies cannot mint.

mod signing_key;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use uuid::Uuid;

pub use signing_key::{PublicJwk, SigningKey};

use crate::{
    bearer::MAX_TOKEN_LENGTH,
    claims::{MAX_AUDIENCES, Scopes, ServiceClaims, ServiceName, is_scope_token},
    clock::{Clock, SystemClock},
    keys::{KeyId, MAX_KID_LENGTH, SigningRing},
    verifier::STRICT_TYP,
};

/// How long a token lives when nothing else is said: 365 days, as in the system that this replaces.
/// [`LONG_LIFETIME`] says what is better.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(365 * DAY);

/// Tokens that live longer than this, 90 days, are minted with a warning: whoever finds one has that
/// long to use it.
pub const LONG_LIFETIME: Duration = Duration::from_secs(90 * DAY);

/// How long a strict token lives when nothing else is said: an hour, of which a renewal has half to
/// succeed.
pub const STRICT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Tokens that live longer than this, ten years, are not minted.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3650 * DAY);

const DAY: u64 = 24 * 60 * 60;

/// Mints service tokens.
///
/// ```
/// # use service_only::{Algorithm, Issuer, SigningKey};
/// # use std::time::Duration;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let issuer = Issuer::builder()
///     .issuer("bakery-auth")
///     .key(SigningKey::generate(Algorithm::ES256)?)
///     .lifetime(Duration::from_secs(3600))
///     .build()?;
/// let token = issuer.token_for("orders").scope("tenants:delete").mint()?;
/// assert_eq!(token.claims().service.as_str(), "orders");
/// # Ok(()) }
/// ```
pub struct Issuer {
    issuer: String,
    keys: Keys,
    audience: Vec<String>,
    lifetime: Duration,
    strict: bool,
    clock: Box<dyn Clock>,
}

impl Issuer {
    /// Starts building one. An issuer and a key must be said; they have no default.
    pub fn builder() -> IssuerBuilder {
        IssuerBuilder::default()
    }

    /// Starts a token for a service.
    pub fn token_for(&self, service: impl Into<String>) -> TokenRequest<'_> {
        TokenRequest {
            issuer: self,
            service: service.into(),
            role: "admin".to_owned(),
            scopes: Vec::new(),
            audience: self.audience.clone(),
            lifetime: self.lifetime,
            not_before: None,
        }
    }

    /// The key that signs now.
    pub fn key(&self) -> Arc<SigningKey> {
        self.keys.current()
    }
}

/// What signs: one key for good, or whichever of a ring is active.
enum Keys {
    One(Arc<SigningKey>),
    Ring(SigningRing),
}

impl Keys {
    fn current(&self) -> Arc<SigningKey> {
        match self {
            Self::One(key) => Arc::clone(key),
            Self::Ring(ring) => ring.signing_key(),
        }
    }
}

/// A strict token is not signed with a secret, which every verifier would have to hold.
fn refuse_secret(key: &SigningKey) -> Result<(), IssueError> {
    let algorithm = key.algorithm();
    if algorithm.is_symmetric() {
        let message = format!("{algorithm} uses a secret, and strict tokens a key pair, such as ES256");
        return Err(IssueError::new(message));
    }
    Ok(())
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("issuer", &self.issuer)
            .field("key", &self.key())
            .finish_non_exhaustive()
    }
}

/// Builds an [`Issuer`].
#[must_use = "a builder does nothing until `build` is called"]
#[derive(Default)]
pub struct IssuerBuilder {
    issuer: Option<String>,
    keys: Option<Keys>,
    audience: Vec<String>,
    lifetime: Option<Duration>,
    strict: bool,
    clock: Option<Box<dyn Clock>>,
}

impl IssuerBuilder {
    /// The `iss` of the tokens. Required.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// The key that signs. Required, unless a ring is given.
    pub fn key(self, key: impl Into<Arc<SigningKey>>) -> Self {
        Self { keys: Some(Keys::One(key.into())), ..self }
    }

    /// Keys that are rotated: each token is signed by the one that is active then.
    pub fn ring(self, ring: SigningRing) -> Self {
        Self { keys: Some(Keys::Ring(ring)), ..self }
    }

    /// An `aud` of every token; may be said again. Left out, tokens have none.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// Mints strict tokens, for verifiers that
    /// [trust strict ones](crate::TrustedIssuer::strict): `typ` is `service+jwt`, the key must be a
    /// private key, and an audience must be said. Tokens live for [`STRICT_LIFETIME`] then, unless
    /// said otherwise.
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// How long tokens live, in whole seconds. Left out, it is [`DEFAULT_LIFETIME`].
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: Some(lifetime), ..self }
    }

    /// Where the time comes from. Left out, it is [`SystemClock`].
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Some(Box::new(clock)), ..self }
    }

    /// Builds the issuer.
    ///
    /// # Errors
    /// When the issuer or the key is missing, or a value is empty or out of bounds.
    pub fn build(self) -> Result<Issuer, IssueError> {
        let issuer = self.issuer.filter(|issuer| !issuer.is_empty());
        let issuer = issuer
            .ok_or_else(|| IssueError::new("no issuer; name the `iss` of your tokens with `.issuer(…)`"))?;
        let keys =
            self.keys.ok_or_else(|| IssueError::new("no key; give the one that signs with `.key(…)`"))?;
        if self.audience.iter().any(String::is_empty) {
            return Err(IssueError::new(
                "an audience is empty; leave `.audience(…)` out for tokens without `aud`",
            ));
        }
        if self.strict && self.audience.is_empty() {
            return Err(IssueError::new(
                "a strict token is for somebody; name the services with `.audience(…)`",
            ));
        }
        if self.strict {
            refuse_secret(&keys.current())?;
        }
        let lifetime = self.lifetime.unwrap_or(if self.strict { STRICT_LIFETIME } else { DEFAULT_LIFETIME });
        check_lifetime(lifetime)?;
        let clock = self.clock.unwrap_or_else(|| Box::new(SystemClock));
        Ok(Issuer { issuer, keys, audience: self.audience, lifetime, strict: self.strict, clock })
    }
}

fn check_lifetime(lifetime: Duration) -> Result<(), IssueError> {
    if lifetime.as_secs() == 0 || lifetime.subsec_nanos() != 0 || lifetime > MAX_LIFETIME {
        let most = MAX_LIFETIME.as_secs() / DAY;
        return Err(IssueError::new(format!(
            "a lifetime of {lifetime:?} is not whole seconds up to {most} days"
        )));
    }
    Ok(())
}

/// A token about to be minted.
#[must_use = "nothing is minted until `mint` is called"]
#[derive(Debug, Clone)]
pub struct TokenRequest<'i> {
    issuer: &'i Issuer,
    service: String,
    role: String,
    scopes: Vec<String>,
    audience: Vec<String>,
    lifetime: Duration,
    not_before: Option<i64>,
}

impl TokenRequest<'_> {
    /// The `role`. Left out, it is `admin`, as in the system that this replaces.
    pub fn role(self, role: impl Into<String>) -> Self {
        Self { role: role.into(), ..self }
    }

    /// Adds a scope.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Adds scopes.
    pub fn scopes(mut self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// The `aud` of this token instead of the issuer's.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        Self { audience: vec![audience.into()], ..self }
    }

    /// How long this token lives, in whole seconds, instead of the issuer's lifetime.
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// The `nbf`, in seconds since the Unix epoch.
    pub fn not_before(self, not_before: i64) -> Self {
        Self { not_before: Some(not_before), ..self }
    }

    /// Signs it.
    ///
    /// # Errors
    /// When the service name, a scope, the role or the lifetime is not valid.
    pub fn mint(self) -> Result<MintedToken, IssueError> {
        check_lifetime(self.lifetime)?;
        let service: ServiceName = self.service.parse().map_err(|error| {
            IssueError::new(format!("`{}`: {error}", crate::denial::quoted(&self.service)))
        })?;
        if self.scopes.iter().any(|scope| !is_scope_token(scope)) || !is_scope_token(&self.role) {
            return Err(IssueError::new("a role or scope is printable ASCII without space, `\"` and `\\`"));
        }
        let scope: Scopes =
            self.scopes.join(" ").parse().map_err(|error| IssueError::new(format!("{error}")))?;
        let now = self.issuer.clock.now();
        let claims = ServiceClaims {
            sub: service.as_str().to_owned(),
            user_id: Some(service.as_str().to_owned()),
            role: Some(self.role),
            email: Some(format!("{service}@internal.service")),
            service,
            issuer: self.issuer.issuer.clone(),
            aud: self.audience,
            exp: now.plus(self.lifetime).unix(),
            iat: Some(now.unix()),
            nbf: self.not_before,
            jti: Some(Uuid::new_v4().to_string()),
            scope,
        };
        let key = self.issuer.key();
        if self.issuer.strict {
            // A ring may have come to one since the issuer was built.
            refuse_secret(&key)?;
        }
        let token = sign_claims(&key, &claims, self.issuer.strict)?;
        refuse_unreadable(&token, &claims, key.kid())?;
        if self.lifetime > LONG_LIFETIME {
            tracing::warn!(
                service = %claims.service,
                jti = claims.jti,
                days = self.lifetime.as_secs() / DAY,
                "minted a token that lives longer than 90 days"
            );
        }
        Ok(MintedToken { token, kid: key.kid().clone(), long: self.lifetime > LONG_LIFETIME, claims })
    }
}

/// A token that no verifier reads, or none ever accepts, would only be found out when it is used.
fn refuse_unreadable(token: &str, claims: &ServiceClaims, kid: &KeyId) -> Result<(), IssueError> {
    if claims.aud.iter().any(String::is_empty) {
        return Err(IssueError::new("an audience is empty; leave it out for a token without `aud`"));
    }
    if claims.nbf.is_some_and(|nbf| nbf >= claims.exp) {
        return Err(IssueError::new("the token expires before it becomes valid; say an earlier `nbf`"));
    }
    if kid.as_str().len() > MAX_KID_LENGTH {
        let length = kid.as_str().len();
        return Err(IssueError::new(format!("the `kid` has {length} bytes, more than {MAX_KID_LENGTH}")));
    }
    if claims.aud.len() > MAX_AUDIENCES {
        let count = claims.aud.len();
        return Err(IssueError::new(format!("{count} audiences, and a token has at most {MAX_AUDIENCES}")));
    }
    if token.len() > MAX_TOKEN_LENGTH {
        let length = token.len();
        return Err(IssueError::new(format!(
            "the token has {length} bytes, and no verifier reads more than {MAX_TOKEN_LENGTH}"
        )));
    }
    Ok(())
}

/// The payload: the claims, and those two that make it a service's.
#[derive(Serialize)]
struct Payload<'c> {
    #[serde(flatten)]
    claims: &'c ServiceClaims,
    #[serde(rename = "type")]
    kind: &'static str,
    is_service: bool,
}

fn sign_claims(key: &SigningKey, claims: &ServiceClaims, strict: bool) -> Result<String, IssueError> {
    let mut header = jsonwebtoken::Header::new(key.algorithm().to_jsonwebtoken());
    header.kid = Some(key.kid().as_str().to_owned());
    if strict {
        header.typ = Some(STRICT_TYP.to_owned());
    }
    let payload = Payload { claims, kind: "service", is_service: true };
    key.sign_json(&header, &payload)
}

/// A signed token.
///
/// `Debug` does not show it.
#[derive(Clone)]
pub struct MintedToken {
    token: String,
    claims: ServiceClaims,
    kid: KeyId,
    long: bool,
}

impl MintedToken {
    /// The token: a secret, to be stored as one.
    pub fn as_str(&self) -> &str {
        &self.token
    }

    /// Its claims.
    pub fn claims(&self) -> &ServiceClaims {
        &self.claims
    }

    /// The key that signed it.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// What an operator should know of it: that it lives longer than [`LONG_LIFETIME`].
    pub fn warning(&self) -> Option<&'static str> {
        self.long.then_some("this token lives longer than 90 days: whoever finds it has that long to use it")
    }
}

impl fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedToken")
            .field("claims", &self.claims)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

/// A token that cannot be minted; says what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueError(String);

impl IssueError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for IssueError {}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
