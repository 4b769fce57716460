//! What changes while a token is remembered counts at once.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use service_only::{
    Algorithm, FileKeys, KeySet, TrustedIssuer, Verifier,
    error::Code,
    issue::SigningKey,
    keys::{KeyRing, KeySource, KeysUnavailable},
    revocation::{MemoryRevocations, PresentedToken, RevocationOutage, RevocationStatus, RevocationStore},
};

use super::*;

#[test]
fn a_cached_token_expires_at_its_exact_second() {
    for leeway in [0, 30] {
        let world = World::new();
        let verifier = world.verifier().leeway(Duration::from_secs(leeway)).build().unwrap();
        let (issuer, clock) = world.issuer();
        let token = mint(&issuer, "orders");
        warm(&verifier, token.as_str());
        let end = token.claims().exp + i64::try_from(leeway).unwrap();
        clock.set(end - 1);
        assert!(is_known(&verifier, token.as_str()));
        clock.set(end);
        assert_eq!(verdict(&verifier, token.as_str()), Some(Code::Expired));
        clock.set(end - 1);
        assert_eq!(verdict(&verifier, token.as_str()), None, "a clock that was set back counts");
    }
}

#[test]
fn a_cached_token_is_refused_before_its_nbf_when_the_clock_is_set_back() {
    let world = World::new();
    let keys = world.key.verifying_key();
    let strict = TrustedIssuer::strict("bakery-auth").keys(keys).audience("bakery");
    let verifier =
        Verifier::builder().trust(strict).clock(world.clock.clone()).audit(NoAudit).build().unwrap();
    let clock = world.clock.clone();
    let issuer = Issuer::builder().issuer("bakery-auth").key(world.key).clock(clock.clone()).strict();
    let issuer = issuer.audience("bakery").build().unwrap();
    let token = issuer.token_for("orders").mint().unwrap();
    warm(&verifier, token.as_str());
    clock.set(NOW - 1);
    assert_eq!(verdict(&verifier, token.as_str()), Some(Code::NotYetValid), "`iat` is in the future");
    clock.set(NOW);
    assert_eq!(verdict(&verifier, token.as_str()), None);
}

#[test]
fn a_cached_token_is_refused_immediately_after_its_revocation() {
    type Revoke = fn(&MemoryRevocations, &MintedToken, &str);
    let ways: [Revoke; 3] = [
        |store, token, _| {
            let claims = token.claims();
            store
                .revoke_token("bakery-auth", claims.jti.as_deref().unwrap(), Timestamp::from_unix(claims.exp))
                .unwrap();
        },
        |store, _, _| store.revoke_service("bakery-auth", "orders", Timestamp::from_unix(NOW)).unwrap(),
        |store, _, kid| store.revoke_key("bakery-auth", kid).unwrap(),
    ];
    for revoke in ways {
        let world = World::new();
        let store = MemoryRevocations::new();
        let verifier = world.verifier().revocation(store.clone()).build().unwrap();
        let (issuer, _) = world.issuer();
        let token = mint(&issuer, "orders");
        warm(&verifier, token.as_str());
        store.revoke_token("bakery-auth", "another", Timestamp::from_unix(NOW + 60)).unwrap();
        assert!(is_known(&verifier, token.as_str()), "a change of the store is a question, not an answer");
        revoke(&store, &token, issuer.key().kid().as_str());
        for _ in 0..3 {
            assert_eq!(verdict(&verifier, token.as_str()), Some(Code::Revoked));
        }
    }
}

/// Counts the questions, and can be taken down.
#[derive(Clone, Default)]
struct Asked {
    times: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
    epoch: Option<u64>,
}

impl RevocationStore for Asked {
    fn status(&self, _: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        self.times.fetch_add(1, Ordering::SeqCst);
        let down = self.down.load(Ordering::SeqCst);
        if down { Err(RevocationOutage::new("the database is down")) } else { Ok(RevocationStatus::Good) }
    }

    fn epoch(&self) -> Option<u64> {
        self.epoch
    }
}

