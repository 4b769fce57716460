//! Signs proofs of DPoP (RFC 9449): the calling side of a token that is bound to a key.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{IssueError, SigningKey, base64url};
use crate::{
    clock::{Clock, SystemClock},
    keys::{Algorithm, KeyError, thumbprint::sha256},
};

/// The key of a sender, which signs a proof for each request. Tokens are bound to its thumbprint, see
/// [`TokenRequest::bind_key`](super::TokenRequest::bind_key).
///
/// ```
/// use service_only::{Algorithm, issue::DpopKey};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = DpopKey::generate(Algorithm::ES256)?;
/// # let token = "a.b.c";
/// let proof = key.sign("GET", "https://orders.internal/loaves", Some(token), None)?;
/// assert_eq!(proof.split('.').count(), 3);
/// # Ok(()) }
/// ```
pub struct DpopKey {
    key: SigningKey,
    /// The encoded header, which is the same in each proof.
    header: String,
    thumbprint: [u8; 32],
    clock: Box<dyn Clock>,
}

impl DpopKey {
    /// Generates a key for this process. `ES256` and `EdDSA` are fast, and verifiers accept them by default.
    ///
    /// # Errors
    /// As [`SigningKey::generate`], and when the algorithm uses a secret.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::new(SigningKey::generate(algorithm)?)
    }

    /// Uses an existing key, also one that is elsewhere.
    ///
    /// # Errors
    /// When the key is a secret, because a proof contains its key.
    pub fn new(key: SigningKey) -> Result<Self, KeyError> {
        let algorithm = key.algorithm();
        let public = key.public_jwk().ok_or_else(|| {
            KeyError::unusable(format!(
                "{algorithm} uses a secret, and a proof needs a key pair, such as ES256"
            ))
        })?;
        let unusable = |_: serde_json::Error| KeyError::unusable("the public key cannot be written as JSON");
        let mut jwk = serde_json::to_value(&public).map_err(unusable)?;
        if let Value::Object(members) = &mut jwk {
            // The type of the key requires the others (RFC 7638 section 3.2).
            for unneeded in ["use", "alg", "kid"] {
                members.remove(unneeded);
            }
        }
        let header = Header { typ: "dpop+jwt", alg: algorithm, jwk: Some(jwk) };
        let header = base64url(serde_json::to_vec(&header).map_err(unusable)?);
        Ok(Self { thumbprint: public.thumbprint(), header, key, clock: Box::new(SystemClock) })
    }

    /// Sets the clock. The default is [`SystemClock`].
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// The RFC 7638 thumbprint of the public key, which bound tokens contain as `jkt`.
    pub fn thumbprint(&self) -> [u8; 32] {
        self.thumbprint
    }

    /// Signs a proof for one request: its method, its URL and its token. A query and a fragment of the URL are left out
    /// (RFC 9449 section 4.2). A request to a token endpoint has no token yet. `nonce` is the last one that the server
    /// sent.
    ///
    /// Sign each request again, also the repetition of a request: a server accepts a proof once.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    pub fn sign(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
        nonce: Option<&str>,
    ) -> Result<String, IssueError> {
        let claims = Claims {
            jti: Uuid::new_v4(),
            htm: method,
            htu: url.split(['?', '#']).next().unwrap_or_default(),
            iat: self.clock.now().unix(),
            ath: token.map(|token| base64url(sha256(&[token.as_bytes()]))),
            nonce,
        };
        self.signed(&self.header, &claims)
    }

    /// Signs a Workload Proof Token for one request (draft-ietf-wimse-wpt-02): its URL and its Workload Identity Token, which
    /// contains the public half of this key. Send it as `Authorization: WPT …`. A query and a fragment of the URL are left
    /// out. The proof is valid for a minute.
    ///
    /// `headers` are the other headers of the request that name a user or a transaction: `Txn-Token` is bound by `tth`, and
    /// each other one by `oth`.
    ///
    /// # Errors
    /// As [`SigningKey::sign`].
    #[cfg(feature = "experimental-wimse")]
    pub fn experimental_sign_wpt(
        &self,
        url: &str,
        token: &str,
        headers: &[(&str, &str)],
    ) -> Result<String, IssueError> {
        let hash = |value: &str| base64url(sha256(&[value.trim_matches(' ').as_bytes()]));
        let is_transaction = |name: &str| name.eq_ignore_ascii_case("txn-token");
        let transaction = headers.iter().find(|(name, _)| is_transaction(name));
        let others = headers.iter().filter(|(name, _)| !is_transaction(name));
        let claims = WptClaims {
            aud: url.split(['?', '#']).next().unwrap_or_default(),
            exp: self.clock.now().unix().saturating_add(WPT_LIFETIME),
            jti: Uuid::new_v4(),
            wth: hash(token),
            tth: transaction.map(|(_, token)| hash(token)),
            oth: others.map(|(name, value)| (name.to_ascii_lowercase(), hash(value))).collect(),
        };
        let header = Header { typ: "wpt+jwt", alg: self.key.algorithm(), jwk: None };
        let header = serde_json::to_vec(&header).map_err(|error| IssueError::new(error.to_string()))?;
        self.signed(&base64url(header), &claims)
    }

    /// Signs claims under an encoded header.
    fn signed(&self, header: &str, claims: &impl Serialize) -> Result<String, IssueError> {
        let claims = serde_json::to_vec(claims).map_err(|error| IssueError::new(error.to_string()))?;
        let signed = format!("{header}.{}", base64url(claims));
        let signature = base64url(self.key.sign(signed.as_bytes())?);
        Ok(format!("{signed}.{signature}"))
    }
}

/// How long a Workload Proof Token is valid, in seconds: clients sign each request immediately before they send it.
#[cfg(feature = "experimental-wimse")]
const WPT_LIFETIME: i64 = 60;

#[derive(Serialize)]
struct Header {
    typ: &'static str,
    alg: Algorithm,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwk: Option<Value>,
}

#[derive(Serialize)]
struct Claims<'r> {
    jti: Uuid,
    htm: &'r str,
    htu: &'r str,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'r str>,
}

/// The claims of a Workload Proof Token.
#[cfg(feature = "experimental-wimse")]
#[derive(Serialize)]
struct WptClaims<'r> {
    aud: &'r str,
    exp: i64,
    jti: Uuid,
    wth: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tth: Option<String>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    oth: std::collections::BTreeMap<String, String>,
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopKey")
            .field("algorithm", &self.key.algorithm())
            .field("jkt", &base64url(self.thumbprint))
            .finish_non_exhaustive()
    }
}
