//! The public half of a key, as a JWK.

use serde_json::Value;
use service_only::issue::SigningKey;

use crate::problem::{Outcome, Problem, ProblemCode};

/// The public JWK of a key; an HMAC secret has none.
pub(crate) fn public_jwk(key: &SigningKey) -> Option<Value> {
    serde_json::to_value(key.public_jwk()?).ok()
}

pub(crate) fn public_half(key: &SigningKey) -> Outcome<Value> {
    public_jwk(key).ok_or_else(|| Problem::new(ProblemCode::BadKey, "the key has no public half"))
}

/// The public half of a key as the store contains it.
pub(crate) fn stored_half(kid: &str, jwk: Option<&str>) -> Outcome<Value> {
    let value = jwk.and_then(|jwk| serde_json::from_str(jwk).ok());
    value.ok_or_else(|| {
        Problem::new(ProblemCode::Store, format!("the store has no public half of the key `{kid}`"))
    })
}
