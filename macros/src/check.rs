//! All checks, on values here and on items in [`item`], none of which stops at the first mistake.
//!
//! Second stage. What passes cannot surprise the runtime: every name is one a token can carry, no list is
//! empty, and the function can take an argument more.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::LitStr;

use crate::args::{Args, Key, List, PublicArgs};
use crate::diagnostics::{self, Diagnostics};

pub(crate) use block::{Asks, CheckedBlock, CheckedMember, block};
pub(crate) use item::{Attribute, Way, function};

mod block;
mod item;

pub(crate) const MAX_SERVICE_NAME_BYTES: usize = 253;
pub(crate) const MAX_NAMES: usize = 32;
/// Four lists and a name make some seventy nodes of text, little more than half of how deep the compiler's default
/// recursion limit lets types be nested.
pub(crate) const MAX_LIST_BYTES: usize = 1024;
/// One sentence.
pub(crate) const MAX_REASON_BYTES: usize = 256;
pub(crate) const MAX_AGE_DAYS: u64 = 366;

/// What the attribute asks of a caller, ready to be written into a type.
pub(crate) struct Policy {
    /// Space-separated, empty where the key is absent; so are roles, scopes and issuers.
    pub(crate) services: String,
    pub(crate) roles: String,
    pub(crate) scopes: String,
    pub(crate) issuers: String,
    pub(crate) max_age: Option<Duration>,
    /// The path of the crate `service_only`, where it was said.
    pub(crate) krate: Option<TokenStream>,
}

pub(crate) fn policy(args: Args, errors: &mut Diagnostics) -> Policy {
    Policy {
        services: list(args.services, errors, service_name),
        roles: list(args.roles, errors, scope_token),
        scopes: list(args.scopes, errors, scope_token),
        issuers: list(args.issuers, errors, issuer),
        max_age: args.max_age.and_then(|value| max_age(&value, errors)),
        krate: args.krate.map(ToTokens::into_token_stream),
    }
}

/// What `#[public]` says, ready to be written.
pub(crate) struct Public {
    pub(crate) reason: String,
    /// The path of the crate `service_only`, where it was said.
    pub(crate) krate: Option<TokenStream>,
}

pub(crate) fn public(args: PublicArgs, errors: &mut Diagnostics) -> Public {
    if !args.reasoned {
        errors.push(diagnostics::no_reason());
    }
    let reason = args.reason.map(|reason| reason_text(&reason, errors)).unwrap_or_default();
    Public { reason, krate: args.krate.map(ToTokens::into_token_stream) }
}

fn reason_text(reason: &LitStr, errors: &mut Diagnostics) -> String {
    let text = reason.value();
    if text.trim().is_empty() {
        errors.push(diagnostics::bad_reason(reason, "and this one is empty"));
    } else if text.chars().any(char::is_control) {
        errors.push(diagnostics::bad_reason(reason, "on one line"));
    } else if text.len() > MAX_REASON_BYTES {
        errors.push(diagnostics::reason_too_long(reason, text.len()));
    }
    text
}

/// The values of a list, joined by spaces, which no value contains.
fn list(list: Option<List>, errors: &mut Diagnostics, check: fn(Key, &LitStr, &mut Diagnostics)) -> String {
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
    for value in &values {
        let name = value.value();
        if names.contains(&name) {
            errors.push(diagnostics::repeated_value(key, value));
        } else {
            check(key, value, errors);
            names.push(name);
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

/// RFC 7519 section 2: a StringOrURI. Of those, printable ASCII without space, so that a list can be told apart.
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

fn max_age(value: &LitStr, errors: &mut Diagnostics) -> Option<Duration> {
    let error = match humantime::parse_duration(&value.value()) {
        Err(error) => diagnostics::bad_age(value, error),
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
