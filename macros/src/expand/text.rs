//! Text as a type, since a `&str` cannot be a const generic on stable Rust.
//!
//! `Text<A, B, C, D, Rest>` holds 64 bytes in four big-endian words, padded with zeros; what is longer goes on
//! in `Rest`. Words of zeros at the end are left out. No text at all is `()`.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote};

pub(super) const WORD_BYTES: usize = 16;
const NODE_BYTES: usize = 4 * WORD_BYTES;

pub(super) fn of(text: &str, private: &impl ToTokens) -> TokenStream {
    let nodes = text.as_bytes().chunks(NODE_BYTES).rev();
    let nested = nodes.fold(None, |rest: Option<TokenStream>, node| {
        let words = (0..node.len().div_ceil(WORD_BYTES)).map(|n| Literal::u128_unsuffixed(word(node, n)));
        let rest = rest.into_iter();
        Some(quote!(#private::Text<#(#words),* #(, #rest)*>))
    });
    nested.unwrap_or_else(|| quote!(()))
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