#[test]
fn a_store_without_epochs_is_queried_for_every_verification() {
    for accept in [false, true] {
        let world = World::new();
        let store = Asked::default();
        let builder = world.verifier().revocation(store.clone());
        let builder = if accept { builder.dangerously_accept_on_revocation_outage() } else { builder };
        let verifier = builder.build().unwrap();
        let (issuer, _) = world.issuer();
        let token = mint(&issuer, "orders");
        warm(&verifier, token.as_str());
        assert_eq!(store.times.load(Ordering::SeqCst), 3);
        store.down.store(true, Ordering::SeqCst);
        let expected = (!accept).then_some(Code::RevocationUnavailable);
        assert_eq!(verdict(&verifier, token.as_str()), expected);
        store.down.store(false, Ordering::SeqCst);
        assert_eq!(verdict(&verifier, token.as_str()), None);
    }
}

#[test]
fn a_store_with_epochs_is_not_queried_for_a_cached_token_in_the_same_epoch() {
    let world = World::new();
    let store = Asked { epoch: Some(7), ..Asked::default() };
    let verifier = world.verifier().revocation(store.clone()).build().unwrap();
    let (issuer, _) = world.issuer();
    warm(&verifier, mint(&issuer, "orders").as_str());
    assert_eq!(store.times.load(Ordering::SeqCst), 2, "when it was noted, and when it was remembered");
}

#[test]
fn a_token_accepted_during_an_outage_is_checked_again_in_the_same_epoch() {
    let world = World::new();
    let store = Asked { epoch: Some(7), ..Asked::default() };
    let verifier =
        world.verifier().revocation(store.clone()).dangerously_accept_on_revocation_outage().build().unwrap();
    let (issuer, _) = world.issuer();
    let token = mint(&issuer, "orders");
    store.down.store(true, Ordering::SeqCst);
    warm(&verifier, token.as_str());
    assert_eq!(store.times.load(Ordering::SeqCst), 3, "nobody knows yet that it is good");
    store.down.store(false, Ordering::SeqCst);
    assert!(is_known(&verifier, token.as_str()) && is_known(&verifier, token.as_str()));
    assert_eq!(store.times.load(Ordering::SeqCst), 4, "from here on it is known");
}

#[test]
fn cached_tokens_of_a_retired_key_are_refused() {
    for by_hand in [true, false] {
        let world = World::new();
        let (old, new) = (world.key.verifying_key(), SigningKey::generate(Algorithm::ES256).unwrap());
        let overlap = Duration::from_secs(60);
        let ring = KeyRing::with_clock(old, overlap, world.clock.clone()).unwrap();
        let verifier = world.verifier().keys(ring.clone()).build().unwrap();
        let (issuer, clock) = world.issuer();
        let kid = issuer.key().kid().clone();
        let token = mint(&issuer, "orders");
        warm(&verifier, token.as_str());
        ring.prepare(new.verifying_key()).unwrap();
        ring.activate(new.kid().as_str()).unwrap();
        warm(&verifier, token.as_str());
        clock.set(NOW + 59);
        assert!(is_known(&verifier, token.as_str()));
        if by_hand {
            ring.retire(kid.as_str()).unwrap();
        } else {
            clock.set(NOW + 60);
        }
        assert_eq!(verdict(&verifier, token.as_str()), Some(Code::UnknownKey));
    }
}

/// Keys that are replaced, or gone, by hand.
#[derive(Clone)]
struct Switch(Arc<Mutex<Option<KeySet>>>);

impl KeySource for Switch {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        self.0.lock().unwrap().clone().ok_or_else(|| KeysUnavailable::new("gone"))
    }
}

#[test]
fn cached_tokens_are_refused_after_their_keys_are_replaced_or_removed() {
    let world = World::new();
    let own = KeySet::from(world.key.verifying_key());
    let other = KeySet::from(SigningKey::generate(Algorithm::ES256).unwrap().verifying_key());
    let switch = Switch(Arc::new(Mutex::new(Some(own.clone()))));
    let verifier = world.verifier().keys(switch.clone()).build().unwrap();
    let (issuer, _) = world.issuer();
    let token = mint(&issuer, "orders");
    for (keys, code) in [(Some(other), Code::UnknownKey), (None, Code::KeysUnavailable)] {
        warm(&verifier, token.as_str());
        *switch.0.lock().unwrap() = keys;
        assert_eq!(verdict(&verifier, token.as_str()), Some(code));
        *switch.0.lock().unwrap() = Some(own.clone());
    }
}

