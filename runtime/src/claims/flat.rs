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
    let mut rest = std::str::from_utf8(payload).ok()?.strip_prefix("{\"")?;
    let mut seen = Seen::default();
    loop {
        let (name, after) = until_quote(rest)?;
        let after = after.strip_prefix(':')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(text) => {
                let (text, after) = until_quote(text)?;
                (Scalar::Text(text), after)
            }
            None => Scalar::bare(after)?,
        };
        match ClaimName::of(name) {
            Some(known) => {
                seen.known(known).ok()?;
                claims.set_flat(known, value)?;
            }
            None => seen.other(Cow::Borrowed(name)).ok()?,
        }
        match after.strip_prefix(",\"") {
            Some(next) => rest = next,
            None => return (after == "}").then_some(()),
        }
    }
}

/// Printable ASCII without a backslash.
fn is_plain(payload: &[u8]) -> bool {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') & (*byte != b'\\');
    // Without a way out at each byte, so that the compiler looks at many at once.
    payload.iter().fold(true, |all, byte| all & plain(byte))
}

/// What stands before the next quote, and what after it.
fn until_quote(text: &str) -> Option<(&str, &str)> {
    let (words, rest) = text.as_bytes().as_chunks();
    let mut before = 0;
    for word in words {
        let quotes = quotes(*word);
        if quotes != 0 {
            return around(text, before + quotes.trailing_zeros() as usize / 8);
        }
        before += WORD;
    }
    around(text, before + rest.iter().position(|byte| *byte == b'"')?)
}

fn around(text: &str, quote: usize) -> Option<(&str, &str)> {
    let (before, after) = text.split_at_checked(quote)?;
    Some((before, after.get(1..)?))
}

/// Bytes that are looked at together: texts are short, and a call into a search that looks at more would
/// cost more than it finds.
const WORD: usize = 8;

/// The highest bit of every byte that is a quote. Only for ASCII: so no byte of the sum carries into the
/// next.
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
    /// `true`, `false` or a whole number, and what follows it.
    fn bare(text: &'p str) -> Option<(Self, &'p str)> {
        if let Some(after) = text.strip_prefix("true") {
            return Some((Self::Bool(true), after));
        }
        if let Some(after) = text.strip_prefix("false") {
            return Some((Self::Bool(false), after));
        }
        let end = text.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, after) = text.split_at_checked(end)?;
        Some((Self::Number(whole(digits)?), after))
    }
}

/// `0`, or digits that do not start with one (RFC 8259 section 6).
#[expect(clippy::cast_precision_loss, reason = "a double holds every number of so many digits")]
fn whole(digits: &str) -> Option<f64> {
    let lawful = digits == "0" || !digits.starts_with('0');
    if digits.is_empty() || digits.len() > MAX_DIGITS || !lawful {
        return None;
    }
    let number = digits.bytes().fold(0_u64, |number, digit| number * 10 + u64::from(digit & 0xf));
    Some(number as f64)
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
