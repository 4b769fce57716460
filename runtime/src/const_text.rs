//! Encodes texts in const generics, sixteen bytes per word, and decodes them at compile time. [`constants`] checks the
//! values that constants have, and [`decode`] reads a policy from a text.
//!
//! A policy must travel in a type, because the guard is only an argument of the handler. The attribute cannot add a
//! type beside the handler, because an `impl` block cannot contain one.

#![expect(missing_debug_implementations, unnameable_types, reason = "types without a value")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "evaluated at compile time, where a panic or an index out of bounds is an error"
)]

mod constants;
pub(crate) mod decode;

use std::marker::PhantomData;

pub use self::constants::{distinct, name_word, scope_word, service_word};

/// The value of a constant that the attribute names, encoded in words. Its maximum length is that of a service name.
pub struct Name<
    const A: u128,
    const B: u128,
    const C: u128,
    const D: u128,
    const E: u128,
    const F: u128,
    const G: u128,
    const H: u128,
    const I: u128,
    const J: u128,
    const K: u128,
    const L: u128,
    const M: u128,
    const N: u128,
    const O: u128,
    const P: u128,
    Rest = (),
>(PhantomData<fn() -> Rest>);

const NAME_WORDS: usize = 16;

const fn word(text: &str, n: usize) -> u128 {
    let bytes = text.as_bytes();
    let (mut word, mut index) = ([0; WORD], 0);
    while index < WORD && n * WORD + index < bytes.len() {
        word[index] = bytes[n * WORD + index];
        index += 1;
    }
    u128::from_be_bytes(word)
}

/// Sixty-four bytes of text, big-endian and padded with zeros, followed by `Rest`. Words that are left out are
/// padding, because each word that is written adds compile time.
pub struct Text<const A: u128, const B: u128 = 0, const C: u128 = 0, const D: u128 = 0, Rest = ()>(
    PhantomData<fn() -> Rest>,
);

const WORD: usize = 16;
/// The capacity of a buffer. The attribute accepts at most 4128 bytes in its lists, and a name.
const CAPACITY: usize = 5120;

/// A text that is encoded in a type.
pub trait TypeText: 'static {
    /// The text.
    const BUFFER: Buffer;
    /// The text with a `'static` lifetime.
    const BUFFER_REF: &'static Buffer = &Self::BUFFER;
    /// The text as a string.
    const TEXT: &'static str = Self::BUFFER_REF.as_str();
}

impl TypeText for () {
    const BUFFER: Buffer = Buffer { bytes: [0; CAPACITY], length: 0 };
}

impl<const A: u128, const B: u128, const C: u128, const D: u128, Rest: TypeText> TypeText
    for Text<A, B, C, D, Rest>
{
    const BUFFER: Buffer = Rest::BUFFER.prefixed(&[A, B, C, D]);
}

impl<
    const A: u128,
    const B: u128,
    const C: u128,
    const D: u128,
    const E: u128,
    const F: u128,
    const G: u128,
    const H: u128,
    const I: u128,
    const J: u128,
    const K: u128,
    const L: u128,
    const M: u128,
    const N: u128,
    const O: u128,
    const P: u128,
    Rest: TypeText,
> TypeText for Name<A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Rest>
{
    const BUFFER: Buffer = Rest::BUFFER.prefixed(&[A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P]);
}

/// A policy that no caller can meet: no token can have these names of a service, a role and a scope.
const NOBODY: &str = "\n\\\n\\\n\\";

/// A text that is being built at compile time.
#[derive(Copy, Clone)]
pub struct Buffer {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Buffer {
    const fn prefixed(&self, words: &[u128]) -> Self {
        let mut buffer = Self { bytes: [0; CAPACITY], length: 0 };
        let mut index = 0;
        while index < words.len() * WORD {
            let byte = words[index / WORD].to_be_bytes()[index % WORD];
            if byte != 0 {
                buffer.bytes[buffer.length] = byte;
                buffer.length += 1;
            }
            index += 1;
        }
        let mut rest = 0;
        while rest < self.length {
            buffer.bytes[buffer.length] = self.bytes[rest];
            buffer.length += 1;
            rest += 1;
        }
        buffer
    }

    const fn as_str(&'static self) -> &'static str {
        let (text, _) = self.bytes.split_at(self.length);
        match std::str::from_utf8(text) {
            Ok(text) => text,
            // The attribute writes valid text. Anything else refuses every caller.
            Err(_) => NOBODY,
        }
    }
}

#[cfg(test)]
mod tests;
