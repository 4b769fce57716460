//! One JSON object, read strictly: RFC 8259, no member twice, nothing around it, bounded.
//!
//! Headers, payloads and JWK sets come from outside. RFC 7515 section 4 and RFC 7519 section 4 let a
//! reader refuse duplicate names or keep the last; refusing is the only choice that two readers
//! cannot make differently.

use std::{borrow::Cow, fmt};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Members that one object may have. The largest token seen in the field has 60; comparing each name
/// with those before it stays cheap up to here.
pub const MAX_JSON_MEMBERS: usize = 256;

/// Nesting that is read at all: serde_json's own bound, pinned by a test.
pub const MAX_JSON_DEPTH: usize = 127;

/// Why a text is not the object that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// Not JSON, not an object, a member twice, too deep, too many.
    Malformed(String),
    /// JSON, but a member has a type that it must not have.
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

/// An error for a member of the wrong type, kept apart from "not JSON".
pub(crate) fn wrong_type<E: de::Error>(member: &str, expected: &str) -> E {
    E::custom(format_args!("{WRONG_TYPE}`{member}` must be {expected}"))
}

/// Takes the members of one object, in order.
pub(crate) trait Members<'de> {
    /// The names that mean something.
    type Name: Name;

    /// Must consume the value, with [`MapAccess::next_value`] or the like.
    fn member<A: MapAccess<'de>>(&mut self, name: Self::Name, map: &mut A) -> Result<(), A::Error>;
}

/// A name that means something. Each has a number, so that "was it here before?" is one bit.
pub(crate) trait Name: Copy {
    /// The name that is spelled so, byte for byte.
    fn of(text: &str) -> Option<Self>;

    /// Less than 64, and no other name's.
    fn number(self) -> u32;
}

/// Writes an enum of names as texts.
macro_rules! names {
    ($(#[$doc:meta])* $type:ident { $($name:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Copy, Clone, PartialEq, Eq)]
        pub(crate) enum $type { $($name,)* }

        const _: () = assert!([$($text),*].len() <= 64, "each has a bit of its own");

        #[allow(dead_code, reason = "not every object is told of what is wrong with a member")]
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

/// Reads `bytes` as exactly one JSON object and hands its members over.
pub(crate) fn read_object<'de, M: Members<'de>>(bytes: &'de [u8], members: &mut M) -> Result<(), JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Malformed("not UTF-8".to_owned()))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_map(Object { members })?;
    deserializer.end()?;
    Ok(())
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
                    map.next_value::<Value<'de>>()?;
                }
            }
        }
        Ok(())
    }
}

/// The names that were there: known ones by their bit, others by their text.
#[derive(Default)]
pub(crate) struct Seen<'de> {
    known: u64,
    others: Vec<Cow<'de, str>>,
}

impl<'de> Seen<'de> {
    pub(crate) fn known(&mut self, name: impl Name) -> Result<(), Unlawful> {
        let bit = 1_u64.checked_shl(name.number()).unwrap_or_default();
        self.check(self.known & bit != 0)?;
        self.known |= bit;
        Ok(())
    }

    pub(crate) fn other(&mut self, name: Cow<'de, str>) -> Result<(), Unlawful> {
        self.check(self.others.contains(&name))?;
        self.others.push(name);
        Ok(())
    }

    fn check(&self, twice: bool) -> Result<(), Unlawful> {
        if twice {
            return Err(Unlawful::Twice);
        }
        if self.others.len() + self.known.count_ones() as usize == MAX_JSON_MEMBERS {
            return Err(Unlawful::TooMany);
        }
        Ok(())
    }
}

/// Why an object may not have a member.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum Unlawful {
    Twice,
    TooMany,
}

impl fmt::Display for Unlawful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice => f.write_str("a member name stands twice"),
            Self::TooMany => write!(f, "more than {MAX_JSON_MEMBERS} members"),
        }
    }
}

/// A string, borrowed where it has no escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// A value as far as anything here looks into one. What lies deeper is read, checked to be JSON and
/// within the nesting bound, and dropped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'de> {
    Null,
    Bool(bool),
    Text(Cow<'de, str>),
    /// An array of strings only.
    Texts(Vec<Cow<'de, str>>),
    /// A number, an object, an array of anything else.
    Other,
}

impl<'de> Value<'de> {
    pub(crate) fn into_text(self) -> Option<Cow<'de, str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Value::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut texts = Some(Vec::new());
        while let Some(value) = seq.next_element::<Value<'de>>()? {
            match (value, &mut texts) {
                (Value::Text(text), Some(all)) => all.push(text),
                _ => texts = None,
            }
        }
        Ok(texts.map_or(Value::Other, Value::Texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_key_seed(Skip)?.is_some() {
            map.next_value::<Value<'de>>()?;
        }
        Ok(Value::Other)
    }
}

/// A value whose objects are kept, for a claim that is an object itself. A name that stands twice is
/// kept in neither form, so that nobody can be told one thing and us another.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Text(String),
    Object(Vec<(String, Tree)>),
    Other,
}

impl Tree {
    /// The only member of this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Tree> {
        let Self::Object(members) = self else { return None };
        let mut named = members.iter().filter(|(own, _)| own == name);
        match (named.next(), named.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
        while seq.next_element::<Value<'de>>()?.is_some() {}
        Ok(Tree::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(Text(name)) = map.next_key()? {
            members.push((name.into_owned(), map.next_value()?));
        }
        Ok(Tree::Object(members))
    }
}

/// Reads a name without keeping it.
struct Skip;

impl<'de> DeserializeSeed<'de> for Skip {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        Text::deserialize(deserializer).map(|_| ())
    }
}

/// A JSON number as whole seconds: NumericDate of RFC 7519 section 2.
///
/// Read through `deserialize_f64` and never through `deserialize_any`: with serde_json's
/// `arbitrary_precision`, which any crate of a program may switch on, the latter shows numbers as
/// maps.
#[derive(Copy, Clone, Debug, PartialEq)]
pub(crate) struct Number(pub(crate) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            // Up to 2^53 seconds, 285 million years, a double holds every second.
            #[expect(
                clippy::cast_precision_loss,
                reason = "beyond 2^53 seconds a second more or less decides nothing"
            )]
            fn visit_u64<E>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            #[expect(
                clippy::cast_precision_loss,
                reason = "beyond 2^53 seconds a second more or less decides nothing"
            )]
            fn visit_i64<E>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }
        }
        deserializer.deserialize_f64(NumberVisitor)
    }
}

#[cfg(test)]
mod tests;
