use std::{
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::*;
use crate::{
    Caller, TrustedIssuer, Verifier, VerifyingKey,
    audit::NoAudit,
    clock::{Clock, Timestamp},
    error::BuildError,
    handle::WeakHandle,
    issue::{Issuer, PublicJwk, SigningKey},
    keys::{Algorithm, KeyRing, KeySet, KeySource, KeysUnavailable},
    revocation::{MemoryRevocations, RevocationStore},
    verifier::VerifierBuilder,
};

const NOW: i64 = 1_767_225_600;

/// A clock that the test sets.
#[derive(Clone)]
struct Hands(Arc<AtomicI64>);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

fn clock() -> Hands {
    Hands(Arc::new(AtomicI64::new(NOW)))
}

/// Keys that the test replaces or removes.
#[derive(Clone)]
struct Switch(Arc<Mutex<Option<KeySet>>>);

impl Switch {
    fn of(keys: impl Into<KeySet>) -> Self {
        Self(Arc::new(Mutex::new(Some(keys.into()))))
    }

    fn to(&self, keys: Option<KeySet>) {
        *self.0.lock().unwrap() = keys;
    }
}

impl KeySource for Switch {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        self.0.lock().unwrap().clone().ok_or_else(|| KeysUnavailable::new("gone"))
    }
}

fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).unwrap().with_kid("k1")
}

fn builder(keys: impl KeySource, clock: &Hands) -> VerifierBuilder {
    Verifier::builder().issuer("bakery-auth").keys(keys).clock(clock.clone()).audit(NoAudit)
}

fn built(builder: VerifierBuilder) -> Verifier {
    builder.build().map_err(|error: BuildError| error.to_string()).unwrap()
}

fn caller(verifier: &Verifier, key: SigningKey, clock: &Hands) -> Caller {
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).clock(clock.clone()).build().unwrap();
    verifier.verify(issuer.token_for("orders").mint().unwrap().as_str()).unwrap()
}

/// The code of a later decision about the caller.
fn later(caller: &Caller) -> Option<Code> {
    let at = caller.recorder().moment();
    caller.check_again(at, None).err().map(|denial| denial.code())
}

#[test]
fn a_stored_caller_is_refused_once_its_key_is_retired() {
    for by_hand in [true, false] {
        let (clock, old, new) =
            (clock(), key(Algorithm::ES256), SigningKey::generate(Algorithm::ES256).unwrap());
        let ring = KeyRing::with_clock(old.verifying_key(), Duration::from_secs(60), clock.clone()).unwrap();
        let verifier = built(builder(ring.clone(), &clock));
        let caller = caller(&verifier, old, &clock);
        ring.prepare(new.verifying_key()).unwrap();
        ring.activate(new.kid().as_str()).unwrap();
        clock.0.store(NOW + 59, Ordering::SeqCst);
        assert_eq!(later(&caller), None, "the overlap is not over");
        if by_hand {
            ring.retire("k1").unwrap();
        } else {
            clock.0.store(NOW + 60, Ordering::SeqCst);
        }
        assert_eq!(later(&caller), Some(Code::UnknownKey));
        drop(verifier);
        assert_eq!(later(&caller), Some(Code::UnknownKey), "also without its verifier");
    }
}

#[test]
fn a_stored_caller_is_refused_once_another_key_has_its_kid() {
    for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256] {
        let (clock, own, other) = (clock(), key(algorithm), key(algorithm));
        let switch = Switch::of(own.verifying_key());
        let verifier = built(builder(switch.clone(), &clock));
        let again = KeySet::from(own.verifying_key());
        let caller = caller(&verifier, own, &clock);
        switch.to(Some(other.verifying_key().into()));
        assert_eq!(later(&caller), Some(Code::BadSignature), "{algorithm}");
        switch.to(Some(again));
        assert_eq!(later(&caller), None, "{algorithm}: the same key, loaded again");
    }
}

#[test]
fn a_stored_caller_is_refused_once_its_key_is_removed_from_a_shared_kid() {
    let (clock, own, other) = (clock(), key(Algorithm::ES256), key(Algorithm::ES256));
    let set = |keys: &[&SigningKey]| {
        let jwks: Vec<_> = keys.iter().map(|key| key.public_jwk().unwrap()).collect();
        KeySet::from_jwks(PublicJwk::set(&jwks).as_bytes()).unwrap()
    };
    let (both, left) = (set(&[&own, &other]), set(&[&other]));
    let (more, again) = (set(&[&other, &own, &key(Algorithm::ES256)]), set(&[&other, &own]));
    let switch = Switch::of(both);
    let verifier = built(builder(switch.clone(), &clock));
    let caller = caller(&verifier, own, &clock);
    for (keys, expected) in [(left, Some(Code::BadSignature)), (more, None), (again, None)] {
        switch.to(Some(keys));
        assert_eq!(later(&caller), expected);
    }
}

