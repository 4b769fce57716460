//! The attributes as functions on tokens: parse, check, expand.
//!
//! Last stage. The output is the user's function with a hidden first argument ([`hidden`], and [`policy`] for its
//! type), or with a check as its first statement ([`statement`]). Each method of an `impl` block gets one of the two.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::args::{Args, PublicArgs};
use crate::check::{self, Asks, CheckedBlock, CheckedMember, Guarding, Policy, Way};
use crate::diagnostics::{self, Diagnostics};
use crate::item::{Block, Function, Item};
use crate::rules::Attribute;
use policy::Place;

pub(crate) use seal::sealed;

mod hidden;
mod key;
mod policy;
mod private;
mod seal;
mod statement;
mod text;

/// The guarded item. If there are mistakes, the unchanged item and one error per mistake: a missing item would cause
/// more errors.
pub(crate) fn guard(attribute: Attribute, tokens: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    let policy = check::policy(attribute, Args::parse(attribute, tokens, &mut errors), &mut errors);
    match Item::parse(item.clone()) {
        Ok(Item::Function(function)) => {
            let (function, way) = check::function(*function, attribute, &mut errors);
            check::applicable(&policy, &function, way, &mut errors);
            written(item, errors, || {
                let name = function.name().clone();
                let form = Form::of(&function);
                guarded(function, way, &Place::of(&name, policy.krate.as_ref()), &policy, form)
            })
        }
        Ok(Item::Block(block)) => guarded_block(*block, Guarding { attribute, policy: &policy }, errors),
        Ok(Item::Other(kind)) => {
            errors.push(diagnostics::not_a_function(attribute, kind.as_ref()));
            written(item, errors, TokenStream::new)
        }
        Err(error) => {
            errors.push(diagnostics::unknown_item(attribute, &error));
            written(item, errors, TokenStream::new)
        }
    }
}

/// The function, marked as public.
pub(crate) fn public(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Diagnostics::default();
    let public = check::public(PublicArgs::parse(attribute, &mut errors), &mut errors);
    let kind = match Item::parse(item.clone()) {
        Ok(Item::Function(function)) => {
            let (function, _) = check::function(*function, Attribute::Public, &mut errors);
            return written(item, errors, || {
                let hidden = Place::of(function.name(), public.krate.as_ref()).public(&public, &function);
                hidden::first(function, &hidden).into_token_stream()
            });
        }
        Ok(Item::Block(block)) => Ok(Some(block.keyword())),
        Ok(Item::Other(kind)) => Ok(kind),
        Err(error) => Err(error),
    };
    errors.push(kind.map_or_else(
        |error| diagnostics::unknown_item(Attribute::Public, &error),
        |kind| diagnostics::not_a_function(Attribute::Public, kind.as_ref()),
    ));
    written(item, errors, TokenStream::new)
}

fn written(item: TokenStream, errors: Diagnostics, write: impl FnOnce() -> TokenStream) -> TokenStream {
    if errors.is_empty() {
        return write();
    }
    let errors = errors.into_tokens();
    quote!(#item #errors)
}

/// The block with guarded methods. If there are mistakes, the block with the written methods, without their own
/// attributes of this crate: these would report the same mistakes again.
fn guarded_block(block: Block, guarding: Guarding<'_>, mut errors: Diagnostics) -> TokenStream {
    let policy = guarding.policy;
    let CheckedBlock { block, members } = check::block(block, guarding, &mut errors);
    let ty = block.type_name().cloned();
    let is_final = block.is_final();
    let refused = !errors.is_empty();
    let members: Vec<_> = members
        .into_iter()
        .map(|member| match member {
            CheckedMember::Kept(tokens) => tokens,
            CheckedMember::Method(method, ..) if refused => method.into_token_stream(),
            CheckedMember::Method(method, way, asks) => {
                let name = method.name().clone();
                let krate = policy.krate.as_ref();
                let form = if is_final && method.is_final() { Form::First } else { Form::Sealed };
                let place = |own: Option<&TokenStream>| Place::within(ty.as_ref(), &name, own.or(krate));
                match asks {
                    Asks::AsTheBlock => guarded(*method, way, &place(None), policy, form),
                    Asks::Itself(own) => guarded(*method, way, &place(own.krate.as_ref()), &own, form),
                    Asks::Nothing(public) => opened(*method, way, &place(public.krate.as_ref()), &public),
                }
            }
        })
        .collect();
    let errors = errors.into_tokens();
    let block = block.with_members(members);
    quote!(#block #errors)
}

/// Whether the order of the arguments needs a check after all other attributes.
#[derive(Copy, Clone)]
enum Form {
    /// No: no attribute rewrites the function after this one.
    First,
    /// Yes: another attribute may rewrite the function. The seal checks the result.
    Sealed,
}

impl Form {
    fn of(function: &Function) -> Self {
        if function.is_final() { Self::First } else { Self::Sealed }
    }
}

fn guarded(function: Function, way: Way, place: &Place<'_>, policy: &Policy, form: Form) -> TokenStream {
    let guarded = match way {
        Way::HiddenArgument | Way::Marked => {
            let hidden = place.guard(policy, &function);
            match form {
                Form::First => hidden::first(function, &hidden),
                Form::Sealed => hidden::sealed(function, &hidden, &place.private),
            }
        }
        Way::Given(at) => statement::with_check(function, at, &place.private, &place.site_type(policy)),
        Way::Request(at) => statement::with_admission(function, at, &place.private, &place.site_type(policy)),
    };
    guarded.into_token_stream()
}

fn opened(function: Function, way: Way, place: &Place<'_>, public: &check::Public) -> TokenStream {
    let opened = match way {
        Way::HiddenArgument => {
            let hidden = place.public(public, &function);
            hidden::first(function, &hidden)
        }
        _ => statement::with_mark(function, &place.public_statement(public)),
    };
    opened.into_token_stream()
}

#[cfg(test)]
mod tests;
