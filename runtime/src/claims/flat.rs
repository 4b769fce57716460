//! A payload as it nearly always is: one object without nesting, white space or escapes, in printable
//! ASCII. It is read in one pass from quote to quote; whatever is not such a payload is left to the reader
//! in `json`, and so is every refusal.
//!
//! Nothing is accepted here that the other reader refuses, and what is read is the same: the tests hold
//! each against the other.

use std::borrow::Cow;

use super::{ClaimName, RawClaims};
use crate::json::{Name, Seen, Value};

/// Digits of a whole number that a double holds exactly, whatever they are.
const MAX_DIGITS: usize = 15;

/// Reads the claims, if the payload is one of these. `None` says nothing about it, and leaves claims that
/// mean nothing.
pub(super) fn read<'p>(payload: &'p [u8], claims: &mut RawClaims<'p>) -> Option<()> {
    if !is_plain(payload) {
        return None;
    }
    let mut pieces = Pieces::of(std::str::from_utf8(payload).ok()?);
    let mut seen = Seen::default();
    if pieces.next()? != "{" {
        return None;
    }
    loop {
        let name = pieces.next()?;
        let between = pieces.next()?;
        // A text stands between two quotes of its own, anything else between the name and the next one.
        let (value, after) = match between {
            ":" => (Scalar::Text(pieces.next()?), pieces.next()?),
            _ => Scalar::bare(between)?,
        };
        match ClaimName::of(name) {
            Some(known) => {
                seen.known(known).ok()?;
                claims.set_flat(known, value)?;
            }
            None => seen.other(Cow::Borrowed(name)).ok()?,
        }
        match after {
            "," => {}
            "}" => return pieces.ended().then_some(()),
            _ => return None,
        }
    }
}

/// Printable ASCII without a backslash.
fn is_plain(payload: &[u8]) -> bool {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') & (*byte != b'\\');
    // Without a way out at each byte, so that the compiler looks at many at once.
    payload.iter().fold(true, |all, byte| all & plain(byte))
}

/// The text from quote to quote. Eight bytes are looked at together: texts are short, and a search begun
/// anew for each would cost more than it finds.
struct Pieces<'p> {
    text: &'p str,
    words: std::slice::Iter<'p, [u8; WORD]>,
    rest: &'p [u8],
    /// The highest bit of every byte of the current word that is a quote.
    quotes: u64,
    /// Where the current word ends.
    end: usize,
    /// Where the next piece begins.
    at: usize,
}

const WORD: usize = 8;

impl<'p> Pieces<'p> {
    fn of(text: &'p str) -> Self {
        let (words, rest) = text.as_bytes().as_chunks();
        Self { text, words: words.iter(), rest, quotes: 0, end: 0, at: 0 }
    }

    fn next(&mut self) -> Option<&'p str> {
        while self.quotes == 0 {
            let word = match self.words.next() {
                Some(word) => *word,
                None if self.rest.is_empty() => return self.last(),
                None => {
                    let mut word = [0; WORD];
                    word.iter_mut().zip(std::mem::take(&mut self.rest)).for_each(|(to, from)| *to = *from);
                    word
                }
            };
            self.quotes = quotes(word);
            self.end += WORD;
        }
        let quote = self.end - WORD + self.quotes.trailing_zeros() as usize / 8;
        self.quotes &= self.quotes - 1;
        let piece = self.text.get(self.at..quote);
        self.at = quote + 1;
        piece
    }

    /// What follows the last quote, once.
    fn last(&mut self) -> Option<&'p str> {
        let piece = self.text.get(self.at..);
        self.at = self.text.len() + 1;
        piece
    }

    fn ended(&self) -> bool {
        self.at > self.text.len()
    }
}

/// Only for ASCII: so no byte of a sum below carries into the next.
fn quotes(word: [u8; WORD]) -> u64 {
    const HIGHEST: u64 = u64::from_le_bytes([0x80; WORD]);
    let unlike = u64::from_le_bytes(word) ^ u64::from_le_bytes([b'"'; WORD]);
    !(unlike + (HIGHEST - u64::from_le_bytes([1; WORD]))) & HIGHEST
}

enum Scalar<'p> {
    Text(&'p str),
    Bool(bool),
    Number(f64),
}

impl<'p> Scalar<'p> {
    /// `:VALUE,` or `:VALUE}`: the value, and what follows it.
    fn bare(between: &'p str) -> Option<(Self, &'p str)> {
        let (value, after) = between.strip_prefix(':')?.split_at_checked(between.len().checked_sub(2)?)?;
        let value = match value {
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            digits => Self::Number(whole(digits)?),
        };
        Some((value, after))
    }
}

/// `0`, or digits that do not start with one (RFC 8259 section 6).
#[expect(clippy::cast_precision_loss, reason = "a double holds every number of so many digits")]
fn whole(digits: &str) -> Option<f64> {
    let lawful = digits == "0" || !digits.starts_with('0');
    if digits.is_empty() || digits.len() > MAX_DIGITS || !lawful {
        return None;
    }
    let digit = |number: u64, byte: u8| {
        byte.is_ascii_digit().then(|| number.wrapping_mul(10).wrapping_add(u64::from(byte & 0xf)))
    };
    digits.bytes().try_fold(0, digit).map(|number| number as f64)
}

impl<'p> RawClaims<'p> {
    /// `None` for a value that makes the claim worth a refusal.
    fn set_flat(&mut self, name: ClaimName, value: Scalar<'p>) -> Option<()> {
        match (name, value) {
            (ClaimName::Exp, Scalar::Number(number)) => self.exp = Some(number),
            (ClaimName::Nbf, Scalar::Number(number)) => self.nbf = Some(number),
            (ClaimName::Iat, Scalar::Number(number)) => self.iat = Some(number),
            (ClaimName::Exp | ClaimName::Nbf | ClaimName::Iat | ClaimName::Kubernetes, _) => return None,
            (_, value) => self.set(name, value.into()).ok()?,
        }
        Some(())
    }
}

impl<'p> From<Scalar<'p>> for Value<'p> {
    fn from(scalar: Scalar<'p>) -> Self {
        match scalar {
            Scalar::Text(text) => Self::Text(Cow::Borrowed(text)),
            Scalar::Bool(value) => Self::Bool(value),
            Scalar::Number(_) => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests;
