//! The one wait that a request may make: for a key that a source has not loaded yet.
//!
//! It happens before the decision, never during it, so that a decision uses only the CPU and is
//! recorded once.

use std::{future::poll_fn, sync::Arc, task::Poll};

use crate::{
    claims::Origin,
    keys::{Algorithm, KeyId, Refresh},
    token::{HeaderRoom, PayloadRoom, Segments},
    trusted::Trusted,
};

/// See [`Verifier::refresh_keys_for`](super::Verifier::refresh_keys_for).
pub(crate) fn refresh_keys_for<'v>(issuers: &'v [Arc<Trusted>], token: &str) -> Option<Refresh<'v>> {
    let segments = Segments::split(token).ok()?;
    let (mut room, mut payload) = (HeaderRoom::new(), PayloadRoom::new());
    let header = segments.header(&mut room).ok()?;
    let kid = header.kid.as_deref().unwrap_or_default();
    if kid.len() > KeyId::MAX_LENGTH
        || header.algorithm(Algorithm::ALL.into_iter().collect()).is_err()
        || (header.kid.is_some() && issuers.iter().any(|issuer| issuer.has(kid)))
    {
        return None;
    }
    // `iss` selects the issuer before any key is fetched, so a token of one issuer never reloads the keys of another.
    let origin = Origin::read(segments.payload(&mut payload).ok()?)?;
    // A token without a `kid` can miss all keys only if they are not loaded, or are too old.
    let named = issuers.iter().filter(|issuer| issuer.is_origin(&origin));
    let candidates = named
        .filter(|issuer| issuer.reads(&header) && (header.kid.is_some() || issuer.keys.snapshot().is_err()));
    let refreshes: Vec<_> = candidates.filter_map(|issuer| issuer.keys.refresh_for(kid)).collect();
    (!refreshes.is_empty()).then(|| all(refreshes))
}

/// Awaits all refreshes concurrently, so that several issuers take no more time than the slowest.
fn all(mut refreshes: Vec<Refresh<'_>>) -> Refresh<'_> {
    Box::pin(poll_fn(move |context| {
        refreshes.retain_mut(|refresh| refresh.as_mut().poll(context).is_pending());
        if refreshes.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }))
}
