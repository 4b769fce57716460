//! Mistakes in `#[public]`.

use proc_macro2::{Ident, Span, TokenTree};
use quote::quote;
use syn::{Error, LitStr};

use super::{at, at_or};
use crate::rules::MAX_REASON_BYTES;

const EXAMPLE: &str = r#"`reason = "load balancers have no token"`"#;

pub(crate) fn no_reason() -> Error {
    Error::new(Span::call_site(), format!("`#[public]` needs a reason; write {EXAMPLE}"))
}

pub(crate) fn reason_without_key(entry: &[TokenTree]) -> Error {
    let found = quote!(#(#entry)*);
    at(entry, format!("expected a key, found `{found}`; write {EXAMPLE}"))
}

pub(crate) fn unknown_key_of_public(name: &Ident) -> Error {
    let message = match name.to_string().as_str() {
        key @ ("services" | "roles" | "scopes" | "max_age") => {
            format!("`{key}` is a key of `#[service_only]`; a public handler has no policy")
        }
        key => format!("unknown key `{key}`; the keys are `reason`, `crate`"),
    };
    Error::new(name.span(), message)
}

pub(crate) fn repeated_key_of_public(name: &Ident) -> Error {
    Error::new(name.span(), format!("`{name}` is repeated; keep one"))
}

pub(crate) fn not_a_reason(name: &Ident, value: &[TokenTree]) -> Error {
    at_or(value, name, format!("expected a string; write {EXAMPLE}"))
}

pub(crate) fn bad_reason(reason: &LitStr, flaw: &str) -> Error {
    Error::new(reason.span(), format!("the reason {flaw}; write {EXAMPLE}"))
}

pub(crate) fn reason_too_long(reason: &LitStr, bytes: usize) -> Error {
    Error::new(reason.span(), format!("the reason has {bytes} bytes, and the limit is {MAX_REASON_BYTES}"))
}
