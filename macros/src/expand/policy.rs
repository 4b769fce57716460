//! The type of a guard: the policy, said in const generics, and the handler's registration.
//!
//! A type needs no item beside the function, so one expansion serves free functions and `impl` blocks. The
//! registration stands inside of a const argument, the one place of a signature that takes items. The tokens
//! are spanned at the attribute, so that is where the compiler shows what is wrong with the guard.

use std::time::Duration;

use proc_macro2::{Ident, Literal, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;

use super::key::SiteKey;
use super::text;
use crate::check::{Policy, Public};

/// Where a function stands, and the path of the crate `service_only` there.
pub(super) struct Place<'a> {
    name: &'a Ident,
    ty: Option<&'a Ident>,
    pub(super) private: Private,
}

/// The path of all that may be named. By tokens: a stream within a stream is a call to the compiler each time.
pub(super) struct Private(Vec<TokenTree>);

impl ToTokens for Private {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.0.iter().cloned());
    }
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
        Self { name, ty, private: Private(private.into_iter().collect()) }
    }

    /// The function as the list of endpoints names it.
    fn function(&self) -> String {
        let name = self.name.unraw();
        self.ty.map_or_else(|| name.to_string(), |ty| format!("{}::{name}", ty.unraw()))
    }

    /// The numbers that the runtime's `Head` takes apart, in one const argument, since each costs the compiler.
    fn head(&self, asks: &str, max_age: Option<Duration>) -> Literal {
        let key = SiteKey::of(self.name, asks).number();
        let line = u32::try_from(self.name.span().start().line).unwrap_or_default();
        // The longest age that the attribute takes is far below; the largest number means any.
        let seconds = |age: Duration| u32::try_from(age.as_secs()).unwrap_or(u32::MAX - 1);
        let max_age = max_age.map_or(u32::MAX, seconds);
        let head = u128::from(key) << 64 | u128::from(line) << 32 | u128::from(max_age);
        Literal::u128_unsuffixed(head)
    }

    /// `Guard<Site<HEAD, Text>>`, and where it is the only argument `Guard<Site<HEAD, Text>, true>`.
    pub(super) fn guard_type(&self, policy: &Policy, is_alone: bool) -> TokenStream {
        let (private, site) = (&self.private, self.site_type(policy));
        let alone = is_alone.then(|| quote!(, true));
        quote!(#private::Guard<#site #alone>)
    }

    /// `Site<HEAD, Text>`.
    pub(super) fn site_type(&self, policy: &Policy) -> TokenStream {
        let private = &self.private;
        let text = [&self.function(), &policy.services, &policy.roles, &policy.scopes];
        let mut text = text.map(String::as_str).join("\n");
        // Most handlers ask for none, and each word costs the compiler.
        if !policy.issuers.is_empty() {
            text.push('\n');
            text.push_str(&policy.issuers);
        }
        let head = self.head(&text, policy.max_age);
        let words = text::of(&text, private);
        quote!(#private::Site<{ #private::register_guarded!(#head, #text); #head }, #words>)
    }

    /// `Public<OpenSite<HEAD, Text>>`.
    pub(super) fn public_type(&self, public: &Public) -> TokenStream {
        let private = &self.private;
        let (head, registration) = self.registration(public);
        let words = text::of(&self.function(), private);
        quote!(#private::Public<#private::OpenSite<{ #registration #head }, #words>>)
    }

    /// The statement that lists a public function, for a body.
    pub(super) fn public_statement(&self, public: &Public) -> TokenStream {
        self.registration(public).1
    }

    fn registration(&self, public: &Public) -> (Literal, TokenStream) {
        let private = &self.private;
        let (function, reason) = (self.function(), &public.reason);
        let head = self.head(reason, None);
        let registration = quote!(#private::register_public!(#head, #function, #reason););
        (head, registration)
    }
}
