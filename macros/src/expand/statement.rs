//! The statement that guards a body. It comes before the user's statements, whose tokens do not change.
//!
//! The names written here are hygienic: the body cannot see them, and they cannot see names of the body. Constants are
//! not hygienic. A constant with the name of a binding would turn that binding into a comparison, and a denial that
//! compares unequal would admit the caller. Two things prevent that: the prefix of the names, and the form `name @ _`,
//! which binds or does not compile. Each name has the span of its type, so errors about the type point there.

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{FnArg, Pat};

use super::private::Private;
use crate::item::{Function, argument};
use crate::tokens::is_punct;

/// `let checked @ _ = match check::<Site>(argument) { Ok(checked @ _) => checked, Err(denial @ _) => return
/// Refused::refused(denial) };`. `checked` is dropped at the end of the function, which
/// writes the record.
pub(crate) fn with_check(function: Function, at: usize, private: &Private, site: &TokenStream) -> Function {
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
/// Err(refusal @ _) => return Refused::refused(refusal) };`. `checked` is dropped at the end of the
/// method, which writes the record.
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

/// Adds a statement that has no effect at run time.
pub(crate) fn with_mark(function: Function, mark: &TokenStream) -> Function {
    function.map_body(|body| put_first(mark, body))
}

/// An argument as a name that the statement can use, and the pattern that the user wrote. A written name stays, because
/// other attributes refer to it, such as `#[instrument(skip(request))]`.
struct Binding {
    function: Function,
    name: Ident,
    pattern: TokenStream,
    /// Whether the pattern is only the name.
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

/// Puts a statement before all others of a body and after its inner attributes.
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
