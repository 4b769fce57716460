//! Text as a type, since a `&str` cannot be a const generic on stable Rust.
//!
//! `Text<A, B, C, D, Rest>` holds 64 bytes in four big-endian words, padded with zeros. Longer text continues in
//! `Rest`. Trailing zero words are omitted, and empty text is `()`. Example: `"list"` is
//! `Text<0x6c697374_00000000_00000000_00000000>`.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;

use super::private::Private;
use crate::check::{CONSTANT, Constant};
use crate::rules::Key;

pub(crate) const WORD_BYTES: usize = 16;
const NODE_BYTES: usize = 4 * WORD_BYTES;
/// The words of a constant. A service name has at most 253 bytes, which fit into 16 words of 16 bytes.
const NAME_WORDS: usize = 16;

pub(crate) fn of(text: &str, private: &impl ToTokens) -> TokenStream {
    nodes(text, None, private).unwrap_or_else(|| quote!(()))
}

/// The same for a text with constants, marked by [`CONSTANT`]. Each constant becomes a `Name<..>`, whose words the
/// compiler evaluates. The words have the span of the constant in the attribute, so errors in them point there.
pub(crate) fn with_constants(text: &str, constants: &[Constant], private: &Private) -> TokenStream {
    let mut pieces = text.split(CONSTANT).rev();
    let nested = pieces.next().and_then(|last| nodes(last, None, private));
    let nested = pieces.zip(constants.iter().rev()).fold(nested, |rest, (before, Constant { key, path })| {
        let word = match key {
            Key::Services => quote_spanned!(path.span()=> service_word),
            Key::Scopes | Key::AnyScope => quote_spanned!(path.span()=> scope_word),
            _ => quote_spanned!(path.span()=> name_word),
        };
        let (place, at_constant) = (path.span(), private.at(path.span()));
        let words = (0..NAME_WORDS).map(|n| {
            let n = Literal::usize_unsuffixed(n);
            quote_spanned!(place=> { #at_constant::#word(#path, #n) })
        });
        let rest = rest.into_iter();
        nodes(before, Some(quote!(#private::Name<#(#words),* #(, #rest)*>)), private)
    });
    nested.unwrap_or_else(|| quote!(()))
}

fn nodes(text: &str, rest: Option<TokenStream>, private: &impl ToTokens) -> Option<TokenStream> {
    let nodes = text.as_bytes().chunks(NODE_BYTES).rev();
    nodes.fold(rest, |rest, node| {
        let count = node.len().div_ceil(WORD_BYTES);
        // Trailing words are only omitted in the last node.
        let count = if rest.is_some() { NODE_BYTES / WORD_BYTES } else { count };
        let words = (0..count).map(|n| Literal::u128_unsuffixed(word(node, n)));
        let rest = rest.into_iter();
        Some(quote!(#private::Text<#(#words),* #(, #rest)*>))
    })
}

/// The n-th 16 bytes, padded with zeros.
fn word(text: &[u8], n: usize) -> u128 {
    let mut word = [0; WORD_BYTES];
    let bytes = text.iter().skip(n * WORD_BYTES);
    for (slot, byte) in word.iter_mut().zip(bytes) {
        *slot = *byte;
    }
    u128::from_be_bytes(word)
}

#[cfg(test)]
mod tests;
