//! Mistakes in the item under the attribute: it is not a function, or it cannot take a guard.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Attribute as Written, Error, Receiver, ReceiverKind};

use crate::rules::{Attribute, MAX_EXTRACTORS};

pub(crate) fn not_a_function(attribute: Attribute, kind: Option<&Ident>) -> Error {
    let attribute = attribute.as_str();
    let Some(kind) = kind else {
        return Error::new(Span::call_site(), format!("`{attribute}` goes on a function"));
    };
    let message = match kind.to_string().as_str() {
        "impl" => {
            format!("`{attribute}` goes on a function; put it on each public function of this `impl` block")
        }
        "trait" => {
            format!(
                "`{attribute}` goes on a function with a body; put it on the functions that implement this trait"
            )
        }
        "mod" => {
            format!("`{attribute}` goes on a function; put it on each handler in this module")
        }
        "struct" | "enum" | "union" | "type" => {
            format!("`{attribute}` goes on a function, not on a `{kind}`; put it on the handler")
        }
        kind => format!("`{attribute}` goes on a function, found `{kind}`; put it on the handler"),
    };
    Error::new(kind.span(), message)
}

/// The item starts like a function or an `impl` block, and syn cannot parse it.
pub(crate) fn unknown_item(attribute: Attribute, error: &Error) -> Error {
    let attribute = attribute.as_str();
    Error::new(error.span(), format!("`{attribute}` cannot read this item: {error}"))
}

pub(crate) fn takes_self(attribute: Attribute, function: &Ident, receiver: &Receiver) -> Error {
    let message = match attribute {
        Attribute::ServiceOnly | Attribute::UsersOnly | Attribute::Callers => {
            let attribute = attribute.as_str();
            format!(
                "`{function}` takes `self`; put `{attribute}` on the `impl` block, above `#[async_trait]`"
            )
        }
        Attribute::Public => format!(
            "`{function}` takes `self`; put `#[public]` on such a method only in an `impl` block with `#[service_only]`"
        ),
    };
    let (self_token, mutability) = (receiver.self_token, receiver.mutability);
    let written = match &receiver.kind {
        ReceiverKind::Reference(and, lifetime, mutability) => quote!(#and #lifetime #mutability #self_token),
        _ => quote!(#mutability #self_token),
    };
    Error::new_spanned(written, message)
}

pub(crate) fn no_body(attribute: Attribute, function: &Ident) -> Error {
    let attribute = attribute.as_str();
    Error::new(
        function.span(),
        format!("`{function}` has no body; put `{attribute}` on the function that implements it"),
    )
}

pub(crate) fn bad_qualifier(function: &Ident, qualifier: &Ident) -> Error {
    let reason = match qualifier.to_string().as_str() {
        "const" => "no request exists at compile time",
        "extern" => "the hidden argument would change its foreign signature",
        _ => "a framework cannot uphold its safety contract",
    };
    Error::new(
        qualifier.span(),
        format!(
            "`{function}` is `{qualifier}`, and {reason}; remove `{qualifier}`, or guard a function that calls it"
        ),
    )
}

pub(crate) fn variadic(function: &Ident, dots: &impl ToTokens) -> Error {
    Error::new_spanned(dots, format!("`{function}` is variadic; name each argument"))
}

pub(crate) fn too_many_extractors(function: &Ident, count: usize, extra: &TokenStream) -> Error {
    Error::new_spanned(
        extra,
        format!(
            "`{function}` takes {count} arguments, and the limit is {MAX_EXTRACTORS}: a framework extracts 16, and the \
             guard is the first; combine some into a tuple, or into a struct that derives `FromRequestParts`"
        ),
    )
}

/// In a configuration without the argument, the check would be missing too.
pub(crate) fn conditional_argument(function: &Ident, cfg: &Written) -> Error {
    Error::new_spanned(
        &cfg.meta,
        format!(
            "`{function}` needs this argument for its guard in every configuration; put the `#[cfg]` on the function"
        ),
    )
}

/// Only one of them would be checked.
pub(crate) fn several_callers(function: &Ident, another: &TokenStream) -> Error {
    Error::new_spanned(
        another,
        format!(
            "`{function}` takes two callers; keep one, and pass only the data of the other, such as its service name"
        ),
    )
}

/// The list of endpoints would show the function as public while its argument still authenticates the request.
pub(crate) fn public_takes_a_caller(function: &Ident, argument: &TokenStream) -> Error {
    Error::new_spanned(
        argument,
        format!(
            "`{function}` is public and takes a caller; remove this argument, or replace `#[public]` with \
             `#[service_only]` (if the type is your own, rename it)"
        ),
    )
}

pub(crate) fn repeated_attribute(attribute: Attribute, function: &Ident, again: &Written) -> Error {
    let attribute = attribute.as_str();
    Error::new_spanned(
        &again.meta,
        format!("`{function}` already has `{attribute}`; put all keys into one attribute"),
    )
}

pub(crate) fn contradiction(
    function: &Ident,
    attribute: Attribute,
    other: Attribute,
    written: &Written,
) -> Error {
    // In the same order, whichever attribute expands first.
    let [first, second] =
        if attribute.rank() <= other.rank() { [attribute, other] } else { [other, attribute] };
    let remedy = match second {
        Attribute::Public => "keep one",
        _ => "keep one, or write `#[callers(users(..), services(..))]`",
    };
    let (first, second) = (first.as_str(), second.as_str());
    Error::new_spanned(
        &written.meta,
        format!("`{function}` cannot be both `{first}` and `{second}`; {remedy}"),
    )
}

/// The attribute checks another kind of caller.
pub(crate) fn checks_another(function: &Ident, attribute: Attribute, argument: &TokenStream) -> Error {
    let (caller, attribute) = (attribute.caller(), attribute.as_str());
    Error::new_spanned(
        argument,
        format!("`{attribute}` checks a `{caller}`; give `{function}` one instead of this argument"),
    )
}

/// A method or a job has no route.
pub(crate) fn no_path(function: &Ident, parameter: Span) -> Error {
    Error::new(
        parameter,
        format!(
            "`{function}` has no route, so it has no path parameters; read the claim in its body with `caller.claim(..)`, \
             and return `caller.refuse(..)`"
        ),
    )
}

pub(crate) fn claims_of_data(function: &Ident, claims: Span) -> Error {
    Error::new(
        claims,
        format!("`ServiceClaims` has only the claims that are its fields; give `{function}` a `&Caller`"),
    )
}

pub(crate) fn proof_of_data(function: &Ident, proof: Span) -> Error {
    Error::new(
        proof,
        format!("`ServiceClaims` has no sender whose proof can be checked; give `{function}` a `&Caller`"),
    )
}

/// The other attribute has run before, under another name or from a macro. Only its hidden argument is visible.
pub(crate) fn guarded_and_public(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!("`{function}` cannot be both `#[service_only]` and `#[public]`; keep one"),
    )
}

pub(crate) fn takes_a_guard(function: &Ident, attribute: Attribute, argument: &TokenStream) -> Error {
    let attribute = attribute.as_str();
    Error::new_spanned(
        argument,
        format!(
            "`{function}` already takes a `Guard`; remove it, because `{attribute}` adds one \
             (if the type is your own, write its path, such as `self::Guard`)"
        ),
    )
}

/// The seal reports this, after all other attributes.
pub(crate) fn guard_not_first(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!(
            "an attribute below `#[service_only]` has changed the arguments of `{function}`, so the guard is not its \
             first argument; move that attribute above `#[service_only]`"
        ),
    )
}

