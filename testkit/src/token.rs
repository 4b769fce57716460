//! A minted token and its parts, readable in a failing assertion.

use std::{fmt, ops::Deref};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;

/// A token of a test. It dereferences to its text.
///
/// `Debug` prints the decoded header and claims, because a failing test is about them; `Display` prints the
/// text. The text is not a secret, because the key is discarded after the test.
///
/// ```
/// use service_only_testkit::TestAuthority;
///
/// let token = TestAuthority::new().service("orders").token();
/// assert_eq!(token.header()["alg"], "ES256");
/// assert_eq!(token.claims()["service"], "orders");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct FixtureToken(String);

impl FixtureToken {
    /// Wraps a token, or any text to send as a token.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text of the token.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The header, or null if it cannot be read.
    pub fn header(&self) -> Value {
        self.segment(0)
    }

    /// The claims, or null if they cannot be read.
    pub fn claims(&self) -> Value {
        self.segment(1)
    }

    fn segment(&self, index: usize) -> Value {
        let json = self.0.split('.').nth(index).and_then(|segment| URL_SAFE_NO_PAD.decode(segment).ok());
        json.and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or(Value::Null)
    }
}

impl Deref for FixtureToken {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for FixtureToken {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<FixtureToken> for String {
    fn from(token: FixtureToken) -> Self {
        token.0
    }
}

impl fmt::Display for FixtureToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FixtureToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.len();
        let mut token = f.debug_struct("FixtureToken");
        token.field("header", &format_args!("{}", self.header()));
        token.field("claims", &format_args!("{}", self.claims())).field("length", &length).finish()
    }
}
