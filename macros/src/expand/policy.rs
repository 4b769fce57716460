//! The type of a guard: the policy, said in const generics, and the handler's registration.
//!
//! A type needs no item beside the function, so one expansion serves free functions and `impl` blocks. The
//! registration stands inside of a const argument, the one place of a signature that takes items. The tokens
//! are spanned at the attribute, so that is where the compiler shows what is wrong with the guard.

use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;
use syn::ext::IdentExt;

use super::key::SiteKey;
use super::text;
use crate::check::{Policy, Public};

/// `Guard<Site<KEY, Text, LINE, MAX_AGE>>`.
pub(super) fn guard_type(policy: &Policy, name: &Ident) -> TokenStream {
    let private = private(policy.krate.as_ref());
    let site = site_type(policy, name);
    quote!(#private::Guard<#site>)
}

/// `Site<KEY, Text, LINE, MAX_AGE>`.
pub(super) fn site_type(policy: &Policy, name: &Ident) -> TokenStream {
    let private = private(policy.krate.as_ref());
    let function = name.unraw().to_string();
    let text = [&function, &policy.services, &policy.roles, &policy.scopes].map(String::as_str).join("\n");
    let max_age = Literal::u64_unsuffixed(policy.max_age.map_or(u64::MAX, |age| age.as_secs()));
    let (key, line) = (SiteKey::of(name, &text).literal(), line(name));
    let words = text::of(&text, &private);
    quote! {
        #private::Site<
            { #private::register_guarded!(#key, #text, #line, #max_age); #key },
            #words,
            #line,
            #max_age
        >
    }
}

/// `Public<OpenSite<KEY, Text, LINE>>`.
pub(super) fn public_type(public: &Public, name: &Ident) -> TokenStream {
    let private = private(public.krate.as_ref());
    let (function, reason) = (name.unraw().to_string(), &public.reason);
    let (key, line) = (SiteKey::of(name, reason).literal(), line(name));
    let words = text::of(&function, &private);
    quote! {
        #private::Public<
            #private::OpenSite<
                { #private::register_public!(#key, #function, #reason, #line); #key },
                #words,
                #line
            >
        >
    }
}

pub(super) fn private(krate: Option<&TokenStream>) -> TokenStream {
    match krate {
        Some(path) => quote!(#path::private),
        None => quote!(::service_only::private),
    }
}

fn line(name: &Ident) -> Literal {
    Literal::usize_unsuffixed(name.span().start().line)
}
