//! Parses JWK sets (RFC 7517): strictly for usable keys, and leniently for other members. `member`: one entry of a set;
//! `merge`: entries that are one key; `embedded`: the one key in the header of a proof.

mod embedded;
mod member;
mod merge;

use std::fmt;

use serde::{
    Deserialize,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

pub use self::member::PRIVATE_MEMBERS;
pub(crate) use self::{
    embedded::{EmbeddedJwk, EmbeddedKey},
    merge::MAX_KEYS_PER_KID,
};
use self::{member::Jwk, merge::Shelves};
use super::{KeyError, VerifyingKey};
use crate::{
    denial::quoted,
    json::{self, JsonError, Value},
    text,
};

/// See [`KeySet::MAX_KEYS`].
pub(crate) const MAX_KEYS: usize = 10_000;

/// See [`KeySet::MAX_JWKS_BYTES`].
pub(crate) const MAX_JWKS_BYTES: usize = 4 * 1024 * 1024;

/// A member of a JWK set that was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    pub(crate) index: usize,
    pub(crate) kid: Option<String>,
    pub(crate) error: KeyError,
}

impl SkippedKey {
    /// Why it was skipped.
    pub fn error(&self) -> &KeyError {
        &self.error
    }
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}", self.index + 1)?;
        if let Some(kid) = &self.kid {
            write!(f, " (`{}`)", quoted(kid))?;
        }
        write!(f, ": {}", self.error)
    }
}

/// Parses a set of at most `most` members into its keys and the members that were skipped.
pub(crate) fn parse(json: &[u8], most: usize) -> Result<(Vec<VerifyingKey>, Vec<SkippedKey>), KeyError> {
    if json.len() > MAX_JWKS_BYTES {
        return Err(KeyError::unusable(format!("the JWK set is larger than {MAX_JWKS_BYTES} bytes")));
    }
    let text = text::decode(json).map_err(|why| KeyError::unusable(format!("not a JWK set: {why}")))?;
    let mut set = SetMembers::default();
    json::read_object(text.as_bytes(), &mut set).map_err(|error| match error {
        JsonError::Malformed(why) | JsonError::WrongType(why) => {
            KeyError::unusable(format!("not a JWK set: {why}{}", remedy(&text)))
        }
    })?;
    let members = set.keys.ok_or_else(|| {
        KeyError::unusable(if set.is_a_key {
            "not a JWK set: it is a single JWK; write `{\"keys\":[` before it and `]}` behind it"
        } else {
            "not a JWK set: the member `keys` is missing"
        })
    })?;
    if members.len() > most {
        return Err(KeyError::unusable(format!("{} keys, more than {most}", members.len())));
    }
    let (mut shelves, mut skipped) = (Shelves::default(), Vec::new());
    for (index, jwk) in members.into_iter().map(Jwk::read).enumerate() {
        let kid = jwk.kid().map(str::to_owned);
        if let Err(error) = jwk.into_entry(index).and_then(|entry| shelves.add(entry)) {
            skipped.push(SkippedKey { index, kid, error });
        }
    }
    Ok((shelves.into_keys(), skipped))
}

/// Suggests what to do with a text that is not a JSON object, based on how it begins. Never quotes the text.
fn remedy(text: &str) -> &'static str {
    match text.trim_start().as_bytes() {
        [] => "; the text is empty",
        [b'[', ..] => "; an array of keys belongs in an object: `{\"keys\":[…]}`",
        [b'<', ..] => "; it is HTML or XML, perhaps the error page of a server",
        [b'#' | b'/', ..] => "; JSON has no comments: remove them",
        rest if rest.starts_with(b"-----BEGIN") => "; it is PEM, and a JWK set is JSON",
        _ => "",
    }
}

#[derive(Default)]
struct SetMembers<'t> {
    keys: Option<Vec<&'t RawValue>>,
    /// The object has a `kty`, which a key has and a set does not have.
    is_a_key: bool,
}

json::names! {
    /// The known members of a set.
    SetName {
        Keys = "keys",
        Kty = "kty",
    }
}

impl<'de> json::Members<'de> for SetMembers<'de> {
    type Name = SetName;

    fn member<A: MapAccess<'de>>(&mut self, name: SetName, map: &mut A) -> Result<(), A::Error> {
        match name {
            SetName::Keys => self.keys = Some(map.next_value::<JwkList<'de>>()?.0),
            SetName::Kty => {
                map.next_value::<Value<'de>>()?;
                self.is_a_key = true;
            }
        }
        Ok(())
    }
}

/// The members of the set, each as its text: one that cannot be read must not affect the others.
struct JwkList<'t>(Vec<&'t RawValue>);

impl<'de> Deserialize<'de> for JwkList<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = JwkList<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of keys")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<JwkList<'de>, A::Error> {
                let mut list = Vec::new();
                while let Some(jwk) = seq.next_element()? {
                    // Check here, because a member of two bytes takes many times as many in the list.
                    if list.len() == MAX_KEYS {
                        return Err(de::Error::custom(format_args!("more than {MAX_KEYS} keys")));
                    }
                    list.push(jwk);
                }
                Ok(JwkList(list))
            }
        }
        deserializer.deserialize_seq(ListVisitor)
    }
}
