//! The arguments of `#[public]`: the reason, and the path of the crate.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{LitStr, Path};

use super::{Occurrence, insert, krate, split_at_commas, string};
use crate::diagnostics::{self, Diagnostics};

#[derive(Default)]
pub(crate) struct PublicArgs {
    pub(crate) reason: Option<LitStr>,
    pub(crate) krate: Option<Path>,
    /// Whether the attribute has a reason, valid or not.
    pub(crate) has_reason: bool,
}

impl PublicArgs {
    pub(crate) fn parse(attribute: TokenStream, errors: &mut Diagnostics) -> Self {
        let mut args = Self::default();
        for entry in split_at_commas(attribute, errors) {
            args.entry(&entry, errors);
        }
        args
    }

    fn entry(&mut self, entry: &[TokenTree], errors: &mut Diagnostics) {
        let Some((TokenTree::Ident(name), value)) = entry.split_first() else {
            self.has_reason = true;
            return errors.push(diagnostics::reason_without_key(entry));
        };
        let first = if name == "reason" {
            self.has_reason = true;
            insert(&mut self.reason, reason(name, value, errors))
        } else if name == "crate" {
            insert(&mut self.krate, krate(name, value, errors))
        } else {
            return errors.push(diagnostics::unknown_key_of_public(name));
        };
        if let Occurrence::Repeated = first {
            errors.push(diagnostics::repeated_key_of_public(name));
        }
    }
}

/// `= "why"`, the part of the `reason` entry that follows its key.
fn reason(name: &Ident, value: &[TokenTree], errors: &mut Diagnostics) -> Option<LitStr> {
    let text = match value {
        [TokenTree::Punct(equals), value] if equals.as_char() == '=' => string(value),
        _ => None,
    };
    if text.is_none() {
        errors.push(diagnostics::not_a_reason(name, value));
    }
    text
}
