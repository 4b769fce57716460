//! Finds the counters of a decision from its record, without building labels.

use std::{borrow::Cow, collections::HashMap, hash::BuildHasherDefault};

use service_only::{
    __satellite::{Hashed, mix},
    audit::{AuditEvent, Decision},
    error::Code,
    routes::Endpoint,
};

/// The kinds of decisions that one thread caches. Above this limit the thread clears its cache; no count is
/// lost.
const MAX_KNOWN: usize = 1_024;

/// The parts of a record that select its counters.
#[derive(Clone)]
pub(crate) struct Sight<'e> {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) decision: Decision,
    pub(crate) code: Option<Code>,
    pub(crate) service: Option<&'e str>,
    pub(crate) proof: Option<&'static str>,
    pub(crate) peer: Option<Cow<'e, str>>,
    pub(crate) kid: Option<Cow<'e, str>>,
    pub(crate) issuer: Option<Cow<'e, str>>,
}

/// The indices of the series to count.
#[derive(Copy, Clone)]
pub(crate) struct Places {
    pub(crate) attempts: usize,
    pub(crate) key_uses: Option<usize>,
    pub(crate) peer: Option<usize>,
    pub(crate) service: Option<usize>,
}

/// A cache of counters, keyed by a hash; a lookup also compares the full record. The first decision of a
/// service at a handler is found without a hash of key, issuer and peer, which rarely differ. Other decisions are
/// found by a hash of all parts. If two decisions have the same hash, the later one replaces the earlier one.
#[derive(Default)]
pub(crate) struct Known(HashMap<u64, Entry, BuildHasherDefault<Hashed>>);

struct Entry {
    place: Option<Place>,
    decision: Decision,
    code: Option<Code>,
    service: Option<Box<str>>,
    proof: Option<&'static str>,
    peer: Option<Box<str>>,
    kid: Option<Box<str>>,
    issuer: Option<Box<str>>,
    places: Places,
}

/// The addresses of an endpoint's strings. The same strings at another address have the same labels.
type Place = (usize, usize, u32);

impl Known {
    #[inline]
    pub(crate) fn places(&mut self, sight: &Sight<'_>, resolve: impl FnOnce() -> Places) -> Places {
        let short = sight.hash();
        match self.0.get(&short) {
            Some(entry) if entry.is(sight) => entry.places,
            Some(_) => self.places_of_another(short, sight, resolve),
            None => self.learn(short, sight, resolve()),
        }
    }

    fn places_of_another(
        &mut self,
        short: u64,
        sight: &Sight<'_>,
        resolve: impl FnOnce() -> Places,
    ) -> Places {
        let others = [sight.kid.as_deref(), sight.issuer.as_deref(), sight.proof, sight.peer.as_deref()];
        let hash = others.into_iter().fold(short, hash_text);
        match self.0.get(&hash) {
            Some(entry) if entry.is(sight) => entry.places,
            _ => self.learn(hash, sight, resolve()),
        }
    }

    #[cold]
    fn learn(&mut self, hash: u64, sight: &Sight<'_>, places: Places) -> Places {
        if self.0.len() >= MAX_KNOWN {
            self.0.clear();
        }
        let entry = Entry {
            place: sight.place(),
            decision: sight.decision,
            code: sight.code,
            service: sight.service.map(Into::into),
            proof: sight.proof,
            peer: sight.peer.as_deref().map(Into::into),
            kid: sight.kid.as_deref().map(Into::into),
            issuer: sight.issuer.as_deref().map(Into::into),
            places,
        };
        self.0.insert(hash, entry);
        places
    }
}

impl Entry {
    #[inline]
    fn is(&self, sight: &Sight<'_>) -> bool {
        self.place == sight.place()
            && self.decision == sight.decision
            && self.code == sight.code
            && self.service.as_deref() == sight.service
            && self.proof == sight.proof
            && self.peer.as_deref() == sight.peer.as_deref()
            && self.kid.as_deref() == sight.kid.as_deref()
            && self.issuer.as_deref() == sight.issuer.as_deref()
    }
}

impl<'e> Sight<'e> {
    #[inline]
    pub(crate) fn of(event: &'e AuditEvent<'_>) -> Self {
        Self {
            endpoint: event.endpoint(),
            decision: event.decision(),
            code: event.code(),
            service: event.service(),
            proof: event.proof(),
            peer: event.peer(),
            // A record contains a key only if its signature was valid.
            kid: event.kid(),
            issuer: event.issuer(),
        }
    }

