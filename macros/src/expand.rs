//! The attribute as a function on tokens: parse, check, write.
//!
//! Last stage. What is written is the user's function with one argument more; see [`policy`] for its type.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::quote;

use crate::args::{Args, PublicArgs};
use crate::check::{self, Attribute};
use crate::diagnostics::Diagnostics;
use crate::item::{Function, Item};

mod key;
mod policy;
mod text;

/// The function with its guard, or, where anything is wrong, the item as it was written and the mistakes: the
/// compiler then reports those and nothing that would follow from a missing item.
pub(crate) fn service_only(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    let policy = check::policy(Args::parse(attribute, &mut errors), &mut errors);
    let function = check::function(Item::parse(item.clone()), Attribute::ServiceOnly, &mut errors);
    written(function, item, errors, |function| policy::guard_type(&policy, &function.name))
}

/// The function with a mark that says that anybody may call it.
pub(crate) fn public(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    let public = check::public(PublicArgs::parse(attribute, &mut errors), &mut errors);
    let function = check::function(Item::parse(item.clone()), Attribute::Public, &mut errors);
    written(function, item, errors, |function| policy::public_type(&public, &function.name))
}

fn written(
    function: Option<Function>,
    item: TokenStream,
    errors: Diagnostics,
    hidden: impl FnOnce(&Function) -> TokenStream,
) -> TokenStream {
    match function {
        Some(function) if errors.is_empty() => {
            let hidden = hidden(&function);
            with_argument_in_front(function, hidden)
        }
        _ => {
            let errors = errors.into_tokens();
            quote!(#item #errors)
        }
    }
}

fn with_argument_in_front(function: Function, hidden: TokenStream) -> TokenStream {
    let Function { head, arguments, tail, .. } = function;
    let written = arguments.stream();
    let mut guarded = Group::new(arguments.delimiter(), quote!(_: #hidden, #written));
    guarded.set_span(arguments.span());
    let mut tokens = head;
    tokens.extend([TokenTree::Group(guarded)]);
    tokens.extend(tail);
    tokens
}

#[cfg(test)]
mod tests;
