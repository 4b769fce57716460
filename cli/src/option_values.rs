//! Parsers for option values that several commands share.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use service_only::{Algorithm, keys::KeyId};

use crate::config::ScopeToken;

/// An option value that is a supported algorithm; help and completions list all of them.
pub(crate) fn algorithm_parser() -> impl TypedValueParser<Value = Algorithm> {
    PossibleValuesParser::new(Algorithm::ALL.map(Algorithm::as_str)).try_map(|name| name.parse::<Algorithm>())
}

/// An option value that is a role. A minted token has the same rule.
pub(crate) fn role(text: &str) -> Result<String, String> {
    let is_role = text.parse::<ScopeToken>().is_ok();
    is_role.then(|| text.to_owned()).ok_or_else(|| {
        format!("`{text}` is not a role; write printable ASCII without spaces, such as `admin`")
    })
}

/// An option value that names a key to create or to sign with: a valid `kid` for a verifier.
pub(crate) fn key_name(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("it is empty; write a name, or leave the option out for the thumbprint".to_owned()),
        1..=KeyId::MAX_LENGTH if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        1..=KeyId::MAX_LENGTH => Err("it has a control character; write printable text".to_owned()),
        length => Err(format!("it has {length} bytes, and a verifier accepts at most {}", KeyId::MAX_LENGTH)),
    }
}
