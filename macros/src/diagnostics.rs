//! All error messages of the crate.
//!
//! A message states the mistake at its exact token, and the next step. The stages collect mistakes and continue, so the
//! compiler reports all mistakes of an attribute together.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Error, Path};

mod entries;
mod items;
mod public;
mod similar;
mod values;

pub(crate) use entries::*;
pub(crate) use items::*;
pub(crate) use public::*;
pub(crate) use values::*;

/// The mistakes found so far.
#[derive(Default)]
pub(crate) struct Diagnostics(Option<Error>);

impl Diagnostics {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// One `compile_error!` for each mistake.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0.map(Error::into_compile_error).unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn into_errors(self) -> Vec<Error> {
        self.0.into_iter().flatten().collect()
    }
}

fn at(tokens: &[TokenTree], message: String) -> Error {
    Error::new_spanned(quote!(#(#tokens)*), message)
}

/// At the tokens, or at the name where there are none.
fn at_or(tokens: &[TokenTree], name: &Ident, message: String) -> Error {
    if tokens.is_empty() { Error::new(name.span(), message) } else { at(tokens, message) }
}

/// A path as a developer writes it.
fn written(path: &Path) -> String {
    path.to_token_stream().to_string().replace(' ', "")
}

#[cfg(test)]
pub(crate) mod tests;
