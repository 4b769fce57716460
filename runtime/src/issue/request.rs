//! Mints one token: its claims, the limits that every verifier has, and the signature.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{DAY, IssueError, Issuer, SigningKey, base64url, check_lifetime, refuse_secret};
use crate::{
    bearer::MAX_TOKEN_LENGTH,
    claims::{Scopes, ServiceClaims, ServiceName, scopes::is_scope_byte},
    clock::Timestamp,
    keys::KeyId,
    trusted::STRICT_TYP,
};

/// A token that is not minted yet, with its settings.
#[must_use = "nothing is minted until `mint` is called"]
#[derive(Debug, Clone)]
pub struct TokenRequest<'i> {
    issuer: &'i Issuer,
    service: String,
    role: String,
    scopes: Vec<String>,
    audience: Vec<String>,
    lifetime: Duration,
    not_before: Option<Timestamp>,
    binding: Option<Binding>,
}

impl<'i> TokenRequest<'i> {
    pub(crate) fn new(issuer: &'i Issuer, service: String) -> Self {
        Self {
            issuer,
            service,
            role: "admin".to_owned(),
            scopes: Vec::new(),
            audience: issuer.audience.clone(),
            lifetime: issuer.lifetime,
            not_before: None,
            binding: None,
        }
    }
}

impl TokenRequest<'_> {
    /// Sets the `role`. The default is `admin`, as in the system that this replaces.
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

    /// Sets the `aud` of this token, instead of the issuer's.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        Self { audience: vec![audience.into()], ..self }
    }

    /// Sets the lifetime of this token, in whole seconds, instead of the issuer's.
    #[doc(alias = "ttl")]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// Sets the `nbf`, in whole seconds: a fraction of a second is dropped.
    pub fn not_before(self, not_before: Timestamp) -> Self {
        Self { not_before: Some(not_before), ..self }
    }

    /// Binds the token to a certificate by its thumbprint, SHA-256 of its DER encoding (RFC 8705 section 3). A verifier
    /// accepts the token only on a connection with this certificate, so a stolen token is worthless without its key.
    ///
    /// A token has one binding: the last one that you set.
    pub fn bind_certificate(self, thumbprint: [u8; 32]) -> Self {
        Self { binding: Some(Binding::Certificate(thumbprint)), ..self }
    }

    /// Binds the token to a key of the sender by its RFC 7638 thumbprint (RFC 9449 section 6.1), such as that of a
    /// [`DpopKey`](super::DpopKey). A verifier accepts the token only with a proof that the key signed for the request.
    ///
    /// A token has one binding: the last one that you set.
    pub fn bind_key(self, thumbprint: [u8; 32]) -> Self {
        Self { binding: Some(Binding::Key(thumbprint)), ..self }
    }

    /// Signs the token.
    ///
    /// # Errors
    /// When the service name, a scope, the role or the lifetime is not valid.
    pub fn mint(self) -> Result<MintedToken, IssueError> {
        check_lifetime(self.lifetime)?;
        let service: ServiceName = self.service.parse().map_err(|error| {
            IssueError::new(format!("`{}`: {error}", crate::denial::quoted(&self.service)))
        })?;
        let is_token = |text: &str| !text.is_empty() && text.bytes().all(is_scope_byte);
        if !is_token(&self.role) || !self.scopes.iter().all(|scope| is_token(scope)) {
            return Err(IssueError::new("a role or scope is printable ASCII without space, `\"` and `\\`"));
        }
        let scope: Scopes =
            self.scopes.join(" ").parse().map_err(|error| IssueError::new(format!("{error}")))?;
        let now = self.issuer.clock.now();
        let claims = ServiceClaims {
            sub: service.as_str().to_owned(),
            user_id: Some(service.as_str().to_owned()),
            role: Some(self.role),
            roles: Vec::new(),
            email: Some(format!("{service}@internal.service")),
            service,
            issuer: self.issuer.issuer.clone(),
            aud: self.audience,
            exp: now.plus(self.lifetime).unix(),
            iat: Some(now.unix()),
            nbf: self.not_before.map(Timestamp::unix),
            jti: Some(Uuid::new_v4().to_string()),
            scope,
            actor: None,
        };
        let key = self.issuer.key();
        if self.issuer.strict {
            // The active key of a ring may have become a secret since the issuer was built.
            refuse_secret(&key)?;
        }
        if claims.nbf.is_some_and(|nbf| nbf >= claims.exp) {
            return Err(IssueError::new("the token expires before it becomes valid; set an earlier `nbf`"));
        }
        let signing = Signing { key: &key, cnf: self.binding, strict: self.issuer.strict };
        let token = sign_claims(&signing, &claims, "service", true)?;
        refuse_unreadable(&token, &claims.aud, key.kid())?;
        if self.lifetime > Issuer::LONG_LIFETIME {
            tracing::warn!(
                service = %claims.service,
                jti = claims.jti,
                days = self.lifetime.as_secs() / DAY,
                "minted a token that is valid for more than 90 days"
            );
        }
        Ok(MintedToken { token, kid: key.kid().clone(), long: self.lifetime > Issuer::LONG_LIFETIME, claims })
    }
}

