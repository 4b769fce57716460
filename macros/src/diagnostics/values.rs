//! Mistakes in a value: no token can carry it, or its effect differs from what it suggests.

use std::fmt::Display;

use proc_macro2::{Ident, Span};
use syn::spanned::Spanned;
use syn::{Error, LitStr, Path};

use super::entries::{suggested_age, suggested_proof};
use super::written;
use crate::rules::{
    self, Attribute, Fault, Key, MAX_AGE_DAYS, MAX_CONSTANTS, MAX_LIST_BYTES, MAX_NAMES,
    MAX_SERVICE_NAME_BYTES, MAX_TEXT_BYTES, Value,
};

pub(crate) fn empty_list(key: Key, span: Span) -> Error {
    let message = match key {
        Key::Services => {
            "`services()` would refuse every caller; name a service, or leave out the key to allow every service"
        }
        Key::Issuers => {
            "`issuers()` would refuse every caller; name an issuer, or leave out the key to allow every issuer"
        }
        Key::Actors => {
            "`actors()` would refuse every caller; name an actor, or leave out the key to allow any actor, or none"
        }
        Key::Roles => {
            "`roles()` would refuse every caller; name a role, or leave out the key to allow every role"
        }
        Key::AnyScope => "`any_scope()` would refuse every caller; name a scope, or leave out the key",
        _ => "`scopes()` requires nothing; name a scope, or leave out the key",
    };
    Error::new(span, message)
}

pub(crate) fn too_many_names(key: Key, count: usize, first_extra: &Value) -> Error {
    let key = key.as_str();
    let span = match first_extra {
        Value::Text(text) => text.span(),
        Value::Constant(path) => path.span(),
        Value::Set(set) => set.span(),
    };
    Error::new(
        span,
        format!(
            "`{key}` has {count} values, and the limit is {MAX_NAMES}; require one role or scope that these callers share"
        ),
    )
}

pub(crate) fn list_too_long(key: Key, bytes: usize, span: Span) -> Error {
    let key = key.as_str();
    Error::new(
        span,
        format!(
            "`{key}` has {bytes} bytes of text, and the limit is {MAX_LIST_BYTES}; require one role or scope that these callers share"
        ),
    )
}

pub(crate) fn repeated_value(key: Key, value: &LitStr) -> Error {
    let key = key.as_str();
    Error::new(value.span(), format!("{:?} is in `{key}` twice; keep one", value.value()))
}

pub(crate) fn repeated_constant(key: Key, path: &Path) -> Error {
    Error::new_spanned(path, format!("`{}` is in `{}` twice; keep one", written(path), key.as_str()))
}

pub(crate) fn repeated_set(set: &Ident) -> Error {
    Error::new(set.span(), format!("`@{set}` is in `services` twice; keep one"))
}

pub(crate) fn set_of_another_key(key: Key, set: &Ident) -> Error {
    let key = key.as_str();
    Error::new(
        set.span(),
        format!("`@{set}` is a set of services, and `{key}` takes no sets; write `services(@{set})`"),
    )
}

/// The registration is outside of the `impl` block.
pub(crate) fn constant_of_self(path: &Path) -> Error {
    let text = written(path);
    let name = text.trim_start_matches("Self");
    Error::new_spanned(
        path,
        format!("an attribute cannot use `Self`; write the name of the type, such as `Orders{name}`"),
    )
}

pub(crate) fn too_many_constants(count: usize, first_extra: &Path) -> Error {
    Error::new_spanned(
        first_extra,
        format!(
            "the attribute has {count} constants, and the limit is {MAX_CONSTANTS}; require one role or scope that these callers share"
        ),
    )
}

pub(crate) fn bad_service_name(value: &LitStr, reason: impl Display) -> Error {
    Error::new(
        value.span(),
        format!(
            "{:?} is not a service name, {reason}; write 1 to {MAX_SERVICE_NAME_BYTES} ASCII letters, digits, `-`, `_`, `.`, \
             starting and ending with a letter or digit",
            value.value()
        ),
    )
}

pub(crate) fn several_in_one(key: Key, value: &LitStr) -> Error {
    let text = value.value();
    let mut apart: Vec<&str> = Vec::new();
    for one in text.split_ascii_whitespace() {
        if rules::fault_of(key, one).is_none() && !apart.contains(&one) {
            apart.push(one);
        }
    }
    let key = key.as_str();
    let apart = apart.iter().map(|one| format!("{one:?}")).collect::<Vec<_>>().join(", ");
    let remedy = if apart.is_empty() { "name one".to_owned() } else { format!("write `{key}({apart})`") };
    Error::new(value.span(), format!("{text:?} has a space, and a value of `{key}` is one word; {remedy}"))
}

