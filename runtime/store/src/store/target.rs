//! The target of a revocation, and its columns.

use service_only::clock::Timestamp;

/// What a revocation revokes: a token, a service's tokens or a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a program that ignores a kind of revocation accepts revoked tokens"
)]
pub enum RevocationTarget {
    /// One token.
    Token {
        /// Its `jti`.
        jti: String,
        /// Its `exp`; the store deletes the revocation some time after it.
        expires_at: Timestamp,
    },
    /// All tokens of a service that were issued up to and including a second.
    Service {
        /// Its name.
        service: String,
        /// An instant in that second.
        issued_by: Timestamp,
    },
    /// All tokens that a key signed.
    Key {
        /// Its key id.
        kid: String,
    },
}

impl RevocationTarget {
    pub(crate) fn from_columns(kind: &str, name: String, until: Option<i64>) -> Option<Self> {
        match (kind, until.map(Timestamp::from_unix)) {
            ("token", Some(expires_at)) => Some(Self::Token { jti: name, expires_at }),
            ("service", Some(issued_by)) => Some(Self::Service { service: name, issued_by }),
            ("key", None) => Some(Self::Key { kid: name }),
            _ => None,
        }
    }

    pub(crate) fn columns(&self) -> (&'static str, &str, Option<i64>) {
        match self {
            Self::Token { jti, expires_at } => ("token", jti, Some(expires_at.unix())),
            Self::Service { service, issued_by } => ("service", service, Some(issued_by.unix())),
            Self::Key { kid } => ("key", kid, None),
        }
    }
}
