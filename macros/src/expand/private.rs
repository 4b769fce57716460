//! The path of the hidden module that generated code names.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;

/// The path of the module `__private` in the runtime. As tokens, because inserting a `TokenStream` into another calls
/// the compiler each time.
pub(crate) struct Private(pub(crate) Vec<TokenTree>);

impl Private {
    /// The same path with another span.
    pub(crate) fn at(&self, place: Span) -> Self {
        let moved = |token: &TokenTree| {
            let mut token = token.clone();
            token.set_span(token.span().located_at(place));
            token
        };
        Self(self.0.iter().map(moved).collect())
    }
}

impl ToTokens for Private {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.0.iter().cloned());
    }
}
