//! The attribute as a function on tokens: parse, check, write.
//!
//! Last stage. What is written is the user's function with one argument more, see [`policy`] for its type, or
//! with one statement more, see [`statement`].

use proc_macro2::TokenStream;
use quote::quote;

use crate::args::{Args, PublicArgs};
use crate::check::{self, Attribute, Way};
use crate::diagnostics::Diagnostics;
use crate::item::{Function, Item};

mod key;
mod policy;
mod statement;
mod text;

/// The function with its guard, or, where anything is wrong, the item as it was written and the mistakes: the
/// compiler then reports those and nothing that would follow from a missing item.
pub(crate) fn service_only(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    let policy = check::policy(Args::parse(attribute, &mut errors), &mut errors);
    let function = check::function(Item::parse(item.clone()), Attribute::ServiceOnly, &mut errors);
    written(function, item, errors, |function, way| guarded(function, way, &policy))
}

/// The function with a mark that says that anybody may call it.
pub(crate) fn public(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    let public = check::public(PublicArgs::parse(attribute, &mut errors), &mut errors);
    let function = check::function(Item::parse(item.clone()), Attribute::Public, &mut errors);
    written(function, item, errors, |function, _| {
        let hidden = policy::public_type(&public, &function.name);
        with_argument_in_front(function, hidden)
    })
}

fn written(
    function: Option<(Function, Way)>,
    item: TokenStream,
    errors: Diagnostics,
    write: impl FnOnce(Function, Way) -> TokenStream,
) -> TokenStream {
    match function {
        Some((function, way)) if errors.is_empty() => write(function, way),
        _ => {
            let errors = errors.into_tokens();
            quote!(#item #errors)
        }
    }
}

fn guarded(function: Function, way: Way, policy: &check::Policy) -> TokenStream {
    match way {
        Way::HiddenArgument => {
            let hidden = policy::guard_type(policy, &function.name);
            with_argument_in_front(function, hidden)
        }
        Way::Given(at) => {
            let site = policy::site_type(policy, &function.name);
            statement::with_check(function, at, &policy::private(policy.krate.as_ref()), &site)
        }
    }
}

fn with_argument_in_front(function: Function, hidden: TokenStream) -> TokenStream {
    let written = function.arguments.stream();
    function.with_arguments(quote!(_: #hidden, #written)).into_tokens()
}

#[cfg(test)]
mod tests;
