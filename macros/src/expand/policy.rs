//! The type of a guard. Its const generics carry the policy, and one of them registers the handler.
//!
//! A struct with the policy next to the function would not work in an `impl` block, which cannot contain one. So the
//! type carries the policy itself. A const argument is the only part of a signature that can contain items, so the
//! registration is in one. The tokens have the span of the attribute, and errors about the guard point there.

use std::time::Duration;

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;

use super::private::Private;
use super::{key, text};
use crate::check::{Admits, CONSTANT, Policy, Public};
use crate::item::{Function, argument};

/// The name of a function, its type if it is a method, and the path of the crate `service_only`.
pub(crate) struct Place<'a> {
    name: &'a Ident,
    ty: Option<&'a Ident>,
    pub(crate) private: Private,
}

/// The hidden argument of a handler.
pub(crate) struct Hidden {
    pub(crate) ty: TokenStream,
    /// The same type for the body. It contains only the number that no other handler of the crate has, and the
    /// compiler infers the rest. So no constant is evaluated twice.
    pub(crate) known_by: TokenStream,
}

impl<'a> Place<'a> {
    /// A function. Its attribute cannot see whether it is in an `impl` block.
    pub(crate) fn of(name: &'a Ident, krate: Option<&TokenStream>) -> Self {
        Self::within(None, name, krate)
    }

