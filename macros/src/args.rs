//! The attribute's arguments: keys with their values, as written.
//!
//! First stage. Entries are split at their commas before they are parsed, so a mistake in one entry does not hide a
//! mistake in the next. [`crate::check`] checks the values.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Lit, LitStr, Path};

use crate::diagnostics::{self, Diagnostics};
use crate::rules::{Attribute, Key, Value, literal};

pub(crate) use public::PublicArgs;

mod public;

/// The arguments of `#[service_only]`, `#[users_only]` or `#[callers]`. Every value keeps its span.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) issuers: Option<List>,
    pub(crate) services: Option<List>,
    pub(crate) actors: Option<List>,
    pub(crate) roles: Option<List>,
    pub(crate) scopes: Option<List>,
    pub(crate) any_scope: Option<List>,
    pub(crate) claims: Option<Claims>,
    pub(crate) max_age: Option<LitStr>,
    pub(crate) proof: Option<LitStr>,
    pub(crate) krate: Option<Path>,
    /// What `#[callers]` requires of users. Its other keys are those of services.
    pub(crate) users: Option<Box<Args>>,
    /// Whether `#[callers]` names services.
    pub(crate) has_services: bool,
}

/// The parenthesized values of a key, such as `services` or `scopes`.
pub(crate) struct List {
    pub(crate) key: Key,
    pub(crate) span: Span,
    pub(crate) values: Vec<Value>,
    /// Whether an entry is neither a string literal nor a constant. Such an entry is reported and not in `values`.
    pub(crate) spoiled: bool,
}

/// The entries of `claims(..)`.
pub(crate) struct Claims {
    pub(crate) span: Span,
    pub(crate) entries: Vec<Claim>,
    /// Whether an entry has another form. Such an entry is reported and not in `entries`.
    pub(crate) spoiled: bool,
}

/// `name = "value"`.
pub(crate) struct Claim {
    pub(crate) name: String,
    pub(crate) place: Span,
    pub(crate) value: LitStr,
}

impl Args {
    pub(crate) fn parse(attribute: Attribute, tokens: TokenStream, errors: &mut Diagnostics) -> Self {
        let mut args = Self::default();
        let mut names = Vec::new();
        for entry in split_at_commas(tokens, errors) {
            let name = match entry.as_slice() {
                [token] => string(token),
                _ => None,
            };
            match name {
                Some(name) => names.push(name),
                None => args.entry(attribute, &entry, errors),
            }
        }
        if let Some(error) = diagnostics::names_without_key(&names) {
            errors.push(error);
        }
        args
    }

    fn entry(&mut self, attribute: Attribute, entry: &[TokenTree], errors: &mut Diagnostics) {
        let Some((TokenTree::Ident(name), value)) = entry.split_first() else {
            return errors.push(diagnostics::no_key(attribute.keys(), entry));
        };
        let key = match Key::named(name) {
            Some(key) if attribute.keys().contains(&key) => key,
            Some(key) => return errors.push(diagnostics::misplaced_key(attribute, key, name)),
            None => return errors.push(diagnostics::unknown_key(attribute.keys(), name)),
        };
        let first = match (attribute, key) {
            (Attribute::Callers, Key::Services) => self.services_of_callers(name, value, errors),
            (_, Key::Users) => insert(&mut self.users, Some(Box::new(Self::of_users(name, value, errors)))),
            _ => self.set(key, name, value, errors),
        };
        if let Occurrence::Repeated = first {
            errors.push(diagnostics::repeated_key(key, name.span()));
        }
    }

    fn set(&mut self, key: Key, name: &Ident, value: &[TokenTree], errors: &mut Diagnostics) -> Occurrence {
        match key {
            Key::Services => insert(&mut self.services, list(key, name, value, errors)),
            Key::Actors => insert(&mut self.actors, list(key, name, value, errors)),
            Key::Roles => insert(&mut self.roles, list(key, name, value, errors)),
            Key::Scopes => insert(&mut self.scopes, list(key, name, value, errors)),
            Key::AnyScope => insert(&mut self.any_scope, list(key, name, value, errors)),
            Key::Claims => insert(&mut self.claims, claims(name, value, errors)),
            Key::Issuers => insert(&mut self.issuers, list(key, name, value, errors)),
            Key::MaxAge => insert(&mut self.max_age, text(key, name, value, errors)),
            Key::Proof => insert(&mut self.proof, text(key, name, value, errors)),
            Key::Crate => insert(&mut self.krate, krate(name, value, errors)),
            Key::Users => Occurrence::First,
        }
    }

