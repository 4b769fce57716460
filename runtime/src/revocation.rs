//! Refuses tokens that are valid but revoked: by their `jti`, by their service, or with
//! their key.
//!
//! A token is identified by its issuer and `jti`, never by a hash of its text. Every ECDSA signature has a
//! second form that verifies too, so one token has more than one text.

mod memory;

use std::{
    error::Error,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

pub use memory::{MemoryRevocations, RevocationsFull};

use crate::denial::{Code, Denial};

/// The verified facts about a token that a revocation store needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresentedToken<'t> {
    /// The issuer whose key signed the token.
    pub issuer: &'t str,
    /// The token's `jti`.
    pub jti: Option<&'t str>,
    /// The service that the token names.
    pub service: Option<&'t str>,
    /// The token's `iat`, in seconds since the Unix epoch. `None` if the token has none, or if its `iat` is further
    /// ahead of the verifier's clock than the leeway and [`Verifier::MAX_ISSUED_AHEAD`](crate::Verifier::MAX_ISSUED_AHEAD).
    /// Such an `iat` proves no age, so the token may be of any age.
    pub issued_at: Option<i64>,
    /// The name of the key that signed it.
    pub key_id: Option<&'t str>,
}

/// The revocation status of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationStatus {
    /// Not revoked.
    Good,
    /// Revoked by its `jti`.
    TokenRevoked,
    /// All tokens of the service that were issued up to some instant are revoked, and this is one of them.
    ServiceRevoked,
    /// Signed by a revoked key.
    KeyRevoked,
}

/// A store that knows which tokens are revoked.
///
/// The verifier calls `status` for every token, after it has checked the claims. The method must not wait for a
/// network or a disk.
pub trait RevocationStore: Send + Sync + 'static {
    /// Returns the status of a token.
    ///
    /// # Errors
    /// When the status is unknown. The verifier then refuses the token (503), unless it is configured to accept such
    /// tokens.
    fn status(&self, token: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage>;

    /// A number that changes with every change by which a valid token may become revoked, or
    /// its status unknown. While it stays the same, a verifier does not query the store again for a valid token.
    ///
    /// Every thread must see the new number before the change is complete. The default is `None`: the
    /// store is queried every time.
    fn epoch(&self) -> Option<u64> {
        None
    }
}

/// A store, and what happens during an outage of it.
pub(crate) struct Revocation {
    pub(crate) store: Box<dyn RevocationStore>,
    pub(crate) accept_on_outage: bool,
    /// Whether the current outage was already logged.
    pub(crate) is_out: AtomicBool,
}

impl Revocation {
    /// Checks a token, and returns the epoch in which it is valid; `None` if the store must be queried each time.
    pub(crate) fn check(&self, token: &PresentedToken<'_>) -> Result<Option<u64>, Denial> {
        // Read the epoch first: a change during the query then makes it an old one.
        let epoch = self.store.epoch();
        let why = match self.store.status(token) {
            Ok(RevocationStatus::Good) => {
                if self.is_out.load(Ordering::Relaxed) && self.is_out.swap(false, Ordering::Relaxed) {
                    tracing::warn!(target: "service_only", "revocation can be checked again");
                }
                return Ok(epoch);
            }
            Ok(RevocationStatus::TokenRevoked) => "the token is revoked",
            Ok(RevocationStatus::ServiceRevoked) => "the service's tokens of this age are revoked",
            Ok(RevocationStatus::KeyRevoked) => "the key that signed the token is revoked",
            Err(outage) => {
                // Log once, and not for every request during the outage. A refusal has its reason in its record,
                // but an accepted token has only this log.
                if !self.is_out.swap(true, Ordering::Relaxed) {
                    let lets_in = self.accept_on_outage;
                    tracing::error!(target: "service_only", %outage, lets_in, "revocation cannot be checked");
                }
                if self.accept_on_outage {
                    return Ok(None);
                }
                let reason = format!("revocation cannot be checked: {outage}");
                return Err(Denial::new(Code::RevocationUnavailable, reason));
            }
        };
        Err(Denial::new(Code::Revoked, why))
    }

    /// Checks a token that was valid in the epoch `since`. The store is queried again only if something has
    /// changed, or if the token's `iat` proves no age now. In that case the `iat` may have proven one earlier, by a
    /// clock that was set back since. In the opposite case the result stays valid, since a store refuses more
    /// without an age.
    pub(crate) fn check_since<'t>(
        &self,
        since: Option<u64>,
        proves_its_age: bool,
        token: impl FnOnce() -> PresentedToken<'t>,
    ) -> Result<Option<u64>, Denial> {
        if since.is_some() && proves_its_age && since == self.store.epoch() {
            return Ok(since);
        }
        self.check(&token())
    }
}

impl<R: RevocationStore + ?Sized> RevocationStore for std::sync::Arc<R> {
    fn status(&self, token: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        (**self).status(token)
    }

    fn epoch(&self) -> Option<u64> {
        (**self).epoch()
    }
}

/// The error of a store that cannot answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationOutage(String);

impl RevocationOutage {
    /// Creates an outage with its reason, for the operator.
    pub fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for RevocationOutage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for RevocationOutage {}
