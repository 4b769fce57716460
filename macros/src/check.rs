//! Checks of the parsed attribute, here, and of the parsed item, in [`item`] and [`block()`].
//!
//! Second stage. No check stops at the first mistake. After it, a token can carry every name, no list is empty, and
//! the function can take one more argument.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{LitStr, Path};

use crate::args::{Args, Claim, Claims, List, PublicArgs};
use crate::diagnostics::{self, Diagnostics};
use crate::item::{Function, argument};
use crate::rules::{
    self, Attribute, Fault, Key, MAX_AGE_DAYS, MAX_CONSTANTS, MAX_LIST_BYTES, MAX_NAMES, MAX_REASON_BYTES,
    MAX_TEXT_BYTES, PROOFS, Value,
};

pub(crate) use block::{Asks, CheckedBlock, CheckedMember, Guarding, block};
pub(crate) use item::{Way, function};

mod block;
mod item;

/// The policy of a handler, ready for its type.
#[derive(Default)]
pub(crate) struct Policy {
    /// Space-separated, and empty if the key is absent, like the other lists. Each [`CONSTANT`] is the place of the next
    /// constant.
    pub(crate) services: String,
    pub(crate) roles: String,
    pub(crate) scopes: String,
    pub(crate) issuers: String,
    pub(crate) any_scope: String,
    /// Each as `name=value`.
    pub(crate) claims: String,
    pub(crate) actors: String,
    /// In the order of the lists, those of `users` last.
    pub(crate) constants: Vec<Constant>,
    pub(crate) max_age: Option<Duration>,
    /// Empty if no proof is required.
    pub(crate) proof: String,
    /// The path of the crate `service_only`, if the attribute has one.
    pub(crate) krate: Option<TokenStream>,
    pub(crate) admits: Admits,
    /// The first `claims(..)`, and the first of its values that is a path parameter.
    pub(crate) first_claim: Option<Span>,
    pub(crate) first_parameter: Option<Span>,
    /// The first `proof`.
    pub(crate) first_proof: Option<Span>,
}

/// Who a policy is for.
#[derive(Default)]
pub(crate) enum Admits {
    #[default]
    Services,
    Users,
    /// Services, and users that meet a policy of their own.
    Both(Box<Policy>),
}

/// The placeholder of a constant in a text. No literal value contains this character.
pub(crate) const CONSTANT: char = '\x01';

/// A value of a list that the compiler evaluates.
pub(crate) struct Constant {
    pub(crate) key: Key,
    pub(crate) path: Path,
}

pub(crate) fn policy(attribute: Attribute, mut args: Args, errors: &mut Diagnostics) -> Policy {
    let (users, has_services) = (args.users.take(), args.has_services);
    let mut policy = part(args, errors);
    match attribute {
        Attribute::Callers => {
            if users.is_none() || !has_services {
                errors.push(diagnostics::one_kind_of_callers(users.is_some(), has_services));
            }
            let mut users = part(users.map_or_else(Args::default, |users| *users), errors);
            policy.constants.append(&mut users.constants);
            policy.first_claim = policy.first_claim.or(users.first_claim);
            policy.first_parameter = policy.first_parameter.or(users.first_parameter);
            policy.first_proof = policy.first_proof.or(users.first_proof);
            policy.admits = Admits::Both(Box::new(users));
        }
        Attribute::UsersOnly => policy.admits = Admits::Users,
        Attribute::ServiceOnly | Attribute::Public => {}
    }
    if let Some(extra) = policy.constants.get(MAX_CONSTANTS) {
        errors.push(diagnostics::too_many_constants(policy.constants.len(), &extra.path));
    }
    let bytes = policy.text_bytes();
    if bytes > MAX_TEXT_BYTES {
        errors.push(diagnostics::attribute_too_long(attribute, bytes));
    }
    policy
}

