//! What is wrong with the item under the attribute: no function, or one that cannot take a guard.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Attribute as Written, Error, Receiver, ReceiverKind};

use crate::check::{Attribute, MAX_EXTRACTORS};

pub(crate) fn not_a_function(attribute: Attribute, kind: Option<&Ident>) -> Error {
    let attribute = attribute.as_str();
    let Some(kind) = kind else {
        return Error::new(Span::call_site(), format!("`{attribute}` goes on a function"));
    };
    let message = match kind.to_string().as_str() {
        "impl" => {
            format!(
                "`{attribute}` goes on a function; put it on each function of this `impl` block that is meant"
            )
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

pub(crate) fn takes_self(attribute: Attribute, function: &Ident, receiver: &Receiver) -> Error {
    let message = match attribute {
        Attribute::ServiceOnly => {
            format!(
                "`{function}` takes `self`; put `#[service_only]` on the `impl` block, above `#[async_trait]`"
            )
        }
        Attribute::Public => format!(
            "`{function}` takes `self`, so no router has it; `#[public]` goes on such a method where its `impl` block \
             is `#[service_only]`"
        ),
    };
    let self_token = receiver.self_token;
    match &receiver.kind {
        ReceiverKind::Reference(and, lifetime, mutability) => {
            Error::new_spanned(quote!(#and #lifetime #mutability #self_token), message)
        }
        _ => {
            let mutability = receiver.mutability;
            Error::new_spanned(quote!(#mutability #self_token), message)
        }
    }
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
        "const" => "no request is there when it is evaluated",
        "extern" => "a hidden argument would change what foreign code has to pass",
        _ => "a handler is called for strangers, who can promise nothing",
    };
    Error::new(
        qualifier.span(),
        format!(
            "`{function}` is `{qualifier}`, and {reason}; remove `{qualifier}`, or guard a function that calls it"
        ),
    )
}

pub(crate) fn variadic(function: &Ident, dots: &impl ToTokens) -> Error {
    Error::new_spanned(dots, format!("`{function}` takes any number of arguments; name each one"))
}

pub(crate) fn too_many_extractors(function: &Ident, count: usize, extra: &TokenStream) -> Error {
    Error::new_spanned(
        extra,
        format!(
            "`{function}` takes {count} arguments, {MAX_EXTRACTORS} at most: a framework extracts 16, and the first is \
             the guard; take several of them as one, such as a struct that derives `FromRequestParts` or a tuple"
        ),
    )
}

/// Without the argument, the check of it would be gone.
pub(crate) fn conditional_argument(function: &Ident, cfg: &Written) -> Error {
    Error::new_spanned(
        &cfg.meta,
        format!(
            "`{function}` is guarded by this argument, which must always be there; put the `#[cfg]` on the function"
        ),
    )
}

/// Only one would be checked, and which one it is nobody sees.
pub(crate) fn several_say_who_calls(function: &Ident, another: &TokenStream) -> Error {
    Error::new_spanned(
        another,
        format!(
            "`{function}` is given two that say who calls; take one, or take of the other what is needed, such as its name"
        ),
    )
}

/// It would be listed as open, and not be; or be open, and look as if it were not.
pub(crate) fn public_asks_who_calls(function: &Ident, argument: &TokenStream) -> Error {
    Error::new_spanned(
        argument,
        format!(
            "`{function}` is public and asks who calls; remove this argument, or write `#[service_only]` in place of \
             `#[public]` (a type of your own needs another name)"
        ),
    )
}

pub(crate) fn said_twice(attribute: Attribute, function: &Ident, again: &Written) -> Error {
    let attribute = attribute.as_str();
    Error::new_spanned(
        &again.meta,
        format!("`{function}` already has `{attribute}`; put all keys into one attribute"),
    )
}

pub(crate) fn contradiction(function: &Ident, other: &Written) -> Error {
    Error::new_spanned(
        &other.meta,
        format!("`{function}` cannot be both `#[service_only]` and `#[public]`; keep one"),
    )
}

/// Said again, under another name or by a macro, so that only the hidden argument shows it.
pub(crate) fn guarded_and_public(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!("`{function}` cannot be both `#[service_only]` and `#[public]`; keep one"),
    )
}

pub(crate) fn takes_a_guard(function: &Ident, argument: &TokenStream) -> Error {
    Error::new_spanned(
        argument,
        format!(
            "`{function}` already takes a `Guard`; remove the argument, `#[service_only]` adds it \
             (a `Guard` of your own goes by its path, such as `self::Guard`)"
        ),
    )
}

/// Found by the seal, after all other attributes.
pub(crate) fn guard_not_first(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!(
            "an attribute below `#[service_only]` has changed the arguments of `{function}`, so its guard is not the \
             first; put that attribute above `#[service_only]`"
        ),
    )
}

const OR_PUBLIC: &str = r#"or say that anybody may call: `#[public(reason = "..")]`"#;

/// Of a method of a guarded block.
pub(crate) fn nothing_says_who_calls(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!(
            "`{function}` is given nothing that says who calls; add an argument `caller: &Caller`, {OR_PUBLIC}"
        ),
    )
}

pub(crate) fn not_async(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!(
            "`{function}` is not `async`, so its request cannot be checked; write `async fn`, \
             add an argument `caller: &Caller`, {OR_PUBLIC}"
        ),
    )
}

pub(crate) fn fixed_without_self(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!(
            "`{function}` takes no `self` and nothing that says who calls, and its trait fixes what it takes; \
             guard what calls it, {OR_PUBLIC}"
        ),
    )
}

pub(crate) fn constructor(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!(
            "`{function}` makes the type that its methods are called on; move it to an `impl` block without \
             `#[service_only]`, {OR_PUBLIC}"
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
        "what this writes cannot be seen, nor guarded; write its methods out, or move it to an `impl` block \
         without `#[service_only]`",
    )
}

/// What syn cannot parse cannot be guarded.
pub(crate) fn unknown_syntax(error: &Error) -> Error {
    Error::new(
        error.span(),
        format!("`#[service_only]` cannot read this: {error}; move it to an `impl` block without `#[service_only]`"),
    )
}

pub(crate) fn conditional_attribute(function: &Ident, attribute: &Written) -> Error {
    Error::new_spanned(
        &attribute.meta,
        format!(
            "the block guards `{function}` before this condition is known; write the method twice, \
             each under its own `#[cfg]`"
        ),
    )
}
