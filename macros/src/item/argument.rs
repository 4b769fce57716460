//! What the type and the pattern of an argument tell: a guard, a caller, a name.
//!
//! An attribute sees spellings, not types. An alias of `Caller` is not recognized, and a type of the user with that
//! name does not compile where a `Caller` is expected.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::{Attribute, FnArg, Pat, Path, PathArguments, ReceiverKind, Type};

use super::attributes_named;
use crate::rules::Attribute as Guarded;

/// Whether the type is our `Guard<..>`: written by hand, or by the attribute under another name.
pub(crate) fn is_guard(argument: &FnArg) -> bool {
    let Some(path) = ty(argument).and_then(path) else { return false };
    let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.unraw().to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let is_generic = path.segments.last().is_some_and(|last| !last.arguments.is_none());
    is_generic && matches!(names.as_slice(), ["Guard"] | [.., "__private" | "service_only", "Guard"])
}

/// Whether the type is the hidden argument of `#[public]`.
pub(crate) fn is_hidden_public(argument: &FnArg) -> bool {
    is_private(argument, "Public")
}

/// Whether the type is the hidden argument of `#[service_only]`, as the attribute writes it. A type of the user may be
/// called `Guard` too.
pub(crate) fn is_hidden_guard(argument: &FnArg) -> bool {
    is_private(argument, "Guard")
}

fn is_private(argument: &FnArg, hidden: &str) -> bool {
    let Some(path) = ty(argument).and_then(path) else { return false };
    let mut names = path.segments.iter().rev().map(|segment| segment.ident.unraw());
    names.next().is_some_and(|name| name == hidden)
        && names.next().is_some_and(|parent| parent == "__private")
}

/// Whether the type is one that the attribute checks, by whichever path and lifetime: `&ServiceClaims` or `&Caller`, a
/// `&User` for `#[users_only]`, an `&Identity` for `#[callers]`.
pub(crate) fn is_caller(guarded: Guarded, argument: &FnArg) -> bool {
    match guarded {
        Guarded::UsersOnly => is_reference_to(argument, &["User"]),
        Guarded::Callers => is_reference_to(argument, &["Identity"]),
        Guarded::ServiceOnly | Guarded::Public => is_reference_to(argument, CALLERS),
    }
}

/// Whether the type is `&ServiceClaims`.
pub(crate) fn is_claims(argument: &FnArg) -> bool {
    is_reference_to(argument, &["ServiceClaims"])
}

fn is_reference_to(argument: &FnArg, names: &[&str]) -> bool {
    match ty(argument) {
        Some(Type::Reference(reference)) if reference.mutability.is_none() => path(&reference.elem)
            .is_some_and(|path| {
                is_named(path, names) && path.segments.iter().all(|segment| segment.arguments.is_none())
            }),
        _ => false,
    }
}

const CALLERS: &[&str] = &["ServiceClaims", "Caller"];

/// Whether the type is a caller or claims in any spelling: in parentheses, behind several references, with empty
/// generics.
pub(crate) fn resembles_a_caller(argument: &FnArg) -> bool {
    let mut ty = match ty(argument) {
        Some(ty) => ty,
        None => return false,
    };
    loop {
        ty = match ty {
            Type::Reference(reference) => &reference.elem,
            Type::Paren(inner) => &inner.elem,
            Type::Group(inner) => &inner.elem,
            ty => {
                return path(ty).is_some_and(|path| {
                    is_named(path, CALLERS)
                        && path.segments.iter().all(|segment| is_empty(&segment.arguments))
                });
            }
        };
    }
}

fn is_named(path: &Path, names: &[&str]) -> bool {
    let last = path.segments.last().map(|last| last.ident.unraw());
    last.is_some_and(|last| names.iter().any(|name| last == name))
}

fn is_empty(arguments: &PathArguments) -> bool {
    match arguments {
        PathArguments::None => true,
        PathArguments::AngleBracketed(arguments) => arguments.args.is_empty(),
        PathArguments::Parenthesized(_) => false,
    }
}

/// The type, if it is the path of a type without generics and always there. It can then be written a second time.
pub(crate) fn named_type(argument: &FnArg) -> Option<&Path> {
    let FnArg::Typed(typed) = argument else { return None };
    let Type::Path(ty) = typed.ty.as_ref() else { return None };
    let is_plain = ty.qself.is_none() && ty.path.segments.iter().all(|segment| segment.arguments.is_none());
    (is_plain && condition(argument).is_none()).then_some(&ty.path)
}

/// The attribute that may remove the argument.
pub(crate) fn condition(argument: &FnArg) -> Option<&Attribute> {
    let attributes = match argument {
        FnArg::Receiver(receiver) => &receiver.attrs,
        FnArg::Typed(typed) => &typed.attrs,
    };
    attributes_named(attributes, "cfg").chain(attributes_named(attributes, "cfg_attr")).next()
}

/// The name of the argument, without its `mut`. `None` for a pattern that destructures.
pub(crate) fn name(argument: &FnArg) -> Option<Ident> {
    match argument {
        FnArg::Receiver(receiver) => Some(Ident::new("self", receiver.self_token.span)),
        FnArg::Typed(typed) => match typed.pat.as_ref() {
            Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
                Some(pattern.ident.clone())
            }
            _ => None,
        },
    }
}

/// Where the compiler shows what is wrong with the type.
pub(crate) fn type_span(argument: &FnArg) -> Span {
    let tokens = ty(argument).map(Type::to_token_stream).unwrap_or_default();
    let mut words = tokens.clone().into_iter().filter(|token| matches!(token, TokenTree::Ident(_)));
    words.next().or(tokens.into_iter().next()).map_or_else(Span::call_site, |token| token.span())
}

/// The argument without its attributes.
pub(crate) fn tokens(argument: &FnArg) -> TokenStream {
    match argument.clone() {
        FnArg::Receiver(receiver) => receiver.self_token.to_token_stream(),
        FnArg::Typed(mut typed) => {
            typed.attrs.clear();
            typed.to_token_stream()
        }
    }
}

fn ty(argument: &FnArg) -> Option<&Type> {
    let ty = match argument {
        FnArg::Typed(typed) => typed.ty.as_ref(),
        FnArg::Receiver(receiver) => match &receiver.kind {
            ReceiverKind::Typed(_, ty) => ty,
            _ => return None,
        },
    };
    Some(ungrouped(ty))
}

/// The path that a type is, without a `<T as Trait>`.
fn path(ty: &Type) -> Option<&Path> {
    match ungrouped(ty) {
        Type::Path(ty) if ty.qself.is_none() => Some(&ty.path),
        _ => None,
    }
}

/// Without the invisible groups that a macro by example wraps around a type.
pub(crate) fn ungrouped(mut ty: &Type) -> &Type {
    while let Type::Group(group) = ty {
        ty = &group.elem;
    }
    ty
}