    #[inline]
    fn place(&self) -> Option<Place> {
        let texts = |handler: Endpoint| {
            (handler.module_path().as_ptr().addr(), handler.function().as_ptr().addr(), handler.line())
        };
        self.endpoint.map(texts)
    }

    /// Not keyed: an attacker who finds two names with the same hash gains little. Only verified names are
    /// hashed, and a collision only costs a repeated lookup.
    #[inline]
    fn hash(&self) -> u64 {
        let (_, function, line) = self.place().unwrap_or_default();
        // The address of the code's name: each code has one name, and its number is private to its crate.
        let code = self.code.map_or(0, |code| code.as_str().as_ptr().addr() as u64);
        let denied = u64::from(self.decision == Decision::Deny);
        let hash = mix(function as u64, u64::from(line) << 16 ^ code << 1 | denied);
        hash_text(hash, self.service)
    }
}

#[inline]
fn hash_text(hash: u64, text: Option<&str>) -> u64 {
    let Some(bytes) = text.map(str::as_bytes) else { return mix(hash, 0) };
    let hash = mix(hash, bytes.len() as u64 + 1);
    // The last eight bytes may overlap bytes that were hashed before.
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(hash, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    match bytes.last_chunk::<8>() {
        Some(last) => mix(hash, u64::from_le_bytes(*last)),
        None => rest.iter().fold(hash, |hash, byte| mix(hash, u64::from(*byte))),
    }
}

#[cfg(test)]
mod tests {
    use service_only::{
        routes::{GuardedEndpoint, endpoints},
        service_only,
    };

    use super::*;

    fn sight<'e>(
        service: Option<&'e str>,
        kid: Option<Cow<'e, str>>,
        issuer: Option<Cow<'e, str>>,
    ) -> Sight<'e> {
        let (proof, peer) = (None, None);
        Sight { endpoint: None, decision: Decision::Allow, code: None, service, proof, peer, kid, issuer }
    }

    const fn numbered(attempts: usize) -> Places {
        Places { attempts, key_uses: None, peer: None, service: None }
    }

    /// Two handlers that differ only in their location.
    fn handlers() -> Vec<Endpoint> {
        fn one() {
            #[service_only]
            async fn delete() {}
            let _ = delete;
        }
        fn other() {
            #[service_only]
            async fn delete() {}
            let _ = delete;
        }
        one();
        other();
        let own = |guarded: &GuardedEndpoint| guarded.endpoint().module_path() == module_path!();
        endpoints().iter().filter(|guarded| own(guarded)).map(|guarded| *guarded.endpoint()).collect()
    }

    #[test]
    fn each_label_distinguishes_decisions_and_a_cached_one_is_not_resolved_again() {
        let handlers = handlers();
        let handler = |number: usize| Some(handlers[number]);
        let all = sight(Some("orders-eu-west"), Some("key-1".into()), Some("auth".into()));
        let sights = [
            all.clone(),
            Sight { endpoint: handler(1), ..all.clone() },
            Sight { endpoint: handler(0), ..all.clone() },
            Sight { decision: Decision::Deny, code: Some(Code::MissingScope), ..all.clone() },
            Sight { decision: Decision::Deny, code: Some(Code::Expired), ..all.clone() },
            Sight { service: Some("orders-us-west"), ..all.clone() },
            Sight { service: None, ..all.clone() },
            Sight { kid: Some("key-2".into()), ..all.clone() },
            Sight { kid: None, ..all.clone() },
            Sight { issuer: Some("auth2".into()), ..all.clone() },
            Sight { issuer: None, ..all.clone() },
            Sight { proof: Some("mtls"), ..all.clone() },
            Sight { proof: Some("dpop"), ..all.clone() },
            Sight { peer: Some("spiffe://a/b".into()), ..all.clone() },
            Sight { peer: Some("spiffe://a/c".into()), ..all.clone() },
            sight(Some("ab"), Some("".into()), None),
            sight(Some("a"), Some("b".into()), None),
        ];
        let mut known = Known::default();
        for (number, sight) in sights.iter().enumerate() {
            assert_eq!(known.places(sight, || numbered(number)).attempts, number);
        }
        for (number, sight) in sights.iter().enumerate() {
            assert_eq!(known.places(sight, || panic!("known")).attempts, number);
        }
    }

    #[test]
    fn cache_of_a_thread_is_bounded() {
        let mut known = Known::default();
        for number in 0..5_000 {
            let name = format!("service-{number}");
            assert_eq!(known.places(&sight(Some(&name), None, None), || numbered(number)).attempts, number);
            assert!(known.0.len() <= MAX_KNOWN);
        }
    }
}
