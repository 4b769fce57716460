//! The type of the hidden argument: the policy and the endpoint, said in const generics.
//!
//! A type needs no item beside the function, so one expansion serves free functions and `impl` blocks, and a
//! handler costs the compiler a type instead of a struct and its impls. The tokens are spanned at the
//! attribute, so that is where the compiler shows what is wrong with the guard.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;
use syn::ext::IdentExt;

use super::text;
use crate::check::Policy;

/// `Guard<Site<Module, Function, LINE, Services, Roles, Scopes, MAX_AGE>>`.
pub(super) fn guard_type(policy: &Policy, name: &Ident) -> TokenStream {
    let private = match &policy.krate {
        Some(path) => quote!(#path::private),
        None => quote!(::service_only::private),
    };
    let module = text::of_module_path(&private);
    let function = text::of(&name.unraw().to_string(), &private);
    let line = Literal::usize_unsuffixed(name.span().start().line);
    let services = text::of(&policy.services, &private);
    let roles = text::of(&policy.roles, &private);
    let scopes = text::of(&policy.scopes, &private);
    let max_age = Literal::u64_unsuffixed(policy.max_age.map_or(u64::MAX, |age| age.as_secs()));
    quote! {
        #private::Guard<
            #private::Site<#module, #function, #line, #services, #roles, #scopes, #max_age>
        >
    }
}