/// Refuses to mint a token that no verifier can read or ever accept. Otherwise it would fail only when it is used.
pub(super) fn refuse_unreadable(token: &str, aud: &[String], kid: &KeyId) -> Result<(), IssueError> {
    if aud.iter().any(String::is_empty) {
        return Err(IssueError::new("an audience is empty; leave it out for a token without `aud`"));
    }
    if kid.as_str().len() > KeyId::MAX_LENGTH {
        let length = kid.as_str().len();
        return Err(IssueError::new(format!(
            "the `kid` has {length} bytes, more than {}",
            KeyId::MAX_LENGTH
        )));
    }
    if aud.len() > ServiceClaims::MAX_AUDIENCES {
        let count = aud.len();
        return Err(IssueError::new(format!(
            "{count} audiences, and a token has at most {}",
            ServiceClaims::MAX_AUDIENCES
        )));
    }
    if token.len() > MAX_TOKEN_LENGTH {
        let length = token.len();
        return Err(IssueError::new(format!(
            "the token has {length} bytes, and no verifier reads more than {MAX_TOKEN_LENGTH}"
        )));
    }
    Ok(())
}

/// The payload: the claims, and the two claims that mark a service token.
#[derive(Serialize)]
struct Payload<'c, C> {
    #[serde(flatten)]
    claims: &'c C,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_service: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Binding>,
}

/// What a token is bound to, as the member of `cnf`: a thumbprint.
#[derive(Debug, Copy, Clone, Serialize)]
pub(super) enum Binding {
    #[serde(rename = "x5t#S256", serialize_with = "encoded")]
    Certificate([u8; 32]),
    #[serde(rename = "jkt", serialize_with = "encoded")]
    Key([u8; 32]),
}

fn encoded<S: Serializer>(thumbprint: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&base64url(thumbprint))
}

/// The header. jsonwebtoken's own type has one name for Ed25519 keys, but RFC 9864 gives them two.
#[derive(Serialize)]
struct Header<'k> {
    typ: &'k str,
    alg: &'k str,
    kid: &'k str,
}

/// How a token is signed.
pub(super) struct Signing<'k> {
    pub(super) key: &'k SigningKey,
    pub(super) cnf: Option<Binding>,
    pub(super) strict: bool,
}

pub(super) fn sign_claims(
    Signing { key, cnf, strict }: &Signing<'_>,
    claims: &impl Serialize,
    kind: &'static str,
    is_service: bool,
) -> Result<String, IssueError> {
    let typ = if *strict { STRICT_TYP } else { "JWT" };
    let header = Header { typ, alg: key.algorithm().as_str(), kid: key.kid().as_str() };
    let payload = Payload { claims, kind, is_service, cnf: *cnf };
    key.sign_json(&header, &payload)
}

/// A signed token.
///
/// `Debug` does not print it.
#[derive(Clone)]
pub struct MintedToken {
    token: String,
    claims: ServiceClaims,
    kid: KeyId,
    long: bool,
}

impl MintedToken {
    /// The token. It is a secret, so store it as one.
    pub fn as_str(&self) -> &str {
        &self.token
    }

    /// The token's claims.
    pub fn claims(&self) -> &ServiceClaims {
        &self.claims
    }

    /// The name of the key that signed it.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// A warning for the operator if the token lives longer than [`Issuer::LONG_LIFETIME`].
    pub fn warning(&self) -> Option<&'static str> {
        self.long.then_some("this token is valid for more than 90 days, and so is every stolen copy of it")
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
