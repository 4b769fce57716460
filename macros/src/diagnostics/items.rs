//! What is wrong with the item under the attribute: no function, or one that cannot take a guard.

use proc_macro2::{Group, Ident, Span, TokenTree};
use syn::Error;

use super::at_or;

pub(crate) fn not_a_function(kind: Option<&Ident>) -> Error {
    let Some(kind) = kind else {
        return Error::new(Span::call_site(), "`#[service_only]` goes on a function");
    };
    let message = match kind.to_string().as_str() {
        "impl" => {
            "`#[service_only]` on an `impl` block guards nothing yet; put it on each function in it that takes no `self`"
                .to_owned()
        }
        "trait" => {
            "`#[service_only]` goes on a function with a body; put it on the functions that implement this trait"
                .to_owned()
        }
        "mod" => {
            "`#[service_only]` goes on a function; put it on each handler in this module".to_owned()
        }
        "struct" | "enum" | "union" | "type" => {
            format!("`#[service_only]` goes on a function, not on a `{kind}`; put it on the handler")
        }
        kind => format!("`#[service_only]` goes on a function, found `{kind}`; put it on the handler"),
    };
    Error::new(kind.span(), message)
}

pub(crate) fn takes_self(function: &Ident, receiver: &[TokenTree]) -> Error {
    at_or(
        receiver,
        function,
        format!(
            "`{function}` takes `self`; put `#[service_only]` on the `impl` block, above `#[async_trait]`"
        ),
    )
}

pub(crate) fn no_body(function: &Ident) -> Error {
    Error::new(
        function.span(),
        format!(
            "`{function}` has no body to guard; put `#[service_only]` on the function that implements it"
        ),
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

pub(crate) fn variadic(function: &Ident, dots: &[TokenTree]) -> Error {
    at_or(dots, function, format!("`{function}` takes any number of arguments; name each one"))
}

pub(crate) fn guarded_twice(function: &Ident, attribute: &Group) -> Error {
    Error::new_spanned(
        attribute.stream(),
        format!("`{function}` already has `#[service_only]`; put all keys into one attribute"),
    )
}

pub(crate) fn takes_a_guard(function: &Ident, argument: &[TokenTree]) -> Error {
    at_or(
        argument,
        function,
        format!(
            "`{function}` already takes a `Guard`; remove the argument, `#[service_only]` adds it \
             (a `Guard` of your own goes by its path, such as `self::Guard`)"
        ),
    )
}
