//! Attributes that rewrite the function below them, as attributes of other crates do: they drop, move, rename, wrap
//! and duplicate. The tests put them above and below `#[service_only]`.
//!
//! Each keeps the other attributes of the function, unless its name ends in `_bare`.

use proc_macro::TokenStream;
use quote::{format_ident, quote};
use syn::{FnArg, Ident, ItemFn, Pat, PatType, Type, parse_macro_input, parse_quote};

/// `async fn name() body`.
#[proc_macro_attribute]
pub fn without_arguments(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    function.sig.inputs.clear();
    quote!(#function).into()
}

/// The same, without the other attributes.
#[proc_macro_attribute]
pub fn without_arguments_bare(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    function.attrs.clear();
    function.sig.inputs.clear();
    quote!(#function).into()
}

/// Drops the first argument.
#[proc_macro_attribute]
pub fn without_first_argument(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    function.sig.inputs = function.sig.inputs.into_iter().skip(1).collect();
    quote!(#function).into()
}

/// Drops the last argument.
#[proc_macro_attribute]
pub fn without_last_argument(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    function.sig.inputs.pop();
    quote!(#function).into()
}

/// The last argument comes first.
#[proc_macro_attribute]
pub fn reversed(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    function.sig.inputs = reversed_arguments(&function);
    quote!(#function).into()
}

/// The same, without the other attributes.
#[proc_macro_attribute]
pub fn reversed_bare(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    function.attrs.clear();
    function.sig.inputs = reversed_arguments(&function);
    quote!(#function).into()
}

fn reversed_arguments<T: FromIterator<FnArg>>(function: &ItemFn) -> T {
    function.sig.inputs.iter().rev().cloned().collect()
}

/// Puts an argument first: `#[with_first(name: Type)]`.
#[proc_macro_attribute]
pub fn with_first(argument: TokenStream, item: TokenStream) -> TokenStream {
    let argument = parse_macro_input!(argument as FnArg);
    let mut function = parse_macro_input!(item as ItemFn);
    function.sig.inputs.insert(0, argument);
    quote!(#function).into()
}

/// Gives the first argument another type.
#[proc_macro_attribute]
pub fn retyped(ty: TokenStream, item: TokenStream) -> TokenStream {
    let ty = parse_macro_input!(ty as Type);
    let mut function = parse_macro_input!(item as ItemFn);
    if let Some(FnArg::Typed(first)) = function.sig.inputs.first_mut() {
        *first.ty = ty;
    }
    quote!(#function).into()
}

/// Gives each argument a name of its own and leaves the body as it is.
#[proc_macro_attribute]
pub fn renamed(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    rename(&mut function);
    quote!(#function).into()
}

/// `async fn name(arguments) { async fn inner(arguments) body; inner(arguments).await }`.
#[proc_macro_attribute]
pub fn wrapped(_: TokenStream, item: TokenStream) -> TokenStream {
    wrap(parse_macro_input!(item as ItemFn), |_| ()).into()
}

/// The same, without the other attributes.
#[proc_macro_attribute]
pub fn wrapped_bare(_: TokenStream, item: TokenStream) -> TokenStream {
    wrap(parse_macro_input!(item as ItemFn), |outer| outer.attrs.clear()).into()
}

/// The inner function has the other attributes, and the outer one its arguments in reverse.
#[proc_macro_attribute]
pub fn wrapped_in_reverse(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut inner = parse_macro_input!(item as ItemFn);
    let mut outer = inner.clone();
    outer.attrs.clear();
    let names = rename(&mut outer);
    outer.sig.inputs = reversed_arguments(&outer);
    inner.sig.ident = format_ident!("inner");
    outer.block = parse_quote!({ #inner inner(#(#names),*).await });
    quote!(#outer).into()
}

fn wrap(mut inner: ItemFn, change: fn(&mut ItemFn)) -> proc_macro2::TokenStream {
    let mut outer = inner.clone();
    inner.attrs.clear();
    change(&mut outer);
    let names = rename(&mut outer);
    inner.sig.ident = format_ident!("inner");
    outer.block = parse_quote!({ #inner inner(#(#names),*).await });
    quote!(#outer)
}

fn rename(function: &mut ItemFn) -> Vec<Ident> {
    let arguments = function.sig.inputs.iter_mut().filter_map(|argument| match argument {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    let rename = |(at, PatType { pat, .. }): (usize, &mut PatType)| {
        let name = format_ident!("argument_{at}");
        **pat = Pat::Verbatim(quote!(#name));
        name
    };
    arguments.enumerate().map(rename).collect()
}

/// The function, and the same once more as `name_again`.
#[proc_macro_attribute]
pub fn duplicated(_: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let mut again = function.clone();
    again.sig.ident = format_ident!("{}_again", function.sig.ident);
    quote!(#function #again).into()
}

/// The function, and its body in another one, `async fn name_open() body`.
#[proc_macro_attribute]
pub fn body_copied(_: TokenStream, item: TokenStream) -> TokenStream {
    let function = parse_macro_input!(item as ItemFn);
    let mut open = function.clone();
    open.sig.ident = format_ident!("{}_open", function.sig.ident);
    open.sig.inputs.clear();
    quote!(#function #open).into()
}

/// `{ async move body.await }`.
#[proc_macro_attribute]
pub fn in_async_block(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    let body = &function.block;
    function.block = parse_quote!({ async move #body.await });
    quote!(#function).into()
}

/// `{ (async || body)().await }`.
#[proc_macro_attribute]
pub fn in_closure(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    let body = &function.block;
    function.block = parse_quote!({ let body = async || #body; body().await });
    quote!(#function).into()
}

/// `{ async fn inner() body; inner().await }`.
#[proc_macro_attribute]
pub fn in_inner_function(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    let (body, output) = (&function.block, &function.sig.output);
    function.block = parse_quote!({ async fn inner() #output #body inner().await });
    quote!(#function).into()
}

/// Binds the names that `#[service_only]` writes, as text, before the body.
#[proc_macro_attribute]
pub fn with_names_bound(_: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    let body = &function.block;
    function.block = parse_quote!({
        let (__service_only_guard, __service_only_argument) = ((), ());
        let _ = (__service_only_guard, __service_only_argument);
        #body
    });
    quote!(#function).into()
}

/// A statement before the body: `#[begins_with(statement)]`.
#[proc_macro_attribute]
pub fn begins_with(statement: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = parse_macro_input!(item as ItemFn);
    let (statement, body) = (proc_macro2::TokenStream::from(statement), &function.block);
    function.block = parse_quote!({ #statement #body });
    quote!(#function).into()
}
