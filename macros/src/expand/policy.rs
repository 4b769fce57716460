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

/// Where a function stands, and the path of the crate `service_only` there.
pub(super) struct Place<'a> {
    name: &'a Ident,
    ty: Option<&'a Ident>,
    pub(super) private: TokenStream,
}

impl<'a> Place<'a> {
    /// A function by itself cannot know whether it stands in an `impl` block.
    pub(super) fn of(name: &'a Ident, krate: Option<&TokenStream>) -> Self {
        Self::within(None, name, krate)
    }

    /// A method of a type.
    pub(super) fn within(ty: Option<&'a Ident>, name: &'a Ident, krate: Option<&TokenStream>) -> Self {
        let private = match krate {
            Some(path) => quote!(#path::private),
            None => quote!(::service_only::private),
        };
        Self { name, ty, private }
    }

    /// The function as the list of endpoints names it.
    fn function(&self) -> String {
        let name = self.name.unraw();
        self.ty.map_or_else(|| name.to_string(), |ty| format!("{}::{name}", ty.unraw()))
    }

    fn line(&self) -> Literal {
        Literal::usize_unsuffixed(self.name.span().start().line)
    }

    /// `Guard<Site<KEY, Text, LINE, MAX_AGE>>`.
    pub(super) fn guard_type(&self, policy: &Policy) -> TokenStream {
        let (private, site) = (&self.private, self.site_type(policy));
        quote!(#private::Guard<#site>)
    }

    /// `Site<KEY, Text, LINE, MAX_AGE>`.
    pub(super) fn site_type(&self, policy: &Policy) -> TokenStream {
        let (private, line) = (&self.private, self.line());
        let text = [&self.function(), &policy.services, &policy.roles, &policy.scopes];
        let text = text.map(String::as_str).join("\n");
        let max_age = Literal::u64_unsuffixed(policy.max_age.map_or(u64::MAX, |age| age.as_secs()));
        let key = SiteKey::of(self.name, &text).literal();
        let words = text::of(&text, private);
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
    pub(super) fn public_type(&self, public: &Public) -> TokenStream {
        let (private, line) = (&self.private, self.line());
        let (key, registration) = self.registration(public);
        let words = text::of(&self.function(), private);
        quote!(#private::Public<#private::OpenSite<{ #registration #key }, #words, #line>>)
    }

    /// The statement that lists a public function, for a body.
    pub(super) fn public_statement(&self, public: &Public) -> TokenStream {
        self.registration(public).1
    }

    fn registration(&self, public: &Public) -> (Literal, TokenStream) {
        let (private, line) = (&self.private, self.line());
        let (function, reason) = (self.function(), &public.reason);
        let key = SiteKey::of(self.name, reason).literal();
        let registration = quote!(#private::register_public!(#key, #function, #reason, #line););
        (key, registration)
    }
}