    /// `users` or `users(roles("manager"))`: the entry of `#[callers]`.
    fn of_users(name: &Ident, value: &[TokenTree], errors: &mut Diagnostics) -> Self {
        let mut args = Self::default();
        for entry in nested(Key::Users, name, value, errors) {
            args.nested_entry(Key::Users, &entry, errors);
        }
        args
    }

    /// `services`, `services("billing")` or `services("billing", roles("admin"))`: the entry of `#[callers]`.
    fn services_of_callers(
        &mut self,
        name: &Ident,
        value: &[TokenTree],
        errors: &mut Diagnostics,
    ) -> Occurrence {
        if std::mem::replace(&mut self.has_services, true) {
            return Occurrence::Repeated;
        }
        let mut list = List { key: Key::Services, span: name.span(), values: Vec::new(), spoiled: false };
        for entry in nested(Key::Services, name, value, errors) {
            match entry.as_slice() {
                [TokenTree::Ident(_), TokenTree::Group(_), ..] => {
                    self.nested_entry(Key::Services, &entry, errors);
                }
                [TokenTree::Ident(_), TokenTree::Punct(equals), ..] if equals.as_char() == '=' => {
                    self.nested_entry(Key::Services, &entry, errors);
                }
                _ => list.add(&entry, errors),
            }
        }
        if !list.values.is_empty() || list.spoiled {
            self.services = Some(list);
        }
        Occurrence::First
    }

    /// An entry of `users(..)` or `services(..)` in `#[callers]`.
    fn nested_entry(&mut self, within: Key, entry: &[TokenTree], errors: &mut Diagnostics) {
        // What both kinds of callers can meet: the keys of `#[users_only]`, but for the path of the crate.
        let keys = Attribute::UsersOnly.keys().iter();
        let allowed: Vec<_> = keys.copied().filter(|key| *key != Key::Crate).collect();
        let Some((TokenTree::Ident(name), value)) = entry.split_first() else {
            return errors.push(diagnostics::no_key(&allowed, entry));
        };
        let Some(key) = Key::named(name).filter(|key| allowed.contains(key)) else {
            return errors.push(diagnostics::not_in(within, &allowed, name));
        };
        if let Occurrence::Repeated = self.set(key, name, value, errors) {
            errors.push(diagnostics::repeated_key(key, name.span()));
        }
    }
}

enum Occurrence {
    First,
    Repeated,
}

/// Keeps the first value of a key. A malformed value is reported before, and leaves the slot empty.
fn insert<T>(slot: &mut Option<T>, value: Option<T>) -> Occurrence {
    if slot.is_some() {
        return Occurrence::Repeated;
    }
    *slot = value;
    Occurrence::First
}

/// `("a", "b")`, the part of a list entry that follows its key.
fn list(key: Key, name: &Ident, value: &[TokenTree], errors: &mut Diagnostics) -> Option<List> {
    match value {
        [TokenTree::Group(group), rest @ ..] if group.delimiter() == Delimiter::Parenthesis => {
            if let Some(extra) = rest.first() {
                errors.push(diagnostics::missing_comma(extra));
            }
            Some(List::parse(key, group, errors))
        }
        _ => {
            errors.push(diagnostics::not_a_list(key, name, value));
            None
        }
    }
}

impl List {
    fn parse(key: Key, group: &Group, errors: &mut Diagnostics) -> Self {
        let mut list = Self { key, span: group.span(), values: Vec::new(), spoiled: false };
        for entry in split_at_commas(group.stream(), errors) {
            list.add(&entry, errors);
        }
        list
    }

    fn add(&mut self, entry: &[TokenTree], errors: &mut Diagnostics) {
        let Some((value, rest)) = Value::parse(entry) else {
            self.spoiled = true;
            return errors.push(diagnostics::not_a_string(self.key, entry));
        };
        if let Some(extra) = rest.first() {
            errors.push(diagnostics::missing_comma(extra));
        }
        self.values.push(value);
    }
}

/// The entries in the parentheses after `users` or `services` of `#[callers]`. Without parentheses it has none.
fn nested(key: Key, name: &Ident, value: &[TokenTree], errors: &mut Diagnostics) -> Vec<Vec<TokenTree>> {
    match value {
        [] => Vec::new(),
        [TokenTree::Group(group), rest @ ..] if group.delimiter() == Delimiter::Parenthesis => {
            if let Some(extra) = rest.first() {
                errors.push(diagnostics::missing_comma(extra));
            }
            let entries = split_at_commas(group.stream(), errors);
            if entries.is_empty() {
                errors.push(diagnostics::empty_callers(key, group.span()));
            }
            entries
        }
        _ => {
            errors.push(diagnostics::not_callers(key, name, value));
            Vec::new()
        }
    }
}

