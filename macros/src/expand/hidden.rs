//! The hidden first argument, and the first statement of the body, which uses it.
//!
//! An attribute below ours sees the argument and may rewrite the function. So the body depends on the argument: by a
//! name that no other macro can write, and by a type that no other handler has. A body without its guard does not
//! compile. An attribute may move the body into another block: the name keeps the guard alive until the body ends.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{FnArg, Pat, PatType, Token, Type};

use super::policy::Hidden;
use super::private::Private;
use super::statement::{hygienic, put_first};
use crate::item::Function;

/// Clippy's default limit for the arguments of a function.
const CLIPPY_ARGUMENTS: usize = 7;

/// `async fn list((guard): Guard<Site<HEAD, ..>>) { let _: &Guard<Site<HEAD, _, _>> = &guard; .. }`.
pub(crate) fn first(function: Function, hidden: &Hidden) -> Function {
    let proof = proof(hidden);
    with_argument(function, hidden, proof)
}

/// The same for a function that other attributes may rewrite. The statement is inside a macro that does not compile.
/// The last attribute, the seal, removes the macro if the guard is the first argument.
pub(crate) fn sealed(function: Function, hidden: &Hidden, private: &Private) -> Function {
    let proof = proof(hidden);
    let proof = quote!(#private::unsealed! { #proof });
    let mut function = with_argument(function, hidden, proof);
    function.add_last_attribute(&quote!(#private::sealed));
    function
}

fn proof(Hidden { known_by, .. }: &Hidden) -> TokenStream {
    let guard = hygienic("guard", Span::call_site());
    quote!(let _: &#known_by = &#guard;)
}

/// `#[instrument]` records each argument whose pattern is a name. The parentheses prevent that.
fn with_argument(mut function: Function, Hidden { ty, .. }: &Hidden, proof: TokenStream) -> Function {
    let guard = hygienic("guard", Span::call_site());
    // Clippy counts the hidden argument. A function that has too many without it still gets the warning.
    if function.arguments().len() == CLIPPY_ARGUMENTS {
        function.add_last_attribute(&quote!(allow(clippy::too_many_arguments)));
    }
    let argument = FnArg::Typed(PatType {
        attrs: Vec::new(),
        pat: Box::new(Pat::Verbatim(quote!((#guard)))),
        colon_token: Token![:](Span::call_site()),
        ty: Box::new(Type::Verbatim(ty.clone())),
    });
    function.signature.inputs.insert(0, argument);
    function.map_body(|body| put_first(&proof, body))
}