    /// A method of a type.
    pub(crate) fn within(ty: Option<&'a Ident>, name: &'a Ident, krate: Option<&TokenStream>) -> Self {
        let private = match krate {
            Some(path) => quote!(#path::__private),
            None => quote!(::service_only::__private),
        };
        Self { name, ty, private: Private(private.into_iter().collect()) }
    }

    /// The name for the list of endpoints.
    fn function(&self) -> String {
        let name = self.name.unraw();
        self.ty.map_or_else(|| name.to_string(), |ty| format!("{}::{name}", ty.unraw()))
    }

    /// Seed, line and maximum age in one number, which the runtime's `Head` splits. One const argument compiles faster
    /// than three.
    fn head(&self, asks: &str, max_age: Option<Duration>) -> Literal {
        let seed = key::seed(self.name, asks);
        let line = u32::try_from(self.name.span().start().line).unwrap_or_default();
        // `u32::MAX` means any age. The attribute accepts no age near it.
        let seconds = |age: Duration| u32::try_from(age.as_secs()).unwrap_or(u32::MAX - 1);
        let max_age = max_age.map_or(u32::MAX, seconds);
        let head = u128::from(seed) << 64 | u128::from(line) << 32 | u128::from(max_age);
        Literal::u128_unsuffixed(head)
    }

    /// `Guard<Site<HEAD, KEY, Text>>`.
    pub(crate) fn guard(&self, policy: &Policy, function: &Function) -> Hidden {
        let private = &self.private;
        let next = next(function);
        let (head, site) = self.site(policy, next.as_ref());
        let known_by = known_by(next.as_ref());
        Hidden {
            ty: quote!(#private::Guard<#site>),
            known_by: quote!(#private::Guard<#private::Site<#head, #known_by>>),
        }
    }

    /// `Site<HEAD, KEY, Text>`.
    pub(crate) fn site_type(&self, policy: &Policy) -> TokenStream {
        self.site(policy, None).1
    }

    fn site(&self, policy: &Policy, next: Option<&TokenStream>) -> (Literal, TokenStream) {
        let private = &self.private;
        let lines = lines(policy);
        let text =
            std::iter::once(self.function()).chain(lines.iter().cloned()).collect::<Vec<_>>().join("\n");
        let paths = policy.constants.iter().map(|constant| constant.path.to_token_stream().to_string());
        let asks = std::iter::once(text.clone()).chain(paths).collect::<Vec<_>>().join("\n");
        let head = self.head(&asks, policy.max_age);
        let next = next.map(|next| quote!(, #next));
        let (words, registration) = if policy.constants.is_empty() {
            (text::of(&text, private), quote!(#private::register_guarded!(#head, #text)))
        } else {
            let words = text::with_constants(&text, &policy.constants, private);
            (words, self.registration_of_lists(&head, policy, &lines))
        };
        let site = quote!(#private::Site<#head, { #registration }, #words #next>);
        (head, site)
    }

    /// The policy as lists, for the list of endpoints. Only the compiler knows the values of constants, so it also checks
    /// that no list has a value twice.
    fn registration_of_lists(&self, head: &Literal, policy: &Policy, lines: &[String]) -> TokenStream {
        let (private, function) = (&self.private, self.function());
        let place = policy.constants.first().map_or_else(Span::call_site, |constant| constant.path.span());
        let at_constant = private.at(place);
        let mut constants = policy.constants.iter().map(|constant| constant.path.to_token_stream());
        let mut list = |text: &String| {
            let names = text.split(' ').filter(|name| !name.is_empty());
            let names = names.filter_map(|name| match name.contains(CONSTANT) {
                true => constants.next(),
                false => Some(name.to_token_stream()),
            });
            let names: Vec<_> = names.collect();
            quote!(&[#(#names),*])
        };
        let lists: Vec<_> = lines.iter().map(&mut list).collect();
        let distinct = quote_spanned!(place=> const _: () = #at_constant::distinct(&[#(#lists),*]););
        quote!(#distinct #private::register_guarded!(#head, #function, #(#lists),*))
    }

    /// `Public<OpenSite<HEAD, KEY, Text>>`.
    pub(crate) fn public(&self, public: &Public, function: &Function) -> Hidden {
        let private = &self.private;
        let (head, registration) = self.registration(public);
        let words = text::of(&self.function(), private);
        let next = next(function);
        let known_by = known_by(next.as_ref());
        let next = next.map(|next| quote!(, #next));
        Hidden {
            ty: quote!(#private::Public<#private::OpenSite<#head, { #registration }, #words #next>>),
            known_by: quote!(#private::Public<#private::OpenSite<#head, #known_by>>),
        }
    }

    /// The statement that registers a public function from its body.
    pub(crate) fn public_statement(&self, public: &Public) -> TokenStream {
        let registration = self.registration(public).1;
        quote!(const _: ::core::primitive::u64 = #registration;)
    }

    fn registration(&self, public: &Public) -> (Literal, TokenStream) {
        let private = &self.private;
        let (function, reason) = (self.function(), &public.reason);
        let head = self.head(reason, None);
        let registration = quote!(#private::register_public!(#head, #function, #reason));
        (head, registration)
    }
}

/// The lines of a policy after the function's name, in the order that the runtime's `Site` reads. The lines of services
/// or of users come first, then who is admitted, then the lines of users beside services.
fn lines(policy: &Policy) -> Vec<String> {
    let lists = |policy: &Policy| {
        let Policy { services, roles, scopes, issuers, any_scope, claims, actors, proof, .. } = policy;
        [services, roles, scopes, issuers, any_scope, claims, actors, proof].map(String::clone)
    };
    let mut lines = lists(policy).to_vec();
    match &policy.admits {
        Admits::Services => {}
        Admits::Users => lines.push("users".to_owned()),
        Admits::Both(users) => {
            lines.push("both".to_owned());
            lines.extend(lists(users));
            lines.push(users.max_age.map(|age| age.as_secs().to_string()).unwrap_or_default());
        }
    }
    // Most handlers have only the first three, and each word costs compile time.
    while lines.len() > 3 && lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// The type of the argument after the hidden one, if the type can be written a second time.
fn next(function: &Function) -> Option<TokenStream> {
    function.arguments().first().and_then(argument::named_type).map(ToTokens::into_token_stream)
}

/// The parameters of a site that the compiler infers.
fn known_by(next: Option<&TokenStream>) -> TokenStream {
    let next = next.map(|_| quote!(, _));
    quote!(_, _ #next)
}