#[test]
fn a_key_that_is_written_in_another_way_is_the_same_key() {
    use aws_lc_rs::{
        encoding::AsDer,
        signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey},
    };

    let (clock, own) = (clock(), key(Algorithm::ES256));
    let jwks = PublicJwk::set(&[own.public_jwk().unwrap()]);
    let jwk: serde_json::Value = serde_json::from_str(&jwks).unwrap();
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk["keys"][0][name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let der = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point).unwrap().as_der().unwrap();
    let pem = pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref()));
    let pem = VerifyingKey::from_pem(Algorithm::ES256, pem.as_bytes()).unwrap();

    let jwks = KeySet::from_jwks(jwks.as_bytes()).unwrap();
    let switch = Switch::of(jwks);
    let verifier = built(builder(switch.clone(), &clock));
    let caller = caller(&verifier, own, &clock);
    switch.to(Some(pem.clone().with_kid("k1").into()));
    assert_eq!(later(&caller), None);
    switch.to(Some(pem.with_kid("k2").into()));
    assert_eq!(later(&caller), Some(Code::UnknownKey), "under another name");
}

#[test]
fn a_stored_caller_is_refused_with_503_without_keys() {
    let (clock, own) = (clock(), key(Algorithm::ES256));
    let keys = KeySet::from(own.verifying_key());
    let switch = Switch::of(keys.clone());
    let verifier = built(builder(switch.clone(), &clock));
    let caller = caller(&verifier, own, &clock);
    switch.to(None);
    let denial = caller.check_again(caller.recorder().moment(), None).unwrap_err();
    assert_eq!((denial.code(), denial.status()), (Code::KeysUnavailable, 503));
    switch.to(Some(keys));
    assert_eq!(later(&caller), None);
}

#[test]
fn a_stored_caller_is_refused_once_no_key_has_its_algorithm() {
    let (clock, own) = (clock(), key(Algorithm::ES256));
    let switch = Switch::of(own.verifying_key());
    let verifier = built(builder(switch.clone(), &clock));
    let caller = caller(&verifier, own, &clock);
    switch.to(Some(key(Algorithm::EdDSA).verifying_key().into()));
    assert_eq!(later(&caller), Some(Code::AlgNotAllowed));
    let both = [key(Algorithm::EdDSA).verifying_key(), key(Algorithm::ES256).verifying_key().with_kid("k2")];
    switch.to(Some(KeySet::new(both).unwrap()));
    assert_eq!(later(&caller), Some(Code::KeyAlgMismatch));
}

