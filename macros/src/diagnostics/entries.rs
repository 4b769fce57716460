//! Mistakes in the form of the attribute: keys, commas, the shape of a value.

use proc_macro2::{Delimiter, Ident, Literal, Punct, Span, TokenTree};
use quote::quote;
use syn::parse::Parser;
use syn::{Error, Lit, LitStr, Path};

use super::similar::{similar_key, similar_text};
use super::written;
use super::{at, at_or};
use crate::rules::{self, Attribute, Key, PROOFS};

pub(crate) fn no_key(allowed: &[Key], entry: &[TokenTree]) -> Error {
    let found = quote!(#(#entry)*);
    at(entry, format!("expected a key, found `{found}`; the keys are {}", keys(allowed)))
}

/// Names without `services(..)` around them.
pub(crate) fn names_without_key(names: &[LitStr]) -> Option<Error> {
    let (first, _) = names.split_first()?;
    let list =
        names.iter().map(|name| suggested_name(Key::Services, &name.value())).collect::<Option<Vec<_>>>();
    let list = list.unwrap_or_else(|| vec![example(Key::Services).to_owned()]);
    let found = first.token();
    Some(Error::new(
        first.span(),
        format!("expected a key, found `{found}`; write `services({})`", distinct(list).join(", ")),
    ))
}

pub(crate) fn stray_comma(comma: &Punct) -> Error {
    Error::new(comma.span(), "unexpected `,`; remove it")
}

pub(crate) fn missing_comma(extra: &TokenTree) -> Error {
    Error::new(extra.span(), format!("expected `,` before `{extra}`"))
}

/// A key of another attribute of this crate.
pub(crate) fn misplaced_key(attribute: Attribute, key: Key, name: &Ident) -> Error {
    let key = key.as_str();
    let remedy = match attribute {
        Attribute::Callers => {
            format!("move it to one kind of caller: `users({key}..)` or `services(\"orders\", {key}..)`")
        }
        _ => "write `#[callers(users(..), services(..))]` to admit users and services".to_owned(),
    };
    Error::new(name.span(), format!("`{key}` is not a key of `{}`; {remedy}", attribute.as_str()))
}

/// A word in `users(..)` or `services(..)` of `#[callers]` that is not a key there.
pub(crate) fn not_in(within: Key, allowed: &[Key], name: &Ident) -> Error {
    let within = within.as_str();
    Error::new(
        name.span(),
        format!("`{name}` is not a key of `{within}(..)`; the keys are {}", keys(allowed)),
    )
}

pub(crate) fn not_callers(key: Key, name: &Ident, value: &[TokenTree]) -> Error {
    let example = match key {
        Key::Users => r#"users(roles("manager"))"#,
        _ => r#"services("orders")"#,
    };
    let key = key.as_str();
    at_or(value, name, format!("`{key}` takes its requirements in parentheses; write `{example}`"))
}

pub(crate) fn empty_callers(key: Key, span: Span) -> Error {
    let key = key.as_str();
    Error::new(
        span,
        format!("`{key}()` requires nothing; write `{key}` to admit all {key}, or name a requirement"),
    )
}

pub(crate) fn one_kind_of_callers(has_users: bool, has_services: bool) -> Error {
    let message = match (has_users, has_services) {
        (true, false) => "`#[callers]` names no services; write `services(..)`, or use `#[users_only(..)]`",
        (false, true) => "`#[callers]` names no users; write `users(..)`, or use `#[service_only(..)]`",
        _ => r#"`#[callers]` needs both kinds; write `users(roles("manager")), services("orders")`"#,
    };
    Error::new(Span::call_site(), message)
}

pub(crate) fn not_claims(name: &Ident, value: &[TokenTree]) -> Error {
    at_or(value, name, format!("`claims` takes claims in parentheses; write `{EXAMPLE_CLAIMS}`"))
}

pub(crate) fn not_a_claim(entry: &[TokenTree]) -> Error {
    let found = quote!(#(#entry)*);
    let message =
        format!("`claims` takes names with string literals, found `{found}`; write `{EXAMPLE_CLAIMS}`");
    at(entry, message)
}

const EXAMPLE_CLAIMS: &str = r#"claims(tenant = "{tenant}")"#;

pub(crate) fn unknown_key(allowed: &[Key], name: &Ident) -> Error {
    let written = name.to_string();
    let message = match written.as_str() {
        "issuer" | "audience" | "audiences" | "keys" | "algorithms" | "leeway" => {
            format!("`{written}` is not a key of the attribute; set it on the `Verifier`")
        }
        _ => match similar_key(allowed, &written) {
            Some(key) => format!("unknown key `{written}`, did you mean `{}`?", key.as_str()),
            None => format!("unknown key `{written}`; the keys are {}", keys(allowed)),
        },
    };
    Error::new(name.span(), message)
}

pub(crate) fn repeated_key(key: Key, span: Span) -> Error {
    let name = key.as_str();
    let remedy = match key {
        Key::Services
        | Key::Actors
        | Key::Roles
        | Key::Scopes
        | Key::AnyScope
        | Key::Claims
        | Key::Issuers => "put all values into one list",
        Key::MaxAge | Key::Proof | Key::Crate | Key::Users => "keep one",
    };
    Error::new(span, format!("`{name}` is repeated; {remedy}"))
}

pub(crate) fn not_a_list(key: Key, name: &Ident, value: &[TokenTree]) -> Error {
    let values = suggested_values(key, value).unwrap_or_else(|| example(key).to_owned());
    let key = key.as_str();
    at_or(value, name, format!("`{key}` takes a list in parentheses; write `{key}({values})`"))
}

/// A key with one text, written in another form.
pub(crate) fn not_one_value(key: Key, name: &Ident, value: &[TokenTree]) -> Error {
    let (key, text) = (key.as_str(), suggested_text(key, value));
    at_or(value, name, format!("`{key}` takes one value; write `{key} = {text}`"))
}

/// A value of a key with one text, for a suggestion.
fn suggested_text(key: Key, written: &[TokenTree]) -> String {
    let suggested = match key {
        Key::Proof => suggested_proof(&quote!(#(#written)*).to_string()).map(|proof| format!("{proof:?}")),
        _ => find_literal(written).and_then(suggested_age),
    };
    suggested.unwrap_or_else(|| match key {
        Key::Proof => EXAMPLE_PROOF.to_owned(),
        _ => EXAMPLE_AGE.to_owned(),
    })
}

pub(crate) fn not_a_crate_path(name: &Ident, value: &[TokenTree]) -> Error {
    let path = match find_literal(value).map(Lit::new) {
        Some(Lit::Str(text)) => text.parse_with(Path::parse_mod_style).ok(),
        _ => None,
    };
    let path = path.map_or_else(|| "::service_only".to_owned(), |path| written(&path));
    at_or(value, name, format!("`crate` takes a path without quotes; write `crate = {path}`"))
}

pub(crate) fn not_a_string(key: Key, found: &[TokenTree]) -> Error {
    let (takes, remedy) = match key {
        Key::MaxAge | Key::Proof | Key::Crate => ("a string literal", Some(suggested_text(key, found))),
        _ => ("string literals and constants", suggested_values(key, found)),
    };
    let remedy = remedy.map_or_else(String::new, |text| format!("; write `{text}`"));
    let found = quote!(#(#found)*);
    let message = format!("`{}` takes {takes}, found `{found}`{remedy}", key.as_str());
    Error::new_spanned(found, message)
}

/// The text of a literal of the wrong kind, for a suggestion.
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

/// A valid value for a suggestion, if the written value has no similar one.
fn example(key: Key) -> &'static str {
    match key {
        Key::Roles => r#""admin""#,
        Key::Scopes | Key::AnyScope => r#""orders:read""#,
        Key::Issuers => r#""https://id.example""#,
        Key::Actors => r#""gateway""#,
        _ => r#""orders""#,
    }
}

pub(crate) const EXAMPLE_AGE: &str = r#""24h""#;

const EXAMPLE_PROOF: &str = r#""mtls""#;

/// The proof that a text resembles, whatever surrounds it.
pub(crate) fn suggested_proof(written: &str) -> Option<&'static str> {
    let letters: String = written.chars().filter(char::is_ascii_alphanumeric).collect();
    similar_text(&PROOFS, &letters.to_ascii_lowercase())
}

/// The written values as valid ones, for a suggestion. `None` if one of them cannot be made valid.
fn suggested_values(key: Key, written: &[TokenTree]) -> Option<String> {
    let written = match written {
        [TokenTree::Punct(_), rest @ ..] => rest,
        all => all,
    };
    let inner: Vec<TokenTree>;
    let written = match written {
        [TokenTree::Group(group)] if group.delimiter() != Delimiter::None => {
            inner = group.stream().into_iter().collect();
            inner.as_slice()
        }
        all => all,
    };
    let entries = written.split(|token| matches!(token, TokenTree::Punct(comma) if comma.as_char() == ','));
    let values = entries.filter(|entry| !entry.is_empty()).map(|entry| suggested_value(key, entry));
    let values = distinct(values.collect::<Option<Vec<_>>>()?);
    (!values.is_empty()).then(|| values.join(", "))
}

fn suggested_value(key: Key, entry: &[TokenTree]) -> Option<String> {
    let literal = match entry {
        [token] => rules::literal(token),
        _ => None,
    };
    if let Some(literal) = literal {
        return suggested_name(key, &text_of(Lit::new(literal))?);
    }
    let path = Path::parse_mod_style.parse2(quote!(#(#entry)*)).ok()?;
    (path.segments.first()?.ident != "Self").then(|| written(&path))
}

fn suggested_name(key: Key, name: &str) -> Option<String> {
    rules::fault_of(key, name).is_none().then(|| format!("{name:?}"))
}

/// A literal as a valid age, for a suggestion: `3600` and `"3600"` are seconds, `24h` lacks its quotes.
pub(crate) fn suggested_age(literal: Literal) -> Option<String> {
    let text = match Lit::new(literal) {
        Lit::Int(number) => format!("{}{}", number.base10_digits(), number.suffix()),
        other => text_of(other)?,
    };
    let with_unit = format!("{text}s");
    [text, with_unit].into_iter().find(|age| rules::is_age(age)).map(|age| format!("{age:?}"))
}

/// The first literal, also within brackets.
fn find_literal(tokens: &[TokenTree]) -> Option<Literal> {
    tokens.iter().find_map(|token| match token {
        TokenTree::Group(group) => find_literal(&group.stream().into_iter().collect::<Vec<_>>()),
        token => rules::literal(token),
    })
}

fn distinct(values: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

fn keys(allowed: &[Key]) -> String {
    allowed.iter().map(|key| format!("`{}`", key.as_str())).collect::<Vec<_>>().join(", ")
}