const OR_PUBLIC: &str = r#"or make it public: `#[public(reason = "..")]`"#;

pub(crate) fn no_caller(function: &Ident, attribute: Attribute) -> Error {
    let caller = attribute.caller();
    Error::new(
        function.span(),
        format!(
            "`{function}` has no argument that identifies its caller; add `caller: {caller}`, {OR_PUBLIC}"
        ),
    )
}

pub(crate) fn not_async(function: &Ident, attribute: Attribute) -> Error {
    let caller = attribute.caller();
    Error::new(
        function.span(),
        format!(
            "`{function}` is not `async`, so its request cannot be checked; write `async fn`, \
             add `caller: {caller}`, {OR_PUBLIC}"
        ),
    )
}

pub(crate) fn fixed_without_self(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!(
            "`{function}` takes no `self` and no caller, and its trait fixes its arguments; \
             guard the function that calls it, {OR_PUBLIC}"
        ),
    )
}

pub(crate) fn constructor(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!(
            "`{function}` returns the type itself; move it to an `impl` block without `#[service_only]`, {OR_PUBLIC}"
        ),
    )
}

pub(crate) fn below_async_trait(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!(
            "`#[async_trait]` has rewritten `{function}` already; put `#[service_only]` above `#[async_trait]`"
        ),
    )
}

pub(crate) fn macro_in_a_block(tokens: &TokenStream) -> Error {
    Error::new_spanned(
        tokens,
        "`#[service_only]` cannot see the methods of this macro; write them out, or move the call to an `impl` block \
         without `#[service_only]`",
    )
}

/// What syn cannot parse cannot be guarded.
pub(crate) fn unknown_member(error: &Error) -> Error {
    Error::new(
        error.span(),
        format!(
            "`#[service_only]` cannot read this member: {error}; move it to an `impl` block without `#[service_only]`"
        ),
    )
}

pub(crate) fn conditional_attribute(function: &Ident, attribute: &Written) -> Error {
    Error::new_spanned(
        &attribute.meta,
        format!(
            "the block guards `{function}` before this condition is evaluated; write the method twice, \
             each with its own `#[cfg]`"
        ),
    )
}