#[test]
fn a_stored_caller_without_a_kid_is_refused_once_several_keys_fit() {
    let (clock, own) = (clock(), SigningKey::generate(Algorithm::HS256).unwrap());
    let switch = Switch::of(own.verifying_key());
    let verifier = built(builder(switch.clone(), &clock));
    let now = format!(
        r#"{{"iss":"bakery-auth","sub":"orders","service":"orders","type":"service","is_service":true,"exp":{}}}"#,
        NOW + 60
    );
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let signed = format!("{}.{}", part(r#"{"alg":"HS256"}"#), part(&now));
    let signature = own.sign(signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    let caller = verifier.verify(&token).unwrap();
    assert_eq!(later(&caller), None);
    let other = SigningKey::generate(Algorithm::HS256).unwrap().verifying_key();
    switch.to(Some(KeySet::new([own.verifying_key(), other.clone()]).unwrap()));
    assert_eq!(later(&caller), Some(Code::UnknownKey));
    switch.to(Some(other.into()));
    assert_eq!(later(&caller), Some(Code::BadSignature), "the only one, and not the one that signed");
}

#[test]
fn a_stored_caller_without_a_kid_is_bound_to_its_key() {
    let clock = clock();
    let (own, other) = ([1; 32], [2; 32]);
    let secret = |bytes: &[u8]| VerifyingKey::hmac(Algorithm::HS256, bytes).unwrap();
    let switch = Switch::of(secret(&own));
    let verifier = built(builder(switch.clone(), &clock));
    let caller = caller(&verifier, SigningKey::hmac(Algorithm::HS256, &own).unwrap().with_kid("k1"), &clock);
    switch.to(Some(secret(&own).into()));
    assert_eq!(later(&caller), None);
    switch.to(Some(secret(&other).into()));
    assert_eq!(later(&caller), Some(Code::BadSignature));
    switch.to(Some(secret(&own).with_kid("k2").into()));
    assert_eq!(later(&caller), Some(Code::UnknownKey), "its token names another key");
    switch.to(Some(secret(&own).with_kid("k1").into()));
    assert_eq!(later(&caller), None, "the key got the name that the token names");
}

#[test]
fn a_stored_caller_is_refused_after_its_expiry_and_maximum_lifetime() {
    let (clock, own) = (clock(), key(Algorithm::ES256));
    let strict = TrustedIssuer::strict("bakery-auth").keys(own.verifying_key()).audience("orders");
    let verifier = built(Verifier::builder().trust(strict).clock(clock.clone()).audit(NoAudit));
    let issuer =
        Issuer::builder().issuer("bakery-auth").key(own).audience("orders").strict().clock(clock.clone());
    let token = issuer.build().unwrap().token_for("sales").mint().unwrap();
    let caller = verifier.verify(token.as_str()).unwrap();
    for (time, expected) in [
        (token.claims().exp - 1, None),
        (token.claims().exp, Some(Code::Expired)),
        (NOW, None),
        (NOW - 1, Some(Code::NotYetValid)),
    ] {
        clock.0.store(time, Ordering::SeqCst);
        assert_eq!(later(&caller), expected, "{}", time - NOW);
    }
}

#[test]
fn a_stored_caller_is_refused_once_its_token_service_or_key_is_revoked() {
    type Revoke = fn(&MemoryRevocations, &Caller);
    let ways: [Revoke; 3] = [
        |store, caller| {
            store
                .revoke_token("bakery-auth", caller.jti().unwrap(), Timestamp::from_unix(caller.claims().exp))
                .unwrap()
        },
        |store, _| store.revoke_service("bakery-auth", "orders", Timestamp::from_unix(NOW)).unwrap(),
        |store, _| store.revoke_key("bakery-auth", "k1").unwrap(),
    ];
    for revoke in ways {
        let (clock, own, store) = (clock(), key(Algorithm::ES256), MemoryRevocations::new());
        let verifier = built(builder(own.verifying_key(), &clock).revocation(store.clone()));
        let caller = caller(&verifier, own, &clock);
        assert_eq!(later(&caller), None);
        revoke(&store, &caller);
        assert_eq!(later(&caller), Some(Code::Revoked));
    }
}

#[test]
fn age_of_a_stored_caller_is_checked_each_time_even_in_the_same_epoch() {
    let (clock, own, store) = (clock(), key(Algorithm::ES256), MemoryRevocations::new());
    let verifier = built(builder(own.verifying_key(), &clock).revocation(store.clone()));
    store.revoke_service("bakery-auth", "orders", Timestamp::from_unix(NOW - 1)).unwrap();
    let caller = caller(&verifier, own, &clock);
    let epoch = RevocationStore::epoch(&store);
    let at = |ahead: i64| {
        clock.0.store(NOW - ahead, Ordering::SeqCst);
        let moment = caller.recorder().moment();
        [epoch, None].map(|epoch| caller.check_again(moment, epoch).err().map(|denial| denial.code()))
    };
    assert_eq!(at(0), [None; 2]);
    assert_eq!(at(60), [None; 2], "a minute ahead");
    assert_eq!(
        at(61),
        [Some(Code::Revoked); 2],
        "by a clock that was set back, it may have been minted before"
    );
    assert_eq!(at(60), [None; 2]);
}

#[test]
fn a_key_that_is_revoked_and_retired_at_once_is_reported_by_the_first_stage() {
    let (clock, own, store) = (clock(), key(Algorithm::ES256), MemoryRevocations::new());
    let switch = Switch::of(own.verifying_key());
    let verifier = built(builder(switch.clone(), &clock).revocation(store.clone()));
    let caller = caller(&verifier, own, &clock);
    store.revoke_key("bakery-auth", "k1").unwrap();
    switch.to(Some(SigningKey::generate(Algorithm::ES256).unwrap().verifying_key().into()));
    clock.0.store(i64::MAX, Ordering::SeqCst);
    assert_eq!(later(&caller), Some(Code::UnknownKey));
}

#[test]
fn dropping_the_verifier_and_its_callers_frees_all_memory() {
    let (clock, own) = (clock(), key(Algorithm::ES256));
    let switch = Switch::of(own.verifying_key());
    let verifier = built(builder(switch.clone(), &clock));
    let issuer = Issuer::builder().issuer("bakery-auth").key(own).clock(clock.clone()).build().unwrap();
    let token = issuer.token_for("orders").mint().unwrap();
    // The third comes from the cache.
    let callers: Vec<_> = (0..3).map(|_| verifier.verify(token.as_str()).unwrap()).collect();
    assert_eq!(verifier.token_cache_hits(), 1);
    let held = verifier.weak();
    drop(verifier);
    assert!(held().is_none(), "a caller does not keep its verifier");
    drop(callers);
    assert_eq!(Arc::strong_count(&switch.0), 1, "and nothing keeps the source of keys");
}