/// The keys for services, or those for users.
fn part(args: Args, errors: &mut Diagnostics) -> Policy {
    let mut constants = Vec::new();
    let services = list(args.services, &mut constants, errors);
    let roles = list(args.roles, &mut constants, errors);
    let scopes = list(args.scopes, &mut constants, errors);
    let issuers = list(args.issuers, &mut constants, errors);
    let any_scope = list(args.any_scope, &mut constants, errors);
    let actors = list(args.actors, &mut constants, errors);
    let first_claim = args.claims.as_ref().map(|claims| claims.span);
    let is_parameter = |claim: &&Claim| rules::path_parameter(&claim.value.value()).is_some();
    let mut parameters = args.claims.iter().flat_map(|claims| &claims.entries).filter(is_parameter);
    let first_parameter = parameters.next().map(|claim| claim.value.span());
    Policy {
        services,
        roles,
        scopes,
        issuers,
        any_scope,
        claims: claims(args.claims, errors),
        actors,
        constants,
        max_age: args.max_age.and_then(|value| max_age(&value, errors)),
        first_proof: args.proof.as_ref().map(LitStr::span),
        proof: args.proof.map(|value| proof(&value, errors)).unwrap_or_default(),
        krate: args.krate.map(ToTokens::into_token_stream),
        admits: Admits::Services,
        first_claim,
        first_parameter,
    }
}

impl Policy {
    fn text_bytes(&self) -> usize {
        let own = [&self.services, &self.roles, &self.scopes, &self.issuers, &self.any_scope, &self.claims];
        let lists = own.into_iter().chain([&self.actors]);
        let users = match &self.admits {
            Admits::Both(users) => users.text_bytes(),
            Admits::Services | Admits::Users => 0,
        };
        lists.map(String::len).sum::<usize>() + users
    }
}

/// The claims as words `name=value`, joined by spaces, which neither part contains.
fn claims(claims: Option<Claims>, errors: &mut Diagnostics) -> String {
    let Some(Claims { span, entries, spoiled }) = claims else {
        return String::new();
    };
    if entries.is_empty() && !spoiled {
        errors.push(diagnostics::empty_claims(span));
    }
    if let Some(extra) = entries.get(MAX_NAMES) {
        errors.push(diagnostics::too_many_claims(entries.len(), extra.place));
    }
    let mut names: Vec<&str> = Vec::with_capacity(entries.len());
    for Claim { name, place, value } in &entries {
        if names.contains(&name.as_str()) {
            errors.push(diagnostics::repeated_claim(name, *place));
        }
        names.push(name);
        if let Some(fault) = rules::claim_name_fault(name) {
            errors.push(diagnostics::bad_claim_name(name, *place, &fault));
        }
        if let Some(fault) = rules::claim_value_fault(&value.value()) {
            errors.push(diagnostics::bad_claim_value(name, value, &fault));
        }
    }
    let words: Vec<_> =
        entries.iter().map(|claim| format!("{}={}", claim.name, claim.value.value())).collect();
    let text = words.join(" ");
    if text.len() > MAX_LIST_BYTES {
        errors.push(diagnostics::list_too_long(Key::Claims, text.len(), span));
    }
    text
}

/// Whether the function can be checked against the policy: only a handler has path parameters, and `ServiceClaims` have
/// no claims beyond the typed ones and no sender.
pub(crate) fn applicable(policy: &Policy, function: &Function, way: Way, errors: &mut Diagnostics) {
    let given = match way {
        Way::HiddenArgument | Way::Marked => return,
        Way::Given(at) => function.arguments().get(at),
        Way::Request(_) => None,
    };
    if let Some(parameter) = policy.first_parameter {
        errors.push(diagnostics::no_path(function.name(), parameter));
    } else if let Some(claim) = policy.first_claim
        && given.is_some_and(argument::is_claims)
    {
        errors.push(diagnostics::claims_of_data(function.name(), claim));
    }
    if let Some(proof) = policy.first_proof
        && given.is_some_and(argument::is_claims)
    {
        errors.push(diagnostics::proof_of_data(function.name(), proof));
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
            Value::Set(set) => {
                let name = format!("@{}", set.unraw());
                if key != Key::Services {
                    errors.push(diagnostics::set_of_another_key(key, &set));
                } else if names.contains(&name) {
                    errors.push(diagnostics::repeated_set(&set));
                }
                names.push(name);
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
        (Fault::Wildcard, _) => diagnostics::wildcard(key, value),
        (Fault::Other(reason), Key::Services) => diagnostics::bad_service_name(value, reason),
        (Fault::Other(reason), Key::Issuers | Key::Actors) => {
            diagnostics::bad_issuer_or_actor(key, value, reason)
        }
        (Fault::Other(reason), _) => diagnostics::bad_scope_token(key, value, reason),
    });
}

fn proof(value: &LitStr, errors: &mut Diagnostics) -> String {
    let text = value.value();
    if !PROOFS.contains(&text.as_str()) {
        errors.push(diagnostics::bad_proof(value));
    }
    text
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
