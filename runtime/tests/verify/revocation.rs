//! Revoked tokens are refused at once, and an outage of the store means what was chosen.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use service_only::{
    Algorithm, Verifier,
    audit::NoAudit,
    clock::{FixedClock, Timestamp},
    error::Code,
    issue::{Issuer, MintedToken, SigningKey},
    revocation::{MemoryRevocations, PresentedToken, RevocationOutage, RevocationStatus, RevocationStore},
    verifier::VerifierBuilder,
};

const NOW: i64 = 1_767_225_600;
const CLOCK: FixedClock = FixedClock(Timestamp::from_unix(NOW));

fn world() -> (Issuer, VerifierBuilder) {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let builder =
        Verifier::builder().issuer("bakery-auth").keys(key.verifying_key()).clock(CLOCK).audit(NoAudit);
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).clock(CLOCK).build().unwrap();
    (issuer, builder)
}

fn mint(issuer: &Issuer, service: &str) -> MintedToken {
    issuer.token_for(service).mint().unwrap()
}

fn verdict(verifier: &Verifier, token: &str) -> Option<Code> {
    verifier.verify(token).err().map(|denial| denial.code())
}

#[test]
fn a_token_is_refused_from_the_moment_it_is_revoked() {
    let (issuer, builder) = world();
    let revocations = MemoryRevocations::new();
    let verifier = builder.revocation(revocations.clone()).build().unwrap();
    let (token, other) = (mint(&issuer, "orders"), mint(&issuer, "orders"));
    assert_eq!(verdict(&verifier, token.as_str()), None);
    let claims = token.claims();
    revocations
        .revoke_token("bakery-auth", claims.jti.as_deref().unwrap(), Timestamp::from_unix(claims.exp))
        .unwrap();
    let denial = verifier.verify(token.as_str()).unwrap_err();
    assert_eq!((denial.code(), denial.status()), (Code::Revoked, 401));
    assert_eq!(verdict(&verifier, other.as_str()), None);
}

#[test]
fn a_service_and_a_key_are_revoked_as_a_whole() {
    let (issuer, builder) = world();
    let revocations = MemoryRevocations::new();
    let verifier = builder.revocation(revocations.clone()).build().unwrap();
    let (orders, sales) = (mint(&issuer, "orders"), mint(&issuer, "sales"));
    revocations.revoke_service("bakery-auth", "orders", Timestamp::from_unix(NOW)).unwrap();
    assert_eq!(verdict(&verifier, orders.as_str()), Some(Code::Revoked));
    assert_eq!(verdict(&verifier, sales.as_str()), None);
    revocations.revoke_key("bakery-auth", issuer.key().kid().as_str()).unwrap();
    assert_eq!(verdict(&verifier, sales.as_str()), Some(Code::Revoked));
}

#[test]
fn another_text_of_a_revoked_token_is_revoked_too() {
    // An ECDSA signature (r, s) has a twin (r, n - s); a store that names tokens by a hash of their
    // text would let it in. Two signatures over the same claims stand for the twin here.
    let (issuer, builder) = world();
    let revocations = MemoryRevocations::new();
    let verifier = builder.revocation(revocations.clone()).build().unwrap();
    let token = mint(&issuer, "orders");
    let (signed, _) = token.as_str().rsplit_once('.').unwrap();
    let again = issuer.key().sign(signed.as_bytes()).unwrap();
    let again = format!(
        "{signed}.{}",
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, again)
    );
    assert!(again != token.as_str() && verdict(&verifier, &again).is_none());
    let claims = token.claims();
    revocations
        .revoke_token("bakery-auth", claims.jti.as_deref().unwrap(), Timestamp::from_unix(claims.exp))
        .unwrap();
    assert_eq!(verdict(&verifier, &again), Some(Code::Revoked));
}

/// A store that can be taken down.
#[derive(Clone, Default)]
struct Flaky {
    down: Arc<AtomicBool>,
}

impl RevocationStore for Flaky {
    fn status(&self, _: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        if self.down.load(Ordering::SeqCst) {
            return Err(RevocationOutage::new("the database is down"));
        }
        Ok(RevocationStatus::Good)
    }
}

/// Tests of outages take turns: while one thread logs something for the first time and nobody listens,
/// `tracing` may not hear that somebody begins to.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A verifier with such a store, which lets tokens in during an outage or does not.
fn flaky_world(accept: bool) -> (Issuer, Flaky, Verifier) {
    let (issuer, builder) = world();
    let store = Flaky::default();
    let builder = builder.revocation(store.clone());
    let builder = if accept { builder.dangerously_accept_on_revocation_outage() } else { builder };
    (issuer, store, builder.build().unwrap())
}

#[test]
fn an_outage_refuses_unless_configured_otherwise() {
    let _turn = alone();
    for accept in [false, true] {
        let (issuer, store, verifier) = flaky_world(accept);
        let token = mint(&issuer, "orders");
        assert_eq!(verdict(&verifier, token.as_str()), None);
        store.down.store(true, Ordering::SeqCst);
        match verifier.verify(token.as_str()) {
            Ok(_) => assert!(accept),
            Err(denial) => {
                assert_eq!((denial.code(), denial.status()), (Code::RevocationUnavailable, 503));
                assert!(!accept);
            }
        }
        // Nobody who is not authentic gets as far as the store.
        assert_eq!(verdict(&verifier, "a.b.c"), Some(Code::Malformed));
    }
}

