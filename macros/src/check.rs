//! Checks of the parsed attribute, here, and of the parsed item, in [`item`] and [`block()`].
//!
//! Second stage. No check stops at the first mistake. After it, a token can carry every name, no list is empty, and
//! the function can take one more argument.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{LitStr, Path};

use crate::args::{Args, Key, List, PublicArgs, Value};
use crate::diagnostics::{self, Diagnostics};

pub(crate) use block::{Asks, CheckedBlock, CheckedMember, block};
pub(crate) use item::{Attribute, Way, function};

mod block;
mod item;

pub(crate) const MAX_SERVICE_NAME_BYTES: usize = 253;
pub(crate) const MAX_NAMES: usize = 32;
/// Each constant is a level of a nested type, like a node of text.
pub(crate) const MAX_CONSTANTS: usize = 32;
/// The written arguments of a handler, without the hidden one.
pub(crate) const MAX_EXTRACTORS: usize = 15;
/// Four full lists and a name make about 70 nested nodes of text. The compiler's default recursion limit is 128.
pub(crate) const MAX_LIST_BYTES: usize = 1024;
/// Enough for one sentence.
pub(crate) const MAX_REASON_BYTES: usize = 256;
pub(crate) const MAX_AGE_DAYS: u64 = 366;

/// The policy of a handler, ready for its type.
pub(crate) struct Policy {
    /// Space-separated, and empty if the key is absent, like roles, scopes and issuers. Each [`CONSTANT`] is the
    /// place of the next constant.
    pub(crate) services: String,
    pub(crate) roles: String,
    pub(crate) scopes: String,
    pub(crate) issuers: String,
    /// In the order of the lists.
    pub(crate) constants: Vec<Constant>,
    pub(crate) max_age: Option<Duration>,
    /// The path of the crate `service_only`, if the attribute has one.
    pub(crate) krate: Option<TokenStream>,
}

/// The placeholder of a constant in a text. No literal value contains this character.
pub(crate) const CONSTANT: char = '\x01';

/// A value of a list that the compiler evaluates.
pub(crate) struct Constant {
    pub(crate) key: Key,
    pub(crate) path: Path,
}

pub(crate) fn policy(args: Args, errors: &mut Diagnostics) -> Policy {
    let mut constants = Vec::new();
    let services = list(args.services, &mut constants, errors, service_name);
    let roles = list(args.roles, &mut constants, errors, scope_token);
    let scopes = list(args.scopes, &mut constants, errors, scope_token);
    let issuers = list(args.issuers, &mut constants, errors, issuer);
    if let Some(extra) = constants.get(MAX_CONSTANTS) {
        errors.push(diagnostics::too_many_constants(constants.len(), &extra.path));
    }
    Policy {
        services,
        roles,
        scopes,
        issuers,
        constants,
        max_age: args.max_age.and_then(|value| max_age(&value, errors)),
        krate: args.krate.map(ToTokens::into_token_stream),
    }
}

/// The checked arguments of `#[public]`.
pub(crate) struct Public {
    pub(crate) reason: String,
    /// The path of the crate `service_only`, if the attribute has one.
    pub(crate) krate: Option<TokenStream>,
}

pub(crate) fn public(args: PublicArgs, errors: &mut Diagnostics) -> Public {
    if !args.has_reason {
        errors.push(diagnostics::no_reason());
    }
    let reason = args.reason.map(|reason| reason_text(&reason, errors)).unwrap_or_default();
    Public { reason, krate: args.krate.map(ToTokens::into_token_stream) }
}

fn reason_text(reason: &LitStr, errors: &mut Diagnostics) -> String {
    let text = reason.value();
    if text.trim().is_empty() {
        errors.push(diagnostics::bad_reason(reason, "is empty"));
    } else if text.chars().any(char::is_control) {
        errors.push(diagnostics::bad_reason(reason, "has a line break or another control character"));
    } else if text.len() > MAX_REASON_BYTES {
        errors.push(diagnostics::reason_too_long(reason, text.len()));
    }
    text
}

