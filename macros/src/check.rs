//! Checks of the parsed attribute, here, and of the parsed item, in [`item`] and [`block()`].
//!
//! Second stage. No check stops at the first mistake. After it, a token can carry every name, no list is empty, and
//! the function can take one more argument.

use std::time::Duration;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{LitStr, Path};

use crate::args::{Args, List, PublicArgs};
use crate::diagnostics::{self, Diagnostics};
use crate::rules::{
    self, Fault, Key, MAX_AGE_DAYS, MAX_CONSTANTS, MAX_LIST_BYTES, MAX_NAMES, MAX_REASON_BYTES, Value,
};

pub(crate) use block::{Asks, CheckedBlock, CheckedMember, block};
pub(crate) use item::{Way, function};

mod block;
mod item;

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
    let services = list(args.services, &mut constants, errors);
    let roles = list(args.roles, &mut constants, errors);
    let scopes = list(args.scopes, &mut constants, errors);
    let issuers = list(args.issuers, &mut constants, errors);
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
fn list(list: Option<List>, constants: &mut Vec<Constant>, errors: &mut Diagnostics) -> String {
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
                value_of_list(key, &text, errors);
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

fn value_of_list(key: Key, value: &LitStr, errors: &mut Diagnostics) {
    let Some(fault) = rules::fault_of(key, &value.value()) else { return };
    errors.push(match (fault, key) {
        (Fault::SeveralInOne, _) => diagnostics::several_in_one(key, value),
        (Fault::Other(reason), Key::Services) => diagnostics::bad_service_name(value, reason),
        (Fault::Other(reason), Key::Issuers) => diagnostics::bad_issuer(value, reason),
        (Fault::Other(reason), _) => diagnostics::bad_scope_token(key, value, reason),
    });
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
