//! The attribute's arguments: keys with their values, as written.
//!
//! First stage. Entries are split at their commas before they are parsed, so a mistake in one entry does not hide a
//! mistake in the next. [`crate::check`] checks the values.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use syn::parse::{ParseStream, Parser};
use syn::{Lit, LitStr, Path};

use crate::diagnostics::{self, Diagnostics};
use crate::rules::{Key, Value, literal};

pub(crate) use public::PublicArgs;

mod public;

/// The arguments of `#[service_only]`. Every value keeps its span.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) issuers: Option<List>,
    pub(crate) services: Option<List>,
    pub(crate) roles: Option<List>,
    pub(crate) scopes: Option<List>,
    pub(crate) max_age: Option<LitStr>,
    pub(crate) krate: Option<Path>,
}

/// The parenthesized values of `issuers`, `services`, `roles` or `scopes`.
pub(crate) struct List {
    pub(crate) key: Key,
    pub(crate) span: Span,
    pub(crate) values: Vec<Value>,
    /// Whether an entry is neither a string literal nor a constant. Such an entry is reported and not in `values`.
    pub(crate) spoiled: bool,
}

impl Args {
    pub(crate) fn parse(attribute: TokenStream, errors: &mut Diagnostics) -> Self {
        let mut args = Self::default();
        let mut names = Vec::new();
        for entry in split_at_commas(attribute, errors) {
            let name = match entry.as_slice() {
                [token] => string(token),
                _ => None,
            };
            match name {
                Some(name) => names.push(name),
                None => args.entry(&entry, errors),
            }
        }
        if let Some(error) = diagnostics::names_without_key(&names) {
            errors.push(error);
        }
        args
    }

    fn entry(&mut self, entry: &[TokenTree], errors: &mut Diagnostics) {
        let Some((TokenTree::Ident(name), value)) = entry.split_first() else {
            return errors.push(diagnostics::no_key(entry));
        };
        let Some(key) = Key::named(name) else {
            return errors.push(diagnostics::unknown_key(name));
        };
        let first = match key {
            Key::Services => insert(&mut self.services, list(key, name, value, errors)),
            Key::Roles => insert(&mut self.roles, list(key, name, value, errors)),
            Key::Scopes => insert(&mut self.scopes, list(key, name, value, errors)),
            Key::Issuers => insert(&mut self.issuers, list(key, name, value, errors)),
            Key::MaxAge => insert(&mut self.max_age, max_age(name, value, errors)),
            Key::Crate => insert(&mut self.krate, krate(name, value, errors)),
        };
        if let Occurrence::Repeated = first {
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
        let mut values = Vec::new();
        let mut spoiled = false;
        for entry in split_at_commas(group.stream(), errors) {
            let Some((value, rest)) = Value::parse(&entry) else {
                spoiled = true;
                errors.push(diagnostics::not_a_string(key, &entry));
                continue;
            };
            if let Some(extra) = rest.first() {
                errors.push(diagnostics::missing_comma(extra));
            }
            values.push(value);
        }
        Self { key, span: group.span(), values, spoiled }
    }
}

impl Value {
    /// The value that an entry begins with, and what follows it.
    fn parse(entry: &[TokenTree]) -> Option<(Self, Vec<TokenTree>)> {
        if let Some((text, rest)) = entry.split_first().and_then(|(first, rest)| Some((string(first)?, rest)))
        {
            return Some((Self::Text(text), rest.to_vec()));
        }
        let path_and_rest =
            |input: ParseStream<'_>| Ok((input.call(Path::parse_mod_style)?, input.parse::<TokenStream>()?));
        let (path, rest) = path_and_rest.parse2(entry.iter().cloned().collect()).ok()?;
        let rest: Vec<_> = rest.into_iter().collect();
        let is_separated = rest.first().is_none_or(|next| literal(next).is_some());
        is_separated.then_some((Self::Constant(path), rest))
    }
}

/// `= "24h"`, the part of the `max_age` entry that follows its key.
fn max_age(name: &Ident, value: &[TokenTree], errors: &mut Diagnostics) -> Option<LitStr> {
    let (value, rest) = match value {
        [TokenTree::Punct(equals), value, rest @ ..] if equals.as_char() == '=' => (value, rest),
        _ => {
            errors.push(diagnostics::not_an_age(name, value));
            return None;
        }
    };
    let Some(text) = string(value) else {
        errors.push(diagnostics::not_a_string(Key::MaxAge, std::slice::from_ref(value)));
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