/// The values of a list, joined by spaces, which no value contains.
fn list(
    list: Option<List>,
    constants: &mut Vec<Constant>,
    errors: &mut Diagnostics,
    check: fn(Key, &LitStr, &mut Diagnostics),
) -> String {
    let Some(List { key, span, values, spoiled }) = list else {
        return String::new();
    };
    if values.is_empty() && !spoiled {
        errors.push(diagnostics::empty_list(key, span));
    }
    if let Some(extra) = values.get(MAX_NAMES) {
        errors.push(diagnostics::too_many_names(key, values.len(), extra));
    }
    let mut names: Vec<String> = Vec::with_capacity(values.len());
    let mut paths: Vec<String> = Vec::new();
    for value in values {
        match value {
            Value::Text(text) if names.contains(&text.value()) => {
                errors.push(diagnostics::repeated_value(key, &text));
            }
            Value::Text(text) => {
                check(key, &text, errors);
                names.push(text.value());
            }
            Value::Constant(path) => {
                let written = path.to_token_stream().to_string();
                if paths.contains(&written) {
                    errors.push(diagnostics::repeated_constant(key, &path));
                } else if path.segments.first().is_some_and(|first| first.ident == "Self") {
                    errors.push(diagnostics::constant_of_self(&path));
                }
                paths.push(written);
                names.push(CONSTANT.to_string());
                constants.push(Constant { key, path });
            }
        }
    }
    let text = names.join(" ");
    if text.len() > MAX_LIST_BYTES {
        errors.push(diagnostics::list_too_long(key, text.len(), span));
    }
    text
}

fn service_name(_: Key, value: &LitStr, errors: &mut Diagnostics) {
    let name = value.value();
    let outer = |c: char| !c.is_ascii_alphanumeric();
    let reason = if name.is_empty() {
        "it is empty".to_owned()
    } else if let Some(c) = name.chars().find(|c| outer(*c) && !matches!(c, '-' | '_' | '.')) {
        format!("it has {c:?}")
    } else if name.len() > MAX_SERVICE_NAME_BYTES {
        format!("it has {} characters", name.len())
    } else if name.starts_with(outer) {
        "it does not start with a letter or digit".to_owned()
    } else if name.ends_with(outer) {
        "it does not end with a letter or digit".to_owned()
    } else {
        return;
    };
    errors.push(diagnostics::bad_service_name(value, reason));
}

/// RFC 6749 section 3.3: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )`.
fn scope_token(key: Key, value: &LitStr, errors: &mut Diagnostics) {
    let name = value.value();
    let allowed = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
    match name.chars().find(|c| !allowed(*c)) {
        Some(' ') => errors.push(diagnostics::several_in_one(key, value)),
        Some(c) => errors.push(diagnostics::bad_scope_token(key, value, format!("it has {c:?}"))),
        None if name.is_empty() => errors.push(diagnostics::bad_scope_token(key, value, "it is empty")),
        None => {}
    }
}

/// RFC 7519 section 2: a StringOrURI. Spaces separate the values of a list, so a value has none.
fn issuer(key: Key, value: &LitStr, errors: &mut Diagnostics) {
    let name = value.value();
    let allowed = |c: char| matches!(c, '\x21' | '\x23'..='\x5b' | '\x5d'..='\x7e');
    match name.chars().find(|c| !allowed(*c)) {
        Some(' ') => errors.push(diagnostics::several_in_one(key, value)),
        Some(c) => errors.push(diagnostics::bad_issuer(value, format!("it has {c:?}"))),
        None if name.is_empty() => errors.push(diagnostics::bad_issuer(value, "it is empty")),
        None => {}
    }
}

/// Whether a value is valid for a list. A message suggests only such values.
pub(crate) fn is_value(key: Key, name: &str) -> bool {
    let mut errors = Diagnostics::default();
    let value = LitStr::new(name, Span::call_site());
    match key {
        Key::Services => service_name(key, &value, &mut errors),
        Key::Issuers => issuer(key, &value, &mut errors),
        _ => scope_token(key, &value, &mut errors),
    }
    errors.is_empty()
}

/// Whether `max_age` accepts a text.
pub(crate) fn is_age(age: &str) -> bool {
    let is_allowed = |age: Duration| {
        !age.is_zero() && age.subsec_nanos() == 0 && age.as_secs() <= MAX_AGE_DAYS * 24 * 60 * 60
    };
    humantime::parse_duration(age).is_ok_and(is_allowed)
}

fn max_age(value: &LitStr, errors: &mut Diagnostics) -> Option<Duration> {
    let error = match humantime::parse_duration(&value.value()) {
        Err(error) => diagnostics::bad_age(value, &error),
        Ok(Duration::ZERO) => diagnostics::zero_age(value),
        Ok(age) if age.subsec_nanos() != 0 => diagnostics::fractional_age(value),
        Ok(age) if age.as_secs() > MAX_AGE_DAYS * 24 * 60 * 60 => diagnostics::age_beyond_lifetime(value),
        Ok(age) => return Some(age),
    };
    errors.push(error);
    None
}

#[cfg(test)]
mod tests;
