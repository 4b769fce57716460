//! What a token that is known from before costs in memory: nothing at a hit, and so much to be known.

use std::time::Duration;

use service_only::{
    Algorithm, Verifier,
    audit::NoAudit,
    clock::{FixedClock, Timestamp},
    issue::{Issuer, SigningKey},
    keys::KeyRing,
    revocation::MemoryRevocations,
    verifier::VerifierBuilder,
};
use service_only_testkit::TestAuthority;

const NOW: i64 = 1_767_225_600;
const CLOCK: FixedClock = FixedClock(Timestamp::from_unix(NOW));

/// The most that a token may take, in bytes, for its table to keep to its bound.
const BYTES_A_TOKEN: i64 = 2_048;

fn world(algorithm: Algorithm) -> (VerifierBuilder, Issuer) {
    let key = SigningKey::generate(algorithm).unwrap();
    let builder = Verifier::builder().issuer("bakery-auth").clock(CLOCK).audit(NoAudit);
    // A key that rotates, so that its time is looked at too.
    let ring = KeyRing::with_clock(key.verifying_key(), Duration::from_secs(3600), CLOCK).unwrap();
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).clock(CLOCK).build().unwrap();
    (builder.keys(ring).revocation(MemoryRevocations::new()), issuer)
}

#[test]
fn a_cached_token_is_verified_without_an_allocation() {
    for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA] {
        let (builder, issuer) = world(algorithm);
        let verifier = builder.build().unwrap();
        let token = issuer.token_for("orders").mint().unwrap();
        let verify = || drop(verifier.verify(token.as_str()).unwrap());
        (0..3).for_each(|_| verify());
        let hits = verifier.token_cache_hits();
        assert_eq!(allocation_counter::measure(verify).count_total, 0, "{algorithm}");
        assert_eq!(verifier.token_cache_hits(), hits + 1);
    }
}

#[test]
fn claims_of_a_cached_token_are_read_without_an_allocation() {
    #[derive(serde::Deserialize)]
    struct Tenant {
        tenant_id: String,
    }
    let authority = TestAuthority::new();
    let verifier = authority.verifier_builder().audit(NoAudit).build().unwrap();
    let token = authority.service("orders").claim("tenant_id", "t-1").token();
    let read = || {
        let caller = verifier.verify(token.as_str()).unwrap();
        assert_eq!(caller.claim("tenant_id").unwrap(), "t-1");
        assert_eq!(caller.claims_as::<Tenant>().unwrap().tenant_id, "t-1");
    };
    (0..3).for_each(|_| read());
    assert_eq!(allocation_counter::measure(read).count_total, 0);
}

#[test]
fn a_token_without_claims_of_its_own_keeps_no_payload() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier_builder().audit(NoAudit).without_token_cache().build().unwrap();
    let own = authority.service("orders").claim("tenant_id", "t-1").token();
    let known = authority.service("orders").token();
    let count = |token: &str| {
        let verify = || drop(verifier.verify(token).unwrap());
        verify();
        allocation_counter::measure(verify).count_total
    };
    // The copy of the payload, which is kept with the token, and the list of unknown names of the strict parser. Which
    // handlers read own claims is unknown here.
    assert_eq!(count(own.as_str()) - count(known.as_str()), 2);
}

#[test]
fn a_cached_token_uses_at_most_its_counted_bytes() {
    const TOKENS: i64 = 1_000;
    let (builder, issuer) = world(Algorithm::ES256);
    let verifier = builder.build().unwrap();
    let tokens: Vec<_> = (0..TOKENS).map(|_| issuer.token_for("orders").mint().unwrap()).collect();
    let remember = || {
        for token in &tokens {
            (0..2).for_each(|_| drop(verifier.verify(token.as_str()).unwrap()));
        }
    };
    let each = allocation_counter::measure(remember).bytes_current / TOKENS;
    eprintln!("{each} bytes for a token of {} bytes", tokens.first().unwrap().as_str().len());
    assert!(each < BYTES_A_TOKEN, "{each} bytes");
    let before = verifier.token_cache_hits();
    tokens.iter().for_each(|token| drop(verifier.verify(token.as_str()).unwrap()));
    assert_eq!(verifier.token_cache_hits() - before, TOKENS.unsigned_abs(), "all of them are known");
}

#[test]
fn a_revocation_uses_a_few_hundred_bytes_and_its_check_none() {
    const TOKENS: i64 = 100_000;
    let store = MemoryRevocations::new();
    let names: Vec<_> = (0..TOKENS).map(|index| format!("76514ef5-446e-4842-932c-{index:012}")).collect();
    let revoke = || {
        for name in &names {
            store.revoke_token("bakery-auth", name, Timestamp::from_unix(i64::MAX)).unwrap();
        }
    };
    let each = allocation_counter::measure(revoke).bytes_current / TOKENS;
    eprintln!("{each} bytes for a revoked token");
    assert!(each < 300, "{each} bytes");
}
