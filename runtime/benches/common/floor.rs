//! The least that a verifier could do: one raw verification of aws-lc-rs with a key that was parsed
//! before, base64, and one parse into fields that borrow. No check, no allocation, no record.

use std::{borrow::Cow, hint::black_box};

use aws_lc_rs::{hmac, rsa::PublicKeyComponents, signature as sig};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, DecodingKeyKind::RsaModulusExponent, DecodingKeyKind::SecretOrDer};
use serde::Deserialize;
use service_only::{Algorithm, issue::SigningKey};

use super::tokens::SECRET;

/// The claims of a token, borrowed.
#[derive(Deserialize)]
struct Borrowed<'a> {
    #[serde(borrow)]
    sub: Cow<'a, str>,
    #[serde(borrow)]
    service: Cow<'a, str>,
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    is_service: bool,
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    iss: Cow<'a, str>,
    #[serde(borrow)]
    aud: Cow<'a, str>,
    exp: i64,
    iat: i64,
    #[serde(borrow)]
    jti: Cow<'a, str>,
    #[serde(borrow)]
    scope: Cow<'a, str>,
}

/// A parsed key.
pub enum Floor {
    Mac(Box<hmac::Key>),
    Public(sig::ParsedPublicKey),
}

impl Floor {
    pub fn new(key: &SigningKey) -> Self {
        if key.algorithm() == Algorithm::HS256 {
            return Self::Mac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, SECRET)));
        }
        let decoding = decoding_key(key);
        Self::Public(match (key.algorithm(), decoding.kind()) {
            (Algorithm::ES256, SecretOrDer(point)) => {
                sig::ParsedPublicKey::new(&sig::ECDSA_P256_SHA256_FIXED, point).unwrap()
            }
            (Algorithm::EdDSA, SecretOrDer(point)) => {
                sig::ParsedPublicKey::new(&sig::ED25519, point).unwrap()
            }
            (Algorithm::RS256, RsaModulusExponent { n, e }) => {
                PublicKeyComponents { n, e }.to_parsed_public_key(&sig::RSA_PKCS1_2048_8192_SHA256).unwrap()
            }
            (algorithm, _) => panic!("no floor is known for {algorithm}"),
        })
    }

    /// The signature alone.
    pub fn signature(&self, token: &str) {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut buffer = [0; 512];
        let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut buffer).unwrap();
        assert!(self.verifies(signed.as_bytes(), &buffer[..length]));
    }

    /// The signature and the claims.
    pub fn verify(&self, token: &str) -> i64 {
        self.signature(token);
        let payload = token.split('.').nth(1).unwrap();
        let mut buffer = [0; 1024];
        let length = URL_SAFE_NO_PAD.decode_slice(payload, &mut buffer).unwrap();
        let claims: Borrowed<'_> = serde_json::from_slice(&buffer[..length]).unwrap();
        black_box(&claims);
        claims.exp
    }

    fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Mac(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

/// The same key for jsonwebtoken.
pub fn decoding_key(key: &SigningKey) -> DecodingKey {
    match key.public_jwk() {
        None => DecodingKey::from_secret(SECRET).unwrap(),
        Some(jwk) => {
            let jwk = serde_json::from_str(&serde_json::to_string(&jwk).unwrap()).unwrap();
            DecodingKey::from_jwk(&jwk).unwrap()
        }
    }
}
