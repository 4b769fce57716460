//! Public keys as JWKs: what a JWK set contains, and what checks the signatures of a signer.

use aws_lc_rs::rsa;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use pkcs8::{der::Decode, spki::SubjectPublicKeyInfoRef};
use serde::{Deserialize, Serialize};

use super::base64url;
use crate::{
    keys::{
        Algorithm, KeyError, KeyId, KeySet, KeyType, Prepared, VerifyingKey, significant,
        thumbprint::RequiredMembers,
    },
    text,
};

/// A public key as a JWK (RFC 7517), for a JWK set. It names its algorithm and its key id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicJwk {
    kty: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    crv: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(rename = "use")]
    key_use: &'static str,
    alg: Algorithm,
    kid: KeyId,
    #[serde(skip)]
    thumbprint: [u8; 32],
}

impl PublicJwk {
    /// Formats these keys as the text of a JWK set.
    pub fn set<'k>(keys: impl IntoIterator<Item = &'k PublicJwk>) -> String {
        let keys: Vec<_> = keys.into_iter().collect();
        serde_json::json!({ "keys": keys }).to_string()
    }

    /// Reads a public key in PEM, as [`VerifyingKey::from_pem`] does. Its name is the RFC 7638 thumbprint.
    ///
    /// # Errors
    /// As [`VerifyingKey::from_pem`]. Also when an EC key has a compressed point.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        VerifyingKey::from_pem(algorithm, pem)?;
        let decoded = text::decode(pem).ok();
        let damaged = || KeyError::unusable("the public key is damaged: export it again");
        let block = pem::parse(decoded.as_deref().map_or(pem, str::as_bytes)).map_err(|_| damaged())?;
        let public = match algorithm.key_type() {
            KeyType::Rsa => {
                let key = rsa::PublicKey::from_der(block.contents()).map_err(|_| damaged())?;
                let parts = rsa::PublicKeyComponents::<Vec<u8>>::from(&key);
                Public::Rsa { n: parts.n, e: parts.e }
            }
            _ => {
                let info = SubjectPublicKeyInfoRef::from_der(block.contents()).map_err(|_| damaged())?;
                let point = info.subject_public_key.as_bytes().ok_or_else(damaged)?;
                Public::of_point(algorithm, point)?
            }
        };
        Ok(public.jwk(algorithm))
    }

    /// Reads a public key in the DER form of `SubjectPublicKeyInfo` (RFC 5280), which key management services
    /// return. Its name is the RFC 7638 thumbprint.
    ///
    /// # Errors
    /// As [`PublicJwk::from_pem`].
    pub fn from_der(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        Self::from_pem(algorithm, pem::encode(&pem::Pem::new("PUBLIC KEY", der)).as_bytes())
    }

    /// Reads a public key as a JWK. Its name is its `kid`, else the RFC 7638 thumbprint.
    ///
    /// # Errors
    /// When the text is not one JWK, contains a private key, is weak, or is not for `algorithm`.
    pub fn from_jwk(algorithm: Algorithm, json: &[u8]) -> Result<Self, KeyError> {
        if json.len() > KeySet::MAX_JWKS_BYTES {
            return Err(KeyError::unusable(format!(
                "the JWK is larger than {} bytes",
                KeySet::MAX_JWKS_BYTES
            )));
        }
        let text = text::decode(json).map_err(|why| KeyError::unusable(format!("not a JWK: {why}")))?;
        let text: &str = &text;
        // A JWK set has strict rules already: no private member, a fitting `use`, no weak key.
        let set = KeySet::from_jwks(format!(r#"{{"keys":[{text}]}}"#).as_bytes())?;
        let [key] = set.keys() else { return Err(KeyError::unusable("not one JWK but several")) };
        if !key.is_for(algorithm) {
            let own: Vec<_> = key.algorithms().map(Algorithm::as_str).collect();
            return Err(KeyError::unusable(format!(
                "the JWK is for {}, not for {algorithm}",
                own.join(", ")
            )));
        }
        let members: Members =
            serde_json::from_str(text).map_err(|_| KeyError::unusable("not the members of a JWK"))?;
        let public = match algorithm.key_type() {
            KeyType::Rsa => Public::Rsa { n: bytes(&members.n)?, e: bytes(&members.e)? },
            KeyType::Ed25519 => Public::Ed25519 { x: bytes(&members.x)? },
            _ => Public::of_point(
                algorithm,
                &[&[4], bytes(&members.x)?.as_slice(), bytes(&members.y)?.as_slice()].concat(),
            )?,
        };
        let jwk = public.jwk(algorithm);
        Ok(match members.kid {
            Some(kid) => jwk.with_kid(kid),
            None => jwk,
        })
    }

    /// Renames the key.
    #[must_use]
    pub fn with_kid(self, kid: impl Into<String>) -> Self {
        Self { kid: KeyId::new(kid), ..self }
    }

    /// The RFC 7638 thumbprint, which does not depend on the name: what a token is bound to as `jkt` (RFC 9449 section 6.1).
    pub fn thumbprint(&self) -> [u8; 32] {
        self.thumbprint
    }

    /// The key's name.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The algorithm that the key verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.alg
    }

    /// The key that verifies signatures, under the same name.
    ///
    /// # Errors
    /// When the key is weak; see [`VerifyingKey::from_pem`].
    pub fn verifying_key(&self) -> Result<VerifyingKey, KeyError> {
        let member = |text: &Option<String>| text.clone().unwrap_or_default();
        let no_point = |_| KeyError::unusable("the key is not a point of the curve");
        let key = match self.alg.key_type() {
            KeyType::Secret => return Err(KeyError::unusable("a secret has no public half")),
            KeyType::Rsa => DecodingKey::from_rsa_raw_components(&bytes(&self.n)?, &bytes(&self.e)?),
            KeyType::P256 | KeyType::P384 => {
                DecodingKey::from_ec_components(&member(&self.x), &member(&self.y)).map_err(no_point)?
            }
            KeyType::Ed25519 => DecodingKey::from_ed_components(&member(&self.x)).map_err(no_point)?,
        };
        Ok(VerifyingKey::named(self.kid.clone(), self.alg, Prepared::new(self.alg, &key)?))
    }
}

