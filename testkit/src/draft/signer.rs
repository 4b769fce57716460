//! Who signs a token, and how far the clocks of its verifier may be apart.

use std::{fmt, sync::Arc};

use aws_lc_rs::hmac;
use service_only::{Algorithm, issue::SigningKey};

use crate::fail::OrFail;

/// Who signs.
#[derive(Clone)]
pub(crate) enum Signer {
    /// Leaves the signature empty.
    Nobody,
    Key(Arc<SigningKey>),
    /// HMAC with bytes that need be no secret.
    Secret(Algorithm, Vec<u8>),
}

impl Signer {
    #[track_caller]
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Nobody => Vec::new(),
            Self::Key(key) => key.sign(message).or_fail("the signature of a token"),
            Self::Secret(algorithm, secret) => hmac(*algorithm, secret, message),
        }
    }
}

/// HMAC with a key of any length, which no issuer would use.
fn hmac(algorithm: Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let algorithm = match algorithm {
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(algorithm, secret), message).as_ref().to_vec()
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("Nobody"),
            Self::Key(key) => key.fmt(f),
            Self::Secret(algorithm, _) => write!(f, "Secret({algorithm})"),
        }
    }
}

/// How far a verifier's times may be from the authority's clock, in seconds: what the classes about
/// the boundaries of time keep clear of.
#[derive(Debug, Copy, Clone, Default)]
pub(crate) struct Tolerance {
    /// How long an expired token lives on.
    pub(crate) past: i64,
    /// How early a token may come.
    pub(crate) future: i64,
}

impl Tolerance {
    /// Whether the verifier's clock stands still with the authority's, so that one second can be hit.
    pub(crate) fn is_exact(self) -> bool {
        self.past == self.future
    }
}
