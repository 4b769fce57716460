//! Tokens that are refused although nothing is wrong with them: revoked by name, by service, or with
//! their key.
//!
//! A token is named by its issuer and `jti`, never by a hash of its text: an ECDSA signature has a
//! twin that verifies too, so one token has more than one text.

mod memory;

use std::{
    error::Error,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

pub use memory::{MAX_REVOCATIONS, MemoryRevocations, RevocationsFull};

use crate::denial::{Code, Denial};

/// What a store is asked about. The claims are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresentedToken<'t> {
    /// The issuer whose key signed it.
    pub issuer: &'t str,
    /// Its `jti`.
    pub jti: Option<&'t str>,
    /// The service that it names.
    pub service: Option<&'t str>,
    /// Its `iat`, in seconds since the Unix epoch. `None` where the token has none, or one that proves no age because
    /// it is further ahead of the verifier's clock than the leeway and
    /// [`MAX_ISSUED_AHEAD`](crate::verifier::MAX_ISSUED_AHEAD). Such a token may be as old as any.
    pub issued_at: Option<i64>,
    /// The key that signed it.
    pub key_id: Option<&'t str>,
}

/// What a store knows of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationStatus {
    /// Nothing speaks against it.
    Good,
    /// Revoked by its `jti`.
    TokenRevoked,
    /// Issued before an instant up to which all tokens of the service are revoked.
    ServiceRevoked,
    /// Signed by a revoked key.
    KeyRevoked,
}

/// Knows which tokens are revoked.
///
/// `status` is asked for every token, after its claims were checked: it must not wait for a network
/// or a disk.
pub trait RevocationStore: Send + Sync + 'static {
    /// What is known of a token.
    ///
    /// # Errors
    /// When it cannot be known. What that means is the verifier's setting; it refuses (503) unless
    /// told otherwise.
    fn status(&self, token: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage>;

    /// A number that is another one after every change by which a good token may have become revoked, or
    /// its status unknown. While it stays, a verifier does not ask again about a token that was good.
    ///
    /// It must change before the change is done, in the eyes of every thread. Left out, it is `None`: the
    /// store is asked every time.
    fn epoch(&self) -> Option<u64> {
        None
    }
}

/// A store, and what its outage means.
pub(crate) struct Revocation {
    pub(crate) store: Box<dyn RevocationStore>,
    pub(crate) accept_on_outage: bool,
    /// Whether the outage was told of already.
    pub(crate) is_out: AtomicBool,
}

impl Revocation {
    /// The epoch that the token is good in, if it is good; `None` where it must be asked for each time.
    pub(crate) fn check(&self, token: &PresentedToken<'_>) -> Result<Option<u64>, Denial> {
        // Read first: what changes while the store answers makes it an old one.
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
                // Once, and not at every request of it. A refusal has its reason in its record; one that is
                // let in has only this.
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

    /// The same for a token that was good in the epoch `since`: asked again, unless nothing has changed. A token whose
    /// `iat` proves no age now is always asked about: it may have proven one when it was good, by a clock that
    /// was set back since. The other way round it stays good, since a store refuses more without an age.
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

/// A store that cannot answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationOutage(String);

impl RevocationOutage {
    /// An outage with its reason, for the operator.
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