#[test]
fn an_outage_is_logged_with_the_message_of_the_store() {
    let _turn = alone();
    let (issuer, builder) = world();
    let store = Flaky::default();
    let verifier = builder.revocation(store.clone()).build().unwrap();
    store.down.store(true, Ordering::SeqCst);
    let denial = verifier.verify(mint(&issuer, "orders").as_str()).unwrap_err();
    assert_eq!(denial.reason(), "revocation cannot be checked: the database is down");
}

/// The lines of a log.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_outage_is_logged_once_at_its_start_and_once_at_its_end() {
    let _turn = alone();
    for accept in [false, true] {
        let (issuer, store, verifier) = flaky_world(accept);
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            for is_down in [false, true, false, true] {
                store.down.store(is_down, Ordering::SeqCst);
                for _ in 0..3 {
                    let _ = verifier.verify(mint(&issuer, "orders").as_str());
                }
            }
        });
        let said = lines.text();
        assert_eq!(said.matches("revocation cannot be checked").count(), 2, "{said}");
        let meaning = format!("lets_in={accept}");
        assert_eq!(said.matches(&meaning).count(), 2, "who is let in unchecked is told: {said}");
        assert_eq!(said.matches("revocation can be checked again").count(), 1, "{said}");
    }
}

/// A token with any `iat`, signed by hand: an issuer of ours would not mint it.
fn issued_at(key: &SigningKey, kind: &str, iat: serde_json::Value) -> String {
    let mut claims = serde_json::json!({
        "sub": "orders", "iss": "bakery-auth", "exp": NOW + 86_400, "jti": "j1", "type": kind,
    });
    if kind == "service" {
        claims["service"] = "orders".into();
        claims["is_service"] = true.into();
    }
    if !iat.is_null() {
        claims["iat"] = iat;
    }
    let part = |json: serde_json::Value| {
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, json.to_string())
    };
    let header = serde_json::json!({"alg": key.algorithm(), "kid": key.kid()});
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(signed.as_bytes()).unwrap();
    let signature = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature);
    format!("{signed}.{signature}")
}

fn by_hand(leeway: u64) -> (SigningKey, VerifierBuilder) {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let builder =
        Verifier::builder().issuer("bakery-auth").keys(key.verifying_key()).clock(CLOCK).audit(NoAudit);
    (key, builder.leeway(std::time::Duration::from_secs(leeway)))
}

#[test]
fn a_token_from_the_future_does_not_outlive_a_revocation_of_its_service() {
    for leeway in [0, 30] {
        let (key, builder) = by_hand(leeway);
        let revocations = MemoryRevocations::new();
        let verifier = builder.revocation(revocations.clone()).build().unwrap();
        let verdict = |iat: serde_json::Value| {
            let token = issued_at(&key, "service", iat);
            // The third is answered by the cache, if it is good.
            [0, 1, 2].map(|_| verdict(&verifier, &token))
        };
        let ahead = NOW + i64::try_from(leeway).unwrap() + 60;
        assert_eq!(verdict((NOW * 1000).into()), [None; 3], "nothing is revoked yet");
        revocations.revoke_service("bakery-auth", "orders", Timestamp::from_unix(NOW)).unwrap();
        for iat in [NOW - 1, NOW, ahead + 1, NOW + 7200, NOW * 1000, i64::MAX] {
            assert_eq!(verdict(iat.into()), [Some(Code::Revoked); 3], "{leeway} {}", iat - NOW);
        }
        assert_eq!(verdict(serde_json::Value::Null), [Some(Code::Revoked); 3]);
        assert_eq!(verdict((ahead as f64 + 1.5).into()), [Some(Code::Revoked); 3]);
        assert_eq!(verdict(1e300.into()), [Some(Code::Revoked); 3]);
        // The clocks may be apart by so much.
        for iat in [NOW + 1, ahead] {
            assert_eq!(verdict(iat.into()), [None; 3], "{leeway} {}", iat - NOW);
        }
    }
}

/// Writes down what it is asked.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Option<i64>>>>);

impl RevocationStore for Asked {
    fn status(&self, token: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        self.0.lock().unwrap().push(token.issued_at);
        Ok(RevocationStatus::Good)
    }
}

#[test]
fn a_store_gets_no_issue_time_that_does_not_prove_an_age() {
    let (key, builder) = by_hand(0);
    let store = Asked::default();
    let verifier = builder.revocation(store.clone()).build().unwrap();
    for kind in ["service", "access"] {
        for (iat, told) in
            [(NOW - 5, Some(NOW - 5)), (NOW + 60, Some(NOW + 60)), (NOW + 61, None), (NOW * 1000, None)]
        {
            let token = issued_at(&key, kind, iat.into());
            for _ in 0..3 {
                verifier.authenticate(&token).unwrap();
            }
            assert_eq!(std::mem::take(&mut *store.0.lock().unwrap()), [told; 3], "{kind} {}", iat - NOW);
        }
    }
}
