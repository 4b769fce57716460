//! One issuer's key, in the form that each contender takes.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use service_only::{Algorithm, KeySet, VerifyingKey, issue::SigningKey};

use crate::common::tokens::SECRET;

/// A public key as a JWK, or the secret that all benchmarks share.
pub struct Keys {
    pub algorithm: Algorithm,
    jwk: Option<Value>,
}

impl Keys {
    pub fn new(key: &SigningKey) -> Self {
        let jwk = key.public_jwk().map(|jwk| serde_json::to_value(jwk).unwrap());
        Self { algorithm: key.algorithm(), jwk }
    }

    /// What [`Keys::written`] wrote.
    pub fn read(text: &str) -> Self {
        let value: Value = serde_json::from_str(text).unwrap();
        let algorithm = value["algorithm"].as_str().unwrap();
        let algorithm = Algorithm::ALL.into_iter().find(|known| known.as_str() == algorithm).unwrap();
        Self { algorithm, jwk: Some(value["jwk"].clone()).filter(|jwk| !jwk.is_null()) }
    }

    pub fn written(&self) -> String {
        json!({ "algorithm": self.algorithm.as_str(), "jwk": self.jwk }).to_string()
    }

    pub fn is_secret(&self) -> bool {
        self.jwk.is_none()
    }

    /// The key as JSON; the secret too, for who takes it so.
    pub fn jwk(&self) -> String {
        let secret = || json!({ "kty": "oct", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(SECRET) });
        self.jwk.clone().unwrap_or_else(secret).to_string()
    }

    pub fn jwks(&self) -> String {
        format!(r#"{{"keys":[{}]}}"#, self.jwk())
    }

    /// A member of the JWK, decoded.
    pub fn member(&self, name: &str) -> Vec<u8> {
        let jwk = self.jwk.as_ref().unwrap();
        URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap()
    }

    /// SEC 1 section 2.3.3.
    pub fn point(&self) -> Vec<u8> {
        [vec![4], self.member("x"), self.member("y")].concat()
    }

    pub fn ours(&self) -> KeySet {
        if self.is_secret() {
            // With the name that the issuer gives it.
            let key = SigningKey::hmac(self.algorithm, SECRET).unwrap();
            return VerifyingKey::clone(&key.verifying_key()).into();
        }
        KeySet::from_jwks(self.jwks().as_bytes()).unwrap()
    }
}
