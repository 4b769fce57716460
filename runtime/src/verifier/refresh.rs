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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;
    use crate::{
        TrustedIssuer, Verifier, VerifyingKey,
        issue::SigningKey,
        keys::{KeySet, KeySource, KeysUnavailable},
    };

    /// A source with newer keys, which keeps the names that it was asked for.
    #[derive(Clone)]
    struct Newer {
        keys: Option<KeySet>,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Newer {
        fn of(key: Option<VerifyingKey>) -> Self {
            Self { keys: key.map(|key| KeySet::new([key]).unwrap()), asked: Arc::default() }
        }
    }

    impl KeySource for Newer {
        fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
            self.keys.clone().ok_or_else(|| KeysUnavailable::pending("not loaded"))
        }

        fn refresh_for(&self, kid: &str) -> Option<Refresh<'_>> {
            self.asked.lock().unwrap().push(kid.to_owned());
            Some(Box::pin(std::future::ready(())))
        }
    }

    fn verifier(source: &Newer) -> Verifier {
        let issuer = TrustedIssuer::strict("bakery-auth").keys(source.clone()).audience("orders");
        Verifier::builder().trust(issuer).build().unwrap()
    }

    /// The names of keys for which the source of the verifier was asked.
    fn asked(source: &Newer, header: &str, payload: &str) -> Vec<String> {
        let verifier = verifier(source);
        source.asked.lock().unwrap().clear();
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let token = format!("{}.{}.{}", part(header), part(payload), part("signature"));
        let waits = verifier.refresh_keys_for(&token).is_some();
        let asked = std::mem::take(&mut *source.asked.lock().unwrap());
        assert_eq!(waits, !asked.is_empty(), "{header}");
        asked
    }

    #[test]
    fn only_a_token_that_newer_keys_could_verify_reloads_them() {
        let own = SigningKey::generate(Algorithm::ES256).unwrap().verifying_key().with_kid("own");
        let loaded = Newer::of(Some(own));
        let longest = "k".repeat(KeyId::MAX_LENGTH);
        let header = |kid: &str| format!(r#"{{"alg":"ES256","typ":"service+jwt","kid":"{kid}"}}"#);
        let payload = r#"{"iss":"bakery-auth"}"#;
        assert_eq!(asked(&loaded, &header("new"), payload), ["new"]);
        assert_eq!(asked(&loaded, &header(&longest), payload), [longest.as_str()]);
        let nothing: [&str; 0] = [];
        for (header, payload) in [
            (header(&format!("{longest}k")), payload),
            (header("own"), payload),
            (header("new"), r#"{"iss":"mill-auth"}"#),
            (header("new"), r#"{}"#),
            (header("new").replace("service+jwt", "JWT"), payload),
            (header("new").replace("ES256", "none"), payload),
            (header("new").replace("ES256", "es256"), payload),
            (r#"{"alg":"ES256","typ":"service+jwt"}"#.to_owned(), payload),
        ] {
            assert_eq!(asked(&loaded, &header, payload), nothing, "{header} {payload}");
        }
    }

    #[test]
    fn a_token_without_a_kid_waits_only_for_keys_that_are_not_loaded() {
        let header = r#"{"alg":"ES256","typ":"service+jwt"}"#;
        assert_eq!(asked(&Newer::of(None), header, r#"{"iss":"bakery-auth"}"#), [""]);
    }
}