/// `(tenant = "{tenant}")`, the part of the `claims` entry that follows its key.
fn claims(name: &Ident, value: &[TokenTree], errors: &mut Diagnostics) -> Option<Claims> {
    let group = match value {
        [TokenTree::Group(group), rest @ ..] if group.delimiter() == Delimiter::Parenthesis => {
            if let Some(extra) = rest.first() {
                errors.push(diagnostics::missing_comma(extra));
            }
            group
        }
        _ => {
            errors.push(diagnostics::not_claims(name, value));
            return None;
        }
    };
    let mut claims = Claims { span: group.span(), entries: Vec::new(), spoiled: false };
    for entry in split_at_commas(group.stream(), errors) {
        match Claim::parse(&entry) {
            Some((claim, rest)) => {
                if let Some(extra) = rest.first() {
                    errors.push(diagnostics::missing_comma(extra));
                }
                claims.entries.push(claim);
            }
            None => {
                claims.spoiled = true;
                errors.push(diagnostics::not_a_claim(&entry));
            }
        }
    }
    Some(claims)
}

impl Claim {
    fn parse(entry: &[TokenTree]) -> Option<(Self, &[TokenTree])> {
        let [name, TokenTree::Punct(equals), value, rest @ ..] = entry else { return None };
        if equals.as_char() != '=' {
            return None;
        }
        let text = match name {
            TokenTree::Ident(name) => name.unraw().to_string(),
            token => string(token)?.value(),
        };
        Some((Self { name: text, place: name.span(), value: string(value)? }, rest))
    }
}

impl Value {
    /// The value that an entry begins with, and what follows it.
    fn parse(entry: &[TokenTree]) -> Option<(Self, Vec<TokenTree>)> {
        if let Some((text, rest)) = entry.split_first().and_then(|(first, rest)| Some((string(first)?, rest)))
        {
            return Some((Self::Text(text), rest.to_vec()));
        }
        if let [TokenTree::Punct(at), TokenTree::Ident(set), rest @ ..] = entry
            && at.as_char() == '@'
        {
            return Some((Self::Set(set.clone()), rest.to_vec()));
        }
        let path_and_rest =
            |input: ParseStream<'_>| Ok((input.call(Path::parse_mod_style)?, input.parse::<TokenStream>()?));
        let (path, rest) = path_and_rest.parse2(entry.iter().cloned().collect()).ok()?;
        let rest: Vec<_> = rest.into_iter().collect();
        let is_separated = rest.first().is_none_or(|next| literal(next).is_some());
        is_separated.then_some((Self::Constant(path), rest))
    }
}

/// `= "24h"`, the part of an entry with one text that follows its key: `max_age` or `proof`.
fn text(key: Key, name: &Ident, value: &[TokenTree], errors: &mut Diagnostics) -> Option<LitStr> {
    let (value, rest) = match value {
        [TokenTree::Punct(equals), value, rest @ ..] if equals.as_char() == '=' => (value, rest),
        _ => {
            errors.push(diagnostics::not_one_value(key, name, value));
            return None;
        }
    };
    let Some(text) = string(value) else {
        errors.push(diagnostics::not_a_string(key, std::slice::from_ref(value)));
        return None;
    };
    if let Some(extra) = rest.first() {
        errors.push(diagnostics::missing_comma(extra));
    }
    Some(text)
}

/// `= path::to`, the part of the `crate` entry that follows its key.
fn krate(name: &Ident, value: &[TokenTree], errors: &mut Diagnostics) -> Option<Path> {
    let path = match value {
        [TokenTree::Punct(equals), first, ..]
            if equals.as_char() == '=' && !matches!(first, TokenTree::Literal(_)) =>
        {
            let path = value.iter().skip(1).cloned().collect();
            Path::parse_mod_style.parse2(path).ok()
        }
        _ => None,
    };
    if path.is_none() {
        errors.push(diagnostics::not_a_crate_path(name, value));
    }
    path
}

/// A token as a string literal, if it is one.
fn string(token: &TokenTree) -> Option<LitStr> {
    match literal(token).map(Lit::new) {
        Some(Lit::Str(text)) if text.suffix().is_empty() => Some(text),
        _ => None,
    }
}

/// The entries of a comma-separated list. A comma without an entry before it is reported.
fn split_at_commas(list: TokenStream, errors: &mut Diagnostics) -> Vec<Vec<TokenTree>> {
    let mut entries = Vec::new();
    let mut entry = Vec::new();
    for token in list {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == ',' => {
                if entry.is_empty() {
                    errors.push(diagnostics::stray_comma(punct));
                } else {
                    entries.push(std::mem::take(&mut entry));
                }
            }
            _ => entry.push(token),
        }
    }
    if !entry.is_empty() {
        entries.push(entry);
    }
    entries
}

#[cfg(test)]
mod tests;
