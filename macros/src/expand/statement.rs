//! The statement that guards a body: put before the user's own, which stay the tokens they are.
//!
//! Names that are written here are hygienic, so that the body cannot see them, nor they the body's. Constants are
//! not: one of the same name would make a comparison of a pattern, and a refusal that compares unequal would let
//! the caller in. Hence the prefix, and `name @ _`, which binds or does not compile. Each name stands where its
//! type does, so that is where the compiler shows what that type cannot do.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{FnArg, Pat};

use super::policy::Private;
use crate::item::{Function, argument};
use crate::tokens::is_punct;

/// `let checked @ _ = match check::<Site>(argument) { Ok(checked @ _) => checked, Err(denial @ _) => return
/// Refused::refused(denial) };`. The function's end drops what is bound, and writes the record.
pub(crate) fn with_check(
    function: Function,
    at: usize,
    private: &Private,
    site: &TokenStream,
) -> Function {
    let Binding { function, name, pattern, is_name } = Binding::of(function, at);
    let rebound = (!is_name).then(|| quote!(let #pattern = #name;));
    let checked = hygienic("checked", Span::call_site());
    let denial = hygienic("denial", function.return_span());
    let statement = quote! {
        let #checked @ _ = match #private::check::<#site>(#name) {
            ::core::result::Result::Ok(#checked @ _) => #checked,
            ::core::result::Result::Err(#denial @ _) => return #private::Refused::refused(#denial),
        };
        #rebound
    };
    function.map_body(|body| put_first(&statement, body))
}

/// `let (checked @ _, request) = match Admit::admit::<Site>(request).await { Ok(request @ _) => Admit::hold(request),
/// Err(refusal @ _) => return Refused::refused(refusal) };`. The method's end drops what is bound, and writes the
/// record.
pub(crate) fn with_admission(
    function: Function,
    at: usize,
    private: &Private,
    site: &TokenStream,
) -> Function {
    let Binding { function, name, pattern, .. } = Binding::of(function, at);
    let checked = hygienic("checked", Span::call_site());
    let request = hygienic("request", Span::call_site());
    let refusal = hygienic("refusal", function.return_span());
    let statement = quote! {
        let (#checked @ _, #pattern) = match #private::Admit::admit::<#site>(#name).await {
            ::core::result::Result::Ok(#request @ _) => #private::Admit::hold(#request),
            ::core::result::Result::Err(#refusal @ _) => return #private::Refused::refused(#refusal),
        };
    };
    function.map_body(|body| put_first(&statement, body))
}

/// A statement that changes nothing.
pub(crate) fn with_mark(function: Function, mark: &TokenStream) -> Function {
    function.map_body(|body| put_first(mark, body))
}

/// An argument under a name that a statement can use, and the pattern that the user wrote for it. A name stays
/// the user's own, since other attributes speak of arguments by their names.
struct Binding {
    function: Function,
    name: Ident,
    pattern: TokenStream,
    /// Whether that pattern is the name and nothing more.
    is_name: bool,
}

impl Binding {
    fn of(mut function: Function, at: usize) -> Self {
        let argument = function.signature.inputs.iter_mut().nth(at);
        let written = argument.as_deref().and_then(argument::name);
        let type_span = argument.as_deref().map_or_else(Span::call_site, argument::type_span);
        let name = written.clone().unwrap_or_else(|| hygienic("argument", type_span));
        let mut pattern = name.to_token_stream();
        if let Some(FnArg::Typed(typed)) = argument {
            let plain = Box::new(Pat::Verbatim(pattern));
            pattern = std::mem::replace(&mut typed.pat, plain).into_token_stream();
        }
        let is_name = written.is_some() && pattern.clone().into_iter().count() == 1;
        Self { function, name, pattern, is_name }
    }
}

/// The statement before all others of a body, and after its inner attributes.
pub(crate) fn put_first(statement: &TokenStream, body: TokenStream) -> TokenStream {
    let tokens: Vec<_> = body.into_iter().collect();
    let mut attributes = 0;
    while let Some([hash, bang, TokenTree::Group(attribute)]) = tokens.get(attributes..attributes + 3)
        && is_punct(hash, '#')
        && is_punct(bang, '!')
        && attribute.delimiter() == Delimiter::Bracket
    {
        attributes += 3;
    }
    let (before, after) = tokens.split_at(attributes);
    quote!(#(#before)* #statement #(#after)*)
}

pub(crate) fn hygienic(name: &str, place: Span) -> Ident {
    Ident::new(&format!("__service_only_{name}"), Span::mixed_site().located_at(place))
}
