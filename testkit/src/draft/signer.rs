//! The signer of a token, and the tolerated difference between the clocks.

use std::{fmt, sync::Arc};

use aws_lc_rs::hmac;
use service_only::{Algorithm, issue::SigningKey};

use crate::fail::OrFail;

/// The signer of a token.
#[derive(Clone)]
pub(crate) enum Signer {
    /// Leaves the signature empty.
    Nobody,
    Key(Arc<SigningKey>),
    /// HMAC with any bytes, which need not be secret.
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

/// How far a verifier's times may differ from the authority's clock, in seconds. Classes about time
/// boundaries keep this distance.
#[derive(Debug, Copy, Clone, Default)]
pub(crate) struct Tolerance {
    /// How long an expired token stays valid.
    pub(crate) past: i64,
    /// How early a token may arrive.
    pub(crate) future: i64,
}

impl Tolerance {
    /// Whether the verifier uses the authority's fixed clock, so that a test can hit an exact second.
    pub(crate) fn is_exact(self) -> bool {
        self.past == self.future
    }
}
