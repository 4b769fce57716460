//! Rotation by a ring, with the time in the test's hand.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use service_only::{
    Algorithm, KeySet, Verifier, VerifyingKey,
    error::Code,
    issue::{Issuer, MintedToken, SigningKey, SigningRing},
    keys::{KeyRing, KeySource, KeyState},
};
use service_only_testkit::ManualClock;

const HOUR: Duration = Duration::from_secs(3600);

fn key(kid: &str) -> VerifyingKey {
    VerifyingKey::hmac(Algorithm::HS256, &[7; 32]).unwrap().with_kid(kid)
}

fn ring(clock: &ManualClock) -> KeyRing {
    KeyRing::with_clock(key("a"), HOUR, clock.clone()).unwrap()
}

fn trusted(ring: &impl KeySource) -> Vec<String> {
    let keys = ring.snapshot().unwrap();
    keys.keys().iter().map(|key| key.kid().unwrap().to_string()).collect()
}

#[test]
fn a_key_is_prepared_then_active_then_retiring_then_retired() {
    let clock = ManualClock::new();
    let ring = ring(&clock);
    let state = |kid| ring.state(kid);
    assert_eq!((state("a"), state("b")), (Some(KeyState::Active), None));

    ring.prepare(key("b")).unwrap();
    assert_eq!((state("a"), state("b")), (Some(KeyState::Active), Some(KeyState::Prepared)));
    assert_eq!(trusted(&ring), ["a", "b"], "verifiers may see the new key before it signs");

    ring.activate("b").unwrap();
    let until = clock.now().plus(HOUR);
    assert_eq!((state("a"), state("b")), (Some(KeyState::Retiring), Some(KeyState::Active)));
    assert_eq!((ring.retires_at("a"), ring.retires_at("b")), (Some(until), None));
    assert_eq!(trusted(&ring), ["a", "b"]);

    clock.advance(HOUR - Duration::from_nanos(1));
    assert_eq!(trusted(&ring), ["a", "b"], "the last instant of the overlap");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(trusted(&ring), ["b"], "without anybody doing anything");
    assert_eq!((state("a"), state("b")), (Some(KeyState::Retired), Some(KeyState::Active)));
    let names: Vec<_> = ring.states().into_iter().map(|(kid, _)| kid.to_string()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_ring_publishes_a_new_set_only_when_a_key_is_retired() {
    let clock = ManualClock::new();
    let ring = ring(&clock);
    assert!(!ring.refreshes());
    assert!(format!("{ring:?}").contains("Active"), "{ring:?}");
    let before = ring.snapshot().unwrap();
    assert!(ring.snapshot().unwrap().is(&before) && ring.is_current(&before));
    ring.states();
    assert!(ring.is_current(&before), "a question changes nothing");
    ring.prepare(key("next")).unwrap();
    assert!(!ring.is_current(&before));
    ring.activate("next").unwrap();
    let overlap = ring.snapshot().unwrap();
    clock.advance(HOUR - Duration::from_secs(1));
    ring.states();
    assert!(ring.snapshot().unwrap().is(&overlap) && ring.is_current(&overlap));
    clock.advance(Duration::from_secs(1));
    assert!(!ring.is_current(&overlap) && !ring.snapshot().unwrap().is(&overlap));
}

#[test]
fn token_signed_by_retired_key_is_refused_after_overlap() {
    let clock = ManualClock::new();
    let signing = |kid| SigningKey::generate(Algorithm::ES256).unwrap().with_kid(kid);
    let ring = SigningRing::with_clock(signing("a"), HOUR, clock.clone()).unwrap();
    let verifier =
        Verifier::builder().issuer("bakery-auth").keys(ring.clone()).clock(clock.clone()).build().unwrap();
    let mint = || -> MintedToken {
        let issuer = Issuer::builder().issuer("bakery-auth").key(ring.signing_key()).clock(clock.clone());
        issuer.build().unwrap().token_for("orders").mint().unwrap()
    };
    let old = mint();
    ring.prepare(signing("b")).unwrap();
    assert_eq!(ring.signing_key().kid().as_str(), "a", "a prepared key does not sign");
    ring.activate("b").unwrap();
    let new = mint();
    assert_eq!((old.kid().as_str(), new.kid().as_str()), ("a", "b"));
    for token in [&old, &new] {
        assert!(verifier.verify(token.as_str()).is_ok(), "{token:?}");
    }
    clock.advance(HOUR);
    assert_eq!(verifier.verify(old.as_str()).unwrap_err().code(), Code::UnknownKey);
    assert!(verifier.verify(new.as_str()).is_ok());
}

#[test]
fn the_published_set_holds_what_is_prepared_active_or_retiring_and_nothing_private() {
    let clock = ManualClock::new();
    let signing = |kid| SigningKey::generate(Algorithm::EdDSA).unwrap().with_kid(kid);
    let ring = SigningRing::with_clock(signing("a"), HOUR, clock.clone()).unwrap();
    ring.prepare(signing("b")).unwrap();
    ring.activate("b").unwrap();
    ring.prepare(signing("c")).unwrap();
    let published = || KeySet::from_jwks(ring.jwks().as_bytes()).unwrap();
    assert_eq!(trusted(&published()), ["a", "b", "c"]);
    assert_eq!(trusted(&ring), ["a", "b", "c"], "others trust what we trust");
    assert!(published().skipped().is_empty() && !ring.jwks().contains("\"d\""));
    clock.advance(HOUR);
    assert_eq!(trusted(&published()), ["b", "c"]);
    ring.retire("c").unwrap();
    assert_eq!(trusted(&published()), ["b"]);

    let secret = SigningKey::hmac(Algorithm::HS256, &[7; 32]).unwrap();
    assert_eq!(SigningRing::new(secret, HOUR).unwrap().jwks(), r#"{"keys":[]}"#);
}

#[test]
fn a_key_that_was_seen_retired_does_not_come_back_when_the_clock_is_set_back() {
    type Look = fn(&KeyRing);
    let looks: [Look; 4] = [
        |ring| assert_eq!(ring.state("a"), Some(KeyState::Retired)),
        |ring| assert_eq!(ring.states().len(), 2),
        |ring| assert!(ring.activate("unknown").is_err()),
        |ring| assert_eq!(trusted(ring), ["b"]),
    ];
    for look in looks {
        let clock = ManualClock::new();
        let ring = ring(&clock);
        ring.prepare(key("b")).unwrap();
        ring.activate("b").unwrap();
        let (before, start) = (ring.snapshot().unwrap(), clock.now());
        clock.advance(HOUR);
        look(&ring);
        clock.set(start);
        assert_eq!(ring.state("a"), Some(KeyState::Retired));
        assert!(!ring.is_current(&before));
        assert_eq!(trusted(&ring), ["b"]);
    }
}

#[test]
fn a_stolen_key_is_retired_at_once() {
    let ring = ring(&ManualClock::new());
    ring.prepare(key("b")).unwrap();
    ring.activate("b").unwrap();
    let before = ring.snapshot().unwrap();
    ring.retire("a").unwrap();
    assert_eq!(trusted(&ring), ["b"]);
    assert!(before.has("a"), "a snapshot never changes");
}

#[test]
fn a_rotation_can_be_taken_back_during_the_overlap() {
    let clock = ManualClock::new();
    let ring = ring(&clock);
    ring.prepare(key("b")).unwrap();
    ring.activate("b").unwrap();
    clock.advance(HOUR / 2);
    ring.activate("a").unwrap();
    assert_eq!(ring.state("a"), Some(KeyState::Active));
    assert_eq!(ring.state("b"), Some(KeyState::Retiring));
    assert_eq!(ring.retires_at("b"), Some(clock.now().plus(HOUR)));
    clock.advance(HOUR);
    assert_eq!(trusted(&ring), ["a"]);
}

#[test]
fn invalid_steps_are_refused_without_a_change() {
    let clock = ManualClock::new();
    let unnamed = VerifyingKey::hmac(Algorithm::HS256, &[7; 32]).unwrap();
    assert!(KeyRing::new(unnamed.clone(), HOUR).is_err());
    let ring = ring(&clock);
    ring.prepare(key("b")).unwrap();
    ring.activate("b").unwrap();
    clock.advance(HOUR);
    ring.prepare(key("c")).unwrap();
    let before = ring.states();
    for (refused, says) in [
        (ring.prepare(unnamed), "needs a key id"),
        (ring.prepare(key("a")), "`a` is retired"),
        (ring.prepare(key("b")), "`b` is active"),
        (ring.prepare(key("c")), "`c` is prepared"),
        (ring.activate("a"), "`a` is retired"),
        (ring.activate("b"), "`b` is active"),
        (ring.activate("d"), "no key `d`"),
        (ring.retire("a"), "`a` is retired"),
        (ring.retire("b"), "activate another key first"),
        (ring.retire("d"), "no key `d`"),
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(ring.states(), before);
}

#[test]
fn a_clock_that_is_set_back_reactivates_no_key() {
    let clock = ManualClock::new();
    let ring = ring(&clock);
    ring.prepare(key("b")).unwrap();
    ring.activate("b").unwrap();
    clock.advance(HOUR);
    assert_eq!(trusted(&ring), ["b"]);
    clock.set(ManualClock::START);
    assert_eq!(trusted(&ring), ["b"]);
}

#[test]
fn a_ring_keeps_a_bounded_number_of_retired_keys() {
    let ring = ring(&ManualClock::new());
    for number in 0..=KeyRing::MAX_RETIRED {
        ring.prepare(key(&number.to_string())).unwrap();
        ring.retire(&number.to_string()).unwrap();
    }
    assert_eq!(ring.states().len(), KeyRing::MAX_RETIRED + 1);
    assert_eq!((ring.state("0"), ring.state("1")), (None, Some(KeyState::Retired)));
}

#[test]
fn an_issuer_signs_with_the_active_key_of_its_ring() {
    let first = SigningKey::generate(Algorithm::ES256).unwrap().with_kid("first");
    let ring = SigningRing::new(first, HOUR).unwrap();
    let issuer =
        Issuer::builder().issuer("bakery-auth").ring(ring.clone()).audience("orders").strict().build();
    let issuer = issuer.unwrap();
    let kid = || issuer.token_for("orders").mint().map(|token| token.kid().to_string());
    assert_eq!(kid().as_deref(), Ok("first"));
    ring.prepare(SigningKey::generate(Algorithm::ES256).unwrap().with_kid("second")).unwrap();
    assert_eq!(kid().as_deref(), Ok("first"));
    ring.activate("second").unwrap();
    assert_eq!(kid().as_deref(), Ok("second"));
    // A strict issuer does not follow its ring to a secret.
    ring.prepare(SigningKey::generate(Algorithm::HS256).unwrap().with_kid("secret")).unwrap();
    ring.activate("secret").unwrap();
    assert!(kid().unwrap_err().to_string().contains("key pair"));
}

#[test]
fn a_key_has_its_preparation_time_until_it_is_retired() {
    let clock = ManualClock::new();
    let ring = ring(&clock);
    let start = clock.now();
    clock.advance(HOUR);
    ring.prepare(key("b")).unwrap();
    assert_eq!((ring.prepared_at("a"), ring.prepared_at("b")), (Some(start), Some(start.plus(HOUR))));
    ring.activate("b").unwrap();
    ring.retire("a").unwrap();
    assert_eq!((ring.prepared_at("a"), ring.prepared_at("c")), (None, None));
    assert_eq!(ring.prepared_at("b"), Some(start.plus(HOUR)), "being active makes it no younger");
}

#[test]
fn a_token_of_a_replaced_key_of_another_algorithm_is_no_forgery() {
    let named = |key: SigningKey, kid: &str| key.with_kid(kid);
    let new = named(SigningKey::generate(Algorithm::ES256).unwrap(), "new");
    let verifier =
        Verifier::builder().issuer("bakery-auth").keys(KeySet::from(new.verifying_key())).build().unwrap();
    let code = |token: &str| verifier.verify(token).unwrap_err().code();
    let minted = |key: SigningKey| {
        let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
        issuer.token_for("orders").mint().unwrap().as_str().to_owned()
    };
    for algorithm in [Algorithm::HS256, Algorithm::ES384, Algorithm::EdDSA] {
        let old = minted(named(SigningKey::generate(algorithm).unwrap(), "old"));
        assert_eq!(code(&old), Code::UnknownKey, "{algorithm}");
        let forged = minted(named(SigningKey::generate(algorithm).unwrap(), "new"));
        assert_eq!(code(&forged), Code::AlgNotAllowed, "{algorithm}");
    }
    let (_, rest) =
        minted(new).split_once('.').map(|(header, rest)| (header.to_owned(), rest.to_owned())).unwrap();
    for header in [
        r#"{"alg":"none","typ":"JWT","kid":"old"}"#,
        r#"{"alg":"hs256","typ":"JWT","kid":"old"}"#,
        r#"{"alg":"HS256","typ":"JWT"}"#,
    ] {
        assert_eq!(
            code(&format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))),
            Code::AlgNotAllowed,
            "{header}"
        );
    }
}
