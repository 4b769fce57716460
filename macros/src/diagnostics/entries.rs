//! What is wrong with the form of the attribute: keys, commas, the shape of a value.

use proc_macro2::{Ident, Punct, Span, TokenTree};
use quote::quote;
use syn::{Error, Lit};

use super::similar::similar_key;
use super::{at, at_or};
use crate::args::{self, Key};

pub(crate) fn no_key(entry: &[TokenTree]) -> Error {
    let found = quote!(#(#entry)*);
    match entry.first().and_then(args::literal).map(Lit::new) {
        Some(Lit::Str(_)) => {
            at(entry, format!("expected a key, found `{found}`; name a service by `services({found})`"))
        }
        _ => at(entry, format!("expected a key, found `{found}`; the keys are {}", keys())),
    }
}

pub(crate) fn stray_comma(comma: &Punct) -> Error {
    Error::new(comma.span(), "nothing stands before this `,`; remove it")
}

pub(crate) fn missing_comma(extra: &TokenTree) -> Error {
    Error::new(extra.span(), format!("expected `,` before `{extra}`"))
}

pub(crate) fn unknown_key(name: &Ident) -> Error {
    let written = name.to_string();
    let message = match written.as_str() {
        "issuer" | "audience" | "audiences" | "keys" | "algorithms" | "leeway" => {
            format!("`{written}` is no key of the attribute; say it once, on the `Verifier`")
        }
        _ => match similar_key(&written) {
            Some(key) => format!("unknown key `{written}`, did you mean `{}`?", key.as_str()),
            None => format!("unknown key `{written}`; the keys are {}", keys()),
        },
    };
    Error::new(name.span(), message)
}

pub(crate) fn repeated_key(key: Key, span: Span) -> Error {
    let name = key.as_str();
    let remedy = match key {
        Key::Services | Key::Roles | Key::Scopes | Key::Issuers => "put all values into one list",
        Key::MaxAge | Key::Crate => "keep one",
    };
    Error::new(span, format!("`{name}` is said twice; {remedy}"))
}

pub(crate) fn not_a_list(key: Key, name: &Ident, value: &[TokenTree]) -> Error {
    let key = key.as_str();
    let values = match value {
        [TokenTree::Punct(_), TokenTree::Group(group)] | [TokenTree::Group(group)] => {
            group.stream().to_string()
        }
        [TokenTree::Punct(_), literal @ TokenTree::Literal(_)] => literal.to_string(),
        _ => r#""..""#.to_owned(),
    };
    at_or(value, name, format!("`{key}` takes a list in parentheses; write `{key}({values})`"))
}

pub(crate) fn not_an_age(name: &Ident, value: &[TokenTree]) -> Error {
    let age = match value {
        [TokenTree::Group(group)] => group.stream().into_iter().next(),
        _ => None,
    };
    let age = age
        .filter(|token| args::literal(token).is_some())
        .map_or_else(|| r#""24h""#.to_owned(), |token| token.to_string());
    at_or(value, name, format!("`max_age` takes one value; write `max_age = {age}`"))
}

pub(crate) fn not_a_crate_path(name: &Ident, value: &[TokenTree]) -> Error {
    at_or(
        value,
        name,
        "`crate` takes a path without quotes; write `crate = path::to::service_only`".to_owned(),
    )
}

pub(crate) fn not_a_string(key: Key, found: &[TokenTree]) -> Error {
    let takes = match key {
        Key::Services | Key::Roles | Key::Scopes | Key::Issuers => "string literals",
        Key::MaxAge | Key::Crate => "a string literal",
    };
    let text = match found {
        [TokenTree::Ident(word)] => Some(word.to_string()),
        [token] => args::literal(token).map(Lit::new).and_then(text_of),
        _ => None,
    };
    let remedy = text.map_or_else(String::new, |text| format!("; write `{text:?}`"));
    let found = quote!(#(#found)*);
    let message = format!("`{}` takes {takes}, found `{found}`{remedy}", key.as_str());
    Error::new_spanned(found, message)
}

/// What a literal of the wrong kind was meant to say.
fn text_of(literal: Lit) -> Option<String> {
    match literal {
        Lit::Str(text) => Some(text.value()),
        Lit::ByteStr(text) => String::from_utf8(text.value()).ok(),
        Lit::CStr(text) => text.value().into_string().ok(),
        Lit::Char(character) => Some(character.value().to_string()),
        Lit::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

fn keys() -> String {
    Key::ALL.map(|key| format!("`{}`", key.as_str())).join(", ")
}
