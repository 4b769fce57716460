//! The one wait that a request may make: for a key that a source has not loaded yet.
//!
//! It comes before the decision, never inside of it, so that a decision uses the CPU only and is
//! recorded once.

use std::{future::poll_fn, task::Poll};

use super::{Verifier, issuer::Trusted};
#[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
use crate::bearer::BearerToken;
use crate::{
    keys::{Algorithm, MAX_KID_LENGTH, Refresh},
    token::{Header, HeaderRoom, Segments},
};

impl Verifier {
    /// A bounded wait for newer keys, when a key source offers to look and the token names a key that no
    /// issuer's keys have, or names none while an issuer's keys are not there; `None` otherwise, which is
    /// nearly always. Await it, then call
    /// [`Verifier::verify`] as if nothing had been. `#[service_only]` does that by itself.
    ///
    /// Decides and records nothing. The name of the key is not to be believed yet: a source such as
    /// `RemoteJwks` bounds how often it can make anybody look.
    ///
    /// ```
    /// # use service_only::{Caller, Denial, Verifier};
    /// async fn receive(verifier: &Verifier, token: &str) -> Result<Caller, Denial> {
    ///     if let Some(refresh) = verifier.refresh_keys_for(token) {
    ///         refresh.await;
    ///     }
    ///     verifier.verify(token)
    /// }
    /// ```
    pub fn refresh_keys_for(&self, token: &str) -> Option<Refresh<'_>> {
        if !self.0.refreshes {
            return None;
        }
        let mut room = HeaderRoom::new();
        let header = Segments::split(token).and_then(|segments| segments.header(&mut room)).ok()?;
        let kid = header.kid.as_deref().unwrap_or_default();
        if kid.len() > MAX_KID_LENGTH
            || header.algorithm(Algorithm::ALL.into_iter().collect()).is_err()
            || (header.kid.is_some() && self.0.issuers.iter().any(|issuer| issuer.has(kid)))
        {
            return None;
        }
        // A token without a name can only miss all keys: after a start without them, or when they are too old.
        let candidates = self.0.issuers.iter().filter(|issuer| {
            issuer.reads(&header) && (header.kid.is_some() || issuer.keys.snapshot().is_err())
        });
        let refreshes: Vec<_> = candidates.filter_map(|issuer| issuer.keys.refresh_for(kid)).collect();
        (!refreshes.is_empty()).then(|| all(refreshes))
    }

    /// The same for the `Authorization` headers of a request.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn refresh_keys_for_request<'r>(
        &self,
        authorization: impl Iterator<Item = &'r [u8]>,
    ) -> Option<Refresh<'_>> {
        // First: nearly always it is the answer, and the token is looked at by the decision anyway.
        if !self.0.refreshes {
            return None;
        }
        let token = BearerToken::from_header_values(authorization).ok()?;
        self.refresh_keys_for(token.read().ok()?)
    }
}

impl Trusted {
    fn has(&self, kid: &str) -> bool {
        self.keys.snapshot().is_ok_and(|keys| keys.has(kid))
    }

    fn reads(&self, header: &Header<'_>) -> bool {
        self.kind.check_typ(header.typ.as_deref()).is_ok()
    }
}

/// All at once, so that several issuers cost no more time than the slowest.
fn all(mut refreshes: Vec<Refresh<'_>>) -> Refresh<'_> {
    Box::pin(poll_fn(move |context| {
        refreshes.retain_mut(|refresh| refresh.as_mut().poll(context).is_pending());
        if refreshes.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }))
}