#[test]
fn a_cached_token_of_a_removed_key_is_refused_while_others_stay_cached() {
    let world = World::new();
    let (staying, leaving) = (world.key.verifying_key(), SigningKey::generate(Algorithm::ES256).unwrap());
    let both = KeySet::new([staying.clone(), leaving.verifying_key()]).unwrap();
    let switch = Switch(Arc::new(Mutex::new(Some(both.clone()))));
    let verifier = world.verifier().keys(switch.clone()).build().unwrap();
    let old =
        Issuer::builder().issuer("bakery-auth").key(leaving).clock(world.clock.clone()).build().unwrap();
    let (issuer, _) = world.issuer();
    let (stays, leaves) = (mint(&issuer, "orders"), mint(&old, "sales"));
    warm(&verifier, leaves.as_str());
    warm(&verifier, stays.as_str());
    *switch.0.lock().unwrap() = Some(KeySet::from(staying));
    // The table rests on the new keys now.
    warm(&verifier, stays.as_str());
    for _ in 0..3 {
        assert_eq!(verdict(&verifier, leaves.as_str()), Some(Code::UnknownKey));
    }
    *switch.0.lock().unwrap() = Some(both);
    warm(&verifier, leaves.as_str());
}

#[test]
fn a_token_is_cached_although_another_issuer_has_the_same_kid() {
    let world = World::new();
    let key = |byte| SigningKey::hmac(Algorithm::HS256, &[byte; 32]).unwrap().with_kid("1");
    let verifier = Verifier::builder()
        .trust(TrustedIssuer::compatible("elsewhere").keys(key(3).verifying_key()).services(["sales"]))
        .trust(TrustedIssuer::compatible("bakery-auth").keys(key(4).verifying_key()))
        .clock(world.clock.clone())
        .audit(NoAudit)
        .build()
        .unwrap();
    let issuer = Issuer::builder().issuer("bakery-auth").key(key(4)).clock(world.clock).build().unwrap();
    // Refused by the signature, which no change of time can make right.
    warm(&verifier, mint(&issuer, "orders").as_str());
}

/// Entries with one `iss` are tried in order.
#[test]
fn a_token_is_cached_only_if_each_earlier_entry_of_its_issuer_refuses_it_at_every_time() {
    let world = World::new();
    let (clock, public) = (world.clock.clone(), world.key.verifying_key());
    let (issuer, _) = world.issuer();
    let token = issuer.token_for("orders").audience("orders").mint().unwrap();
    let own = || KeySet::from(public.clone());
    let other = || KeySet::from(SigningKey::generate(Algorithm::ES256).unwrap().verifying_key());
    let kid = public.kid().unwrap().to_string();
    let namesake = SigningKey::generate(Algorithm::ES256).unwrap().with_kid(kid).verifying_key();
    let switch = Switch(Arc::new(Mutex::new(Some(other()))));
    let entry = || TrustedIssuer::compatible("bakery-auth");
    for (first, is_cached, why) in [
        (entry().keys(other()).audience("orders"), true, "the key is unknown at every time"),
        (entry().keys(namesake).audience("orders"), true, "the signature is invalid at every time"),
        (
            entry().keys(own()).audience("sales"),
            false,
            "later, its claims may be refused by an earlier stage",
        ),
        (entry().keys(switch.clone()).audience("orders"), false, "later, its keys may be there"),
    ] {
        *switch.0.lock().unwrap() = Some(other());
        let verifier = Verifier::builder()
            .trust(first)
            .trust(entry().keys(own()).audience("orders"))
            .clock(clock.clone())
            .audit(NoAudit)
            .build()
            .unwrap();
        *switch.0.lock().unwrap() = None;
        for _ in 0..5 {
            assert_eq!(verdict(&verifier, token.as_str()), None, "{why}");
        }
        assert_eq!(verifier.token_cache_hits() > 0, is_cached, "{why}");
    }
}

