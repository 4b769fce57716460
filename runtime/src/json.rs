//! Parses one JSON object strictly: valid by RFC 8259, no repeated member, no surrounding data, and bounded.
//!
//! Headers, payloads and JWK sets come from outside. For duplicate names, RFC 7515 section 4 and RFC 7519 section 4
//! allow a reader to refuse the object or to keep the last value. Only a refusal guarantees that two readers never
//! see different values.

mod tree;
mod value;

use std::{borrow::Cow, fmt};

use serde::de::{self, Deserializer, MapAccess, Visitor};
pub(crate) use tree::Tree;
use value::Text;
pub(crate) use value::{Number, Value};

/// See [`Verifier::MAX_JSON_MEMBERS`].
pub(crate) const MAX_JSON_MEMBERS: usize = 256;

/// See [`Verifier::MAX_JSON_DEPTH`].
pub(crate) const MAX_JSON_DEPTH: usize = 127;

/// Why a text is not the expected object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// The text is not JSON or not an object, repeats a member, is too deep, or has too many members.
    Malformed(String),
    /// The text is JSON, but a member has the wrong type.
    WrongType(String),
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let wrong_type = error.to_string();
        match (wrong_type.strip_prefix(WRONG_TYPE), error.is_data()) {
            (Some(rest), true) => Self::WrongType(rest.to_owned()),
            _ => Self::Malformed(wrong_type),
        }
    }
}

const WRONG_TYPE: &str = "wrong type: ";

/// Creates an error for a member of the wrong type, distinct from "not JSON".
pub(crate) fn wrong_type<E: de::Error>(member: &str, expected: &str) -> E {
    E::custom(format_args!("{WRONG_TYPE}`{member}` must be {expected}"))
}

/// Receives the members of one object, in order.
pub(crate) trait Members<'de> {
    /// The known names.
    type Name: Name;

    /// Receives one member. It must consume the value, with [`MapAccess::next_value`] or the like.
    fn member<A: MapAccess<'de>>(&mut self, name: Self::Name, map: &mut A) -> Result<(), A::Error>;

    /// The object has a member of an unknown name.
    fn other(&mut self) {}
}

/// A known name. Each has a number, so that one bit records whether the name has occurred.
pub(crate) trait Name: Copy {
    /// The name with this spelling, byte for byte.
    fn of(text: &str) -> Option<Self>;

    /// The number of the name: unique, and less than 64.
    fn number(self) -> u32;
}

/// Defines an enum of names from their texts.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($name:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Copy, Clone, PartialEq, Eq)]
        pub(crate) enum $type { $($name,)* }

        const _: () = assert!([$($text),*].len() <= 64, "each needs a separate bit");

        #[allow(dead_code, reason = "not every object reports an invalid member")]
        impl $type {
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        impl $crate::json::Name for $type {
            fn of(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }

            fn number(self) -> u32 {
                self as u32
            }
        }
    };
}
pub(crate) use names;

/// Reads `bytes` as exactly one JSON object and passes its members to `members`.
pub(crate) fn read_object<'de, M: Members<'de>>(bytes: &'de [u8], members: &mut M) -> Result<(), JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Malformed("not UTF-8".to_owned()))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Object { members })?;
    deserializer.end()?;
    Ok(())
}

/// Reads some members of an object that [`read_object`] has accepted, with the objects in them.
pub(crate) fn read_named(bytes: &[u8], names: &[&str]) -> Result<Vec<(String, Tree)>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Malformed("not UTF-8".to_owned()))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let named = deserializer.deserialize_map(Named { names })?;
    deserializer.end()?;
    Ok(named)
}

struct Named<'n> {
    names: &'n [&'n str],
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = Vec<(String, Tree)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut named = Vec::new();
        while let Some(Text(name)) = map.next_key()? {
            if self.names.contains(&&*name) {
                named.push((name.into_owned(), map.next_value()?));
            } else {
                map.next_value::<Value<'de>>()?;
            }
        }
        Ok(named)
    }
}

struct Object<'m, M> {
    members: &'m mut M,
}

impl<'de, M: Members<'de>> Visitor<'de> for Object<'_, M> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Seen::default();
        while let Some(Text(name)) = map.next_key()? {
            match M::Name::of(&name) {
                Some(known) => {
                    seen.known(known).map_err(de::Error::custom)?;
                    self.members.member(known, &mut map)?;
                }
                None => {
                    seen.other(name).map_err(de::Error::custom)?;
                    self.members.other();
                    map.next_value::<Value<'de>>()?;
                }
            }
        }
        Ok(())
    }
}

/// The names that have occurred: known names by their bit, others by their text.
#[derive(Default)]
pub(crate) struct Seen<'de> {
    members: usize,
    known: u64,
    others: Vec<Cow<'de, str>>,
}

impl<'de> Seen<'de> {
    pub(crate) fn known(&mut self, name: impl Name) -> Result<(), Unlawful> {
        let bit = 1_u64.checked_shl(name.number()).unwrap_or_default();
        self.count(self.known & bit != 0)?;
        self.known |= bit;
        Ok(())
    }

    pub(crate) fn other(&mut self, name: Cow<'de, str>) -> Result<(), Unlawful> {
        self.count(self.others.contains(&name))?;
        self.others.push(name);
        Ok(())
    }

    fn count(&mut self, twice: bool) -> Result<(), Unlawful> {
        if twice {
            return Err(Unlawful::Twice);
        }
        if self.members == MAX_JSON_MEMBERS {
            return Err(Unlawful::TooMany);
        }
        self.members += 1;
        Ok(())
    }
}

/// Why a member is not allowed in an object.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Unlawful {
    Twice,
    TooMany,
}

impl fmt::Display for Unlawful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice => f.write_str("a member name occurs twice"),
            Self::TooMany => write!(f, "more than {MAX_JSON_MEMBERS} members"),
        }
    }
}

#[cfg(test)]
mod tests;
