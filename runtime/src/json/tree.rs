//! A JSON value that keeps its objects.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::value::{Text, Value};

/// A JSON value that keeps its objects, for a claim that is an object. A lookup of a
/// repeated name finds no value, so that two readers never see different values for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Text(String),
    Bool(bool),
    /// An array of strings only.
    Texts(Vec<String>),
    Object(Vec<(String, Tree)>),
    Other,
}

impl Tree {
    /// The member of this name, if it occurs only once.
    pub(crate) fn member(&self, name: &str) -> Option<&Tree> {
        let Self::Object(members) = self else { return None };
        let mut named = members.iter().filter(|(own, _)| own == name);
        match (named.next(), named.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Whether an object has a member of this name, also a repeated one.
    pub(crate) fn has_member(&self, name: &str) -> bool {
        matches!(self, Self::Object(members) if members.iter().any(|(own, _)| own == name))
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

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
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
        let mut texts = Some(Vec::new());
        while let Some(value) = seq.next_element::<Value<'de>>()? {
            match (value, &mut texts) {
                (Value::Text(text), Some(all)) => all.push(text.into_owned()),
                _ => texts = None,
            }
        }
        Ok(texts.map_or(Tree::Other, Tree::Texts))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let mut members = Vec::new();
        while let Some(Text(name)) = map.next_key()? {
            members.push((name.into_owned(), map.next_value()?));
        }
        Ok(Tree::Object(members))
    }
}