/// The members that a JWK of a checked set has.
#[derive(Deserialize)]
struct Members {
    kid: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

fn bytes(member: &Option<String>) -> Result<Vec<u8>, KeyError> {
    let text = member.as_deref().unwrap_or_default();
    URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::unusable("a member of the JWK is not base64url"))
}

/// The numbers of a public key.
pub(crate) enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ec { crv: &'static str, x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
}

impl Public {
    /// A point in the uncompressed form of SEC 1, or the 32 bytes of an Ed25519 key.
    pub(crate) fn of_point(algorithm: Algorithm, point: &[u8]) -> Result<Self, KeyError> {
        let (crv, length) = match algorithm.key_type() {
            KeyType::P256 => ("P-256", 32),
            KeyType::P384 => ("P-384", 48),
            KeyType::Ed25519 => return Ok(Self::Ed25519 { x: point.to_vec() }),
            KeyType::Rsa | KeyType::Secret => {
                return Err(KeyError::unusable(format!("{algorithm} does not use a point of a curve")));
            }
        };
        let (x, y) = point
            .strip_prefix(&[4])
            .and_then(|point| point.split_at_checked(length))
            .filter(|(_, y)| y.len() == length)
            .ok_or_else(|| KeyError::unusable("the point of the key is compressed, or of another curve"))?;
        Ok(Self::Ec { crv, x: x.to_vec(), y: y.to_vec() })
    }

    /// The JWK, with the thumbprint as its name.
    pub(crate) fn jwk(&self, algorithm: Algorithm) -> PublicJwk {
        let thumbprint = self.thumbprint();
        let mut jwk = PublicJwk {
            kty: "",
            crv: None,
            n: None,
            e: None,
            x: None,
            y: None,
            key_use: "sig",
            alg: algorithm,
            kid: KeyId::new(base64url(thumbprint)),
            thumbprint,
        };
        match self {
            Self::Rsa { n, e } => {
                jwk.kty = "RSA";
                jwk.n = Some(base64url(significant(n)));
                jwk.e = Some(base64url(significant(e)));
            }
            Self::Ec { crv, x, y } => {
                jwk.kty = "EC";
                jwk.crv = Some(crv);
                jwk.x = Some(base64url(x));
                jwk.y = Some(base64url(y));
            }
            Self::Ed25519 { x } => {
                jwk.kty = "OKP";
                jwk.crv = Some("Ed25519");
                jwk.x = Some(base64url(x));
            }
        }
        jwk
    }

    /// The RFC 7638 thumbprint.
    fn thumbprint(&self) -> [u8; 32] {
        match self {
            Self::Rsa { n, e } => RequiredMembers::Rsa { n, e },
            Self::Ec { crv, x, y } => RequiredMembers::Ec { crv, x, y },
            Self::Ed25519 { x } => RequiredMembers::Ed25519 { x },
        }
        .thumbprint()
    }
}
