//! Mints tokens: signing keys and the issuer. It needs the feature `issue`, so that a service that only
//! verifies cannot mint.

mod delegated;
mod dpop_key;
mod private_jwk;
mod public_jwk;
mod request;
mod ring;
mod signer;
mod signing_key;

use std::{error::Error, fmt, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

pub use delegated::{DelegatedRequest, DelegatedToken};
pub use dpop_key::DpopKey;
pub use public_jwk::PublicJwk;
pub use request::{MintedToken, TokenRequest};
pub use ring::SigningRing;
pub use signer::{SignError, Signer, message_digest};
pub use signing_key::SigningKey;

use crate::{
    caller::Identity,
    clock::{Clock, SystemClock},
};

const DAY: u64 = 24 * 60 * 60;

/// Mints service tokens.
///
/// ```
/// # use service_only::{Algorithm, issue::{Issuer, SigningKey}};
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
    /// The default lifetime of a token: 365 days, as in the system that this replaces.
    /// [`Issuer::LONG_LIFETIME`] explains why a shorter lifetime is better.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(365 * DAY);

    /// Tokens that live longer than this, 90 days, are minted with a warning: a thief could use a stolen token for
    /// that long.
    pub const LONG_LIFETIME: Duration = Duration::from_secs(90 * DAY);

    /// The default lifetime of a strict token: an hour. A renewal has half of it to
    /// succeed.
    pub const STRICT_LIFETIME: Duration = Duration::from_secs(60 * 60);

    /// The default lifetime of a token on behalf of a caller: a minute, because it is minted for one request.
    pub const DELEGATED_LIFETIME: Duration = Duration::from_secs(60);

    /// The maximum lifetime of a token, ten years. Tokens with a longer one are not minted.
    pub const MAX_LIFETIME: Duration = Duration::from_secs(3650 * DAY);

    /// Creates a builder. An issuer and a key are required; they have no default.
    pub fn builder() -> IssuerBuilder {
        IssuerBuilder::default()
    }

    /// Starts a token for a service.
    pub fn token_for(&self, service: impl Into<String>) -> TokenRequest<'_> {
        TokenRequest::new(self, service.into())
    }

    /// Starts a token with which `actor` passes on the request of a verified caller, a service or a user. The caller
    /// stays the subject, and `act` names the actor (RFC 8693 section 4.1). A gateway mints one for each request, so no
    /// service receives a token that another service accepts.
    ///
    /// The token has the name, role, email and scopes of the caller's. It counts as old as the caller's token, for
    /// `max_age` and for revocations, and does not outlive it. Other claims are not copied. The token does not name the
    /// issuer of the caller's token, so a gateway trusts only issuers whose names of services mean the same.
    ///
    /// ```
    /// # use service_only::{Algorithm, Identity, issue::{IssueError, Issuer}};
    /// fn pass_on(issuer: &Issuer, caller: &Identity) -> Result<String, IssueError> {
    ///     let token = issuer.on_behalf_of(caller, "gateway").audience("orders").mint()?;
    ///     Ok(format!("Bearer {}", token.as_str()))
    /// }
    /// ```
    pub fn on_behalf_of(&self, caller: &Identity, actor: impl Into<String>) -> DelegatedRequest<'_> {
        DelegatedRequest::new(self, caller, actor.into())
    }

    /// The key that signs at the moment.
    pub fn key(&self) -> Arc<SigningKey> {
        self.keys.current()
    }
}

/// What signs tokens: one fixed key, or the active key of a ring.
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

/// Refuses to sign a strict token with a secret, because every verifier would have to store that secret.
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

impl fmt::Debug for IssuerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerBuilder")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("lifetime", &self.lifetime)
            .field("strict", &self.strict)
            .finish_non_exhaustive()
    }
}

impl IssuerBuilder {
    /// Sets the `iss` of the tokens. Required.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        Self { issuer: Some(issuer.into()), ..self }
    }

    /// Sets the key that signs. Required, unless you set a ring. For a key that is elsewhere, see
    /// [`SigningKey::from_signer`].
    pub fn key(self, key: impl Into<Arc<SigningKey>>) -> Self {
        Self { keys: Some(Keys::One(key.into())), ..self }
    }

    /// Sets keys that are rotated: the key that is active at that time signs each token.
    pub fn ring(self, ring: SigningRing) -> Self {
        Self { keys: Some(Keys::Ring(ring)), ..self }
    }

    /// Adds an `aud` to every token. You may call it repeatedly. By default tokens have no `aud`.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience.push(audience.into());
        self
    }

    /// Mints strict tokens, for verifiers that
    /// [trust strict ones](crate::TrustedIssuer::strict): `typ` is `service+jwt`, the key must be a
    /// private key, and an audience is required. Tokens live for [`Issuer::STRICT_LIFETIME`], unless
    /// you set another lifetime.
    pub fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// Sets the lifetime of tokens, in whole seconds. The default is [`Issuer::DEFAULT_LIFETIME`].
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: Some(lifetime), ..self }
    }

    /// Sets the clock. The default is [`SystemClock`].
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
        let keys = self.keys.ok_or_else(|| IssueError::new("no key; pass the signing key to `.key(…)`"))?;
        if self.audience.iter().any(String::is_empty) {
            return Err(IssueError::new(
                "an audience is empty; leave `.audience(…)` out for tokens without `aud`",
            ));
        }
        if self.strict && self.audience.is_empty() {
            return Err(IssueError::new(
                "a strict token needs an audience; name the services with `.audience(…)`",
            ));
        }
        if self.strict {
            refuse_secret(&keys.current())?;
        }
        let lifetime = self.lifetime.unwrap_or(if self.strict {
            Issuer::STRICT_LIFETIME
        } else {
            Issuer::DEFAULT_LIFETIME
        });
        check_lifetime(lifetime)?;
        let clock = self.clock.unwrap_or_else(|| Box::new(SystemClock));
        Ok(Issuer { issuer, keys, audience: self.audience, lifetime, strict: self.strict, clock })
    }
}

fn check_lifetime(lifetime: Duration) -> Result<(), IssueError> {
    if lifetime.as_secs() == 0 || lifetime.subsec_nanos() != 0 || lifetime > Issuer::MAX_LIFETIME {
        let most = Issuer::MAX_LIFETIME.as_secs() / DAY;
        return Err(IssueError::new(format!(
            "a lifetime is whole seconds, from 1 second to {most} days, and not {lifetime:?}"
        )));
    }
    Ok(())
}

/// Why a token cannot be minted. The message states what is wrong and how to fix it.
#[derive(Debug, Clone)]
pub struct IssueError {
    message: String,
    source: Option<Arc<SignError>>,
}

impl IssueError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(crate) fn of_signer(error: SignError) -> Self {
        Self { message: format!("the signer failed: {error}"), source: Some(Arc::new(error)) }
    }
}

impl PartialEq for IssueError {
    fn eq(&self, other: &Self) -> bool {
        self.message == other.message
    }
}

impl Eq for IssueError {}

impl fmt::Display for IssueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for IssueError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The message contains that of the signer, whose own source is next.
        self.source.as_ref().and_then(|error| error.source())
    }
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
