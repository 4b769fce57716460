//! The scopes of a token.

use std::{error::Error, fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// The scopes of a token: the `scope` claim, a string separated by spaces (RFC 8693 section 4.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    text: String,
    /// Whether the text is exactly one scope, as it often is.
    is_one: bool,
}

impl Scopes {
    /// The maximum number of scopes in one token. More is a mistake of the issuer, and each costs one comparison per
    /// scope that a handler requires.
    pub const MAX: usize = 256;

    /// Whether `scope` is among them, byte for byte.
    pub fn contains(&self, scope: &str) -> bool {
        if self.is_one {
            return self.text == scope;
        }
        // This runs for each request, so it avoids `iter`, which splits a text byte by byte.
        let (scope, mut rest) = (scope.as_bytes(), self.text.as_bytes());
        loop {
            let end = memchr::memchr(b' ', rest);
            let (held, more) = rest.split_at(end.unwrap_or(rest.len()));
            if !held.is_empty() && held == scope {
                return true;
            }
            match more.split_first() {
                Some((_space, more)) => rest = more,
                None => return false,
            }
        }
    }

    /// The scopes, in the token's order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split(' ').filter(|scope| !scope.is_empty())
    }

    /// Whether the token has no scope.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl FromStr for Scopes {
    type Err = InvalidScope;

    fn from_str(scopes: &str) -> Result<Self, InvalidScope> {
        let spaces = scopes.bytes().filter(|byte| *byte == b' ').count();
        let valid = scopes.bytes().all(|byte| byte == b' ' || is_scope_byte(byte)) && spaces < Scopes::MAX;
        let is_one = spaces == 0 && !scopes.is_empty();
        if valid { Ok(Self { text: scopes.to_owned(), is_one }) } else { Err(InvalidScope) }
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// The error for a text that is not a list of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a value without fields")]
pub struct InvalidScope;

impl fmt::Display for InvalidScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a scope is printable ASCII without space, `\"` and `\\` (RFC 6749 section 3.3), \
             and a token has at most {}",
            Scopes::MAX
        )
    }
}

impl Error for InvalidScope {}

/// Whether a scope may have this byte: `scope-token = 1*( %x21 / %x23-5B / %x5D-7E )` of RFC 6749 section 3.3.
pub(crate) fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}