pub(crate) fn wildcard(key: Key, value: &LitStr) -> Error {
    let remedy = match key {
        Key::AnyScope => "write each scope",
        _ => "write each scope, in `any_scope(..)` if one of them is enough",
    };
    Error::new(
        value.span(),
        format!(
            "{:?} has a `*`, and scopes are compared byte for byte, without patterns; {remedy}",
            value.value()
        ),
    )
}

pub(crate) fn attribute_too_long(attribute: Attribute, bytes: usize) -> Error {
    let attribute = attribute.as_str();
    Error::new(
        Span::call_site(),
        format!(
            "`{attribute}` has {bytes} bytes of text, and the limit is {MAX_TEXT_BYTES}; require one role or scope that \
             these callers share"
        ),
    )
}

pub(crate) fn empty_claims(span: Span) -> Error {
    Error::new(span, "`claims()` requires nothing; name a claim, or leave out the key")
}

pub(crate) fn too_many_claims(count: usize, place: Span) -> Error {
    Error::new(place, format!("`claims` has {count} values, and the limit is {MAX_NAMES}"))
}

pub(crate) fn repeated_claim(name: &str, place: Span) -> Error {
    Error::new(place, format!("the claim `{name}` is required twice; keep one"))
}

pub(crate) fn bad_claim_name(name: &str, place: Span, fault: &Fault) -> Error {
    let reason = reason(fault);
    Error::new(
        place,
        format!(
            "{name:?} is not the name of a claim, {reason}; write printable ASCII without space, `=`, `\"` and `\\`"
        ),
    )
}

pub(crate) fn bad_claim_value(name: &str, value: &LitStr, fault: &Fault) -> Error {
    let reason = reason(fault);
    Error::new(
        value.span(),
        format!(
            "{:?} is not a value for the claim `{name}`, {reason}; write a path parameter such as `\"{{tenant}}\"`, or \
             printable ASCII without space, `\"` and `\\`",
            value.value()
        ),
    )
}

fn reason(fault: &Fault) -> &str {
    match fault {
        Fault::SeveralInOne => "it has a space",
        Fault::Wildcard => "it has a `*`",
        Fault::Other(reason) => reason,
    }
}

pub(crate) fn bad_scope_token(key: Key, value: &LitStr, reason: impl Display) -> Error {
    let kind = match key {
        Key::Roles => "role",
        _ => "scope",
    };
    Error::new(
        value.span(),
        format!(
            "{:?} is not a {kind}, {reason}; write printable ASCII without space, `\"` and `\\` (RFC 6749 section 3.3)",
            value.value()
        ),
    )
}

pub(crate) fn bad_issuer_or_actor(key: Key, value: &LitStr, reason: impl Display) -> Error {
    let (kind, claim) = match key {
        Key::Actors => ("an actor", "the `sub` of `act` in its tokens"),
        _ => ("an issuer", "the `iss` of its tokens"),
    };
    Error::new(
        value.span(),
        format!(
            "{:?} is not {kind}, {reason}; write {claim}: printable ASCII without space, `\"` and `\\`",
            value.value()
        ),
    )
}

pub(crate) fn bad_age(value: &LitStr, error: &humantime::DurationError) -> Error {
    let reason = match error {
        humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => "it has no unit".to_owned(),
        // The error's own message also lists units below a second.
        humantime::DurationError::UnknownUnit { unit, .. } => format!("`{unit}` is not a unit"),
        error => error.to_string(),
    };
    let remedy = match suggested_age(value.token()) {
        Some(age) => format!("`{age}`"),
        None => r#"a duration such as `"24h"` or `"15min"`"#.to_owned(),
    };
    Error::new(value.span(), format!("{:?} is not an age, {reason}; write {remedy}", value.value()))
}

pub(crate) fn bad_proof(value: &LitStr) -> Error {
    let text = value.value();
    let remedy = match suggested_proof(&text) {
        Some(proof) => format!("did you mean `{proof:?}`?"),
        None => {
            r#"write `"mtls"`, `"dpop"` or `"any"`, or leave the key out to accept bearer tokens"#.to_owned()
        }
    };
    let separator = if remedy.ends_with('?') { "," } else { ";" };
    Error::new(value.span(), format!("{text:?} is not a proof{separator} {remedy}"))
}

pub(crate) fn zero_age(value: &LitStr) -> Error {
    Error::new(
        value.span(),
        "a `max_age` of zero would refuse every token; write one second or more, or leave the key out",
    )
}

pub(crate) fn fractional_age(value: &LitStr) -> Error {
    Error::new(
        value.span(),
        format!(
            "the age of a token is in whole seconds, and {:?} has a fraction; write whole seconds",
            value.value()
        ),
    )
}

pub(crate) fn age_beyond_lifetime(value: &LitStr) -> Error {
    Error::new(
        value.span(),
        format!(
            "{:?} is longer than the default maximum lifetime (365 days), so it would refuse nothing; \
             write at most {MAX_AGE_DAYS} days, or leave the key out",
            value.value()
        ),
    )
}