#[test]
fn a_token_is_verified_by_the_issuer_that_it_names_and_not_by_another_with_the_key() {
    let world = World::new();
    let own = KeySet::from(world.key.verifying_key());
    let other = KeySet::from(SigningKey::generate(Algorithm::ES256).unwrap().verifying_key());
    let first = Switch(Arc::new(Mutex::new(Some(other))));
    let verifier = Verifier::builder()
        .trust(TrustedIssuer::compatible("elsewhere").keys(first.clone()).services(["sales"]))
        .trust(TrustedIssuer::compatible("bakery-auth").keys(own.clone()))
        .clock(world.clock.clone())
        .audit(NoAudit)
        .build()
        .unwrap();
    let (issuer, _) = world.issuer();
    let token = mint(&issuer, "orders");
    warm(&verifier, token.as_str());
    // The first issuer has the key too now. The token does not name it in `iss`, so it is not tried.
    *first.0.lock().unwrap() = Some(own);
    assert_eq!(verdict(&verifier, token.as_str()), None);
    warm(&verifier, token.as_str());
    assert!(is_known(&verifier, token.as_str()));
    *first.0.lock().unwrap() = None;
    for _ in 0..4 {
        assert!(!is_known(&verifier, token.as_str()), "the first issuer cannot say");
    }
}

#[test]
fn cached_tokens_are_refused_after_the_key_file_changes() {
    let world = World::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jwks.json");
    std::fs::write(&path, service_only::issue::PublicJwk::set(&[world.key.public_jwk().unwrap()])).unwrap();
    let keys = FileKeys::jwks(&path).poll_every(Duration::from_millis(10)).open().unwrap();
    let verifier = world.verifier().keys(keys.clone()).build().unwrap();
    let (issuer, _) = world.issuer();
    let token = mint(&issuer, "orders");
    warm(&verifier, token.as_str());
    let before = keys.snapshot().unwrap();
    let other = SigningKey::generate(Algorithm::ES256).unwrap();
    std::fs::write(&path, service_only::issue::PublicJwk::set(&[other.public_jwk().unwrap()])).unwrap();
    while keys.is_current(&before) {
        std::thread::yield_now();
    }
    assert_eq!(verdict(&verifier, token.as_str()), Some(Code::UnknownKey));
}

/// Asks the verifier itself, as a source or a store may by accident.
#[derive(Clone, Default)]
struct Inward(Arc<Mutex<Option<(Verifier, String)>>>);

impl RevocationStore for Inward {
    fn status(&self, _: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        let inner = self.0.lock().unwrap().take();
        if let Some((verifier, token)) = inner {
            assert_eq!(verdict(&verifier, &token), None);
        }
        Ok(RevocationStatus::Good)
    }
}

#[test]
fn a_reentrant_verification_succeeds() {
    let world = World::new();
    let store = Inward::default();
    let verifier = world.verifier().revocation(store.clone()).build().unwrap();
    let (issuer, _) = world.issuer();
    let token = mint(&issuer, "orders");
    warm(&verifier, token.as_str());
    *store.0.lock().unwrap() = Some((verifier.clone(), token.as_str().to_owned()));
    assert!(is_known(&verifier, token.as_str()));
    assert!(store.0.lock().unwrap().is_none(), "it was asked");
}

#[test]
fn issue_time_of_a_cached_token_is_checked_at_each_verification() {
    for with_epochs in [true, false] {
        let world = World::new();
        let store = MemoryRevocations::new();
        let builder = world.verifier();
        let builder = if with_epochs {
            builder.revocation(store.clone())
        } else {
            builder.revocation(WithoutEpochs(store.clone()))
        };
        let verifier = builder.build().unwrap();
        let (issuer, clock) = world.issuer();
        clock.set(NOW + 120);
        let token = mint(&issuer, "orders");
        store.revoke_service("bakery-auth", "orders", Timestamp::from_unix(NOW + 100)).unwrap();
        warm(&verifier, token.as_str());
        // A clock that is set back: now the token is from the future, and may have been minted before.
        clock.set(NOW + 60);
        assert_eq!(verdict(&verifier, token.as_str()), None, "a minute ahead");
        clock.set(NOW + 59);
        for _ in 0..3 {
            assert_eq!(verdict(&verifier, token.as_str()), Some(Code::Revoked), "more than a minute ahead");
        }
        clock.set(NOW + 60);
        warm(&verifier, token.as_str());
    }
}

/// A store that does not say whether something has changed.
struct WithoutEpochs(MemoryRevocations);

impl RevocationStore for WithoutEpochs {
    fn status(&self, token: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        self.0.status(token)
    }
}
