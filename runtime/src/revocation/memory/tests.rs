//! Revocations in memory: which tokens they cover, how many are allowed, and when they are removed.

use std::sync::atomic::AtomicI64;

use super::*;
use crate::clock::{FixedClock, Timestamp};

const NOW: i64 = 1_767_225_600;

fn store(limit: usize) -> MemoryRevocations {
    MemoryRevocations::with_limit(limit, FixedClock(Timestamp::from_unix(NOW)))
}

fn token(jti: &str) -> PresentedToken<'_> {
    PresentedToken {
        issuer: "bakery-auth",
        jti: Some(jti),
        service: Some("orders"),
        issued_at: Some(NOW - 60),
        key_id: Some("k1"),
    }
}

fn status(store: &MemoryRevocations, token: PresentedToken<'_>) -> RevocationStatus {
    store.status(&token).unwrap()
}

#[test]
fn a_token_is_revoked_by_issuer_and_jti_together() {
    let store = store(10);
    store.revoke_token("bakery-auth", "j1", Timestamp::from_unix(NOW + 60)).unwrap();
    assert_eq!(status(&store, token("j1")), RevocationStatus::TokenRevoked);
    assert_eq!(status(&store, token("j2")), RevocationStatus::Good);
    assert_eq!(status(&store, PresentedToken { issuer: "other", ..token("j1") }), RevocationStatus::Good);
    assert_eq!(status(&store, PresentedToken { jti: None, ..token("j1") }), RevocationStatus::Good);
}

#[test]
fn the_later_expiry_of_a_token_that_is_revoked_twice_applies() {
    for (first, second) in [(60, 3_600), (3_600, 60), (3_600, 3_600)] {
        let hands = Hands::default();
        let store = hands.store(10);
        for seconds in [first, second] {
            store.revoke_token("bakery-auth", "j1", Timestamp::from_unix(NOW + seconds)).unwrap();
        }
        assert_eq!(store.len(), 1);
        // Another token is revoked, which removes what has expired.
        hands.pass(3_600);
        store.revoke_token("bakery-auth", "j2", Timestamp::from_unix(NOW + 9_000)).unwrap();
        assert_eq!(status(&store, token("j1")), RevocationStatus::TokenRevoked, "{first} {second}");
        assert!(store.undo_token("bakery-auth", "j1"));
        assert_eq!((status(&store, token("j1")), store.len()), (RevocationStatus::Good, 1));
    }
}

#[test]
fn a_shortened_revocation_of_a_service_covers_fewer_tokens() {
    let store = store(10);
    assert!(store.is_empty());
    store.revoke_service("bakery-auth", "orders", Timestamp::from_unix(NOW)).unwrap();
    store.shorten_service("bakery-auth", "orders", Timestamp::from_unix(NOW - 60));
    let at = |issued_at| status(&store, PresentedToken { issued_at, ..token("j1") });
    assert_eq!(at(Some(NOW - 60)), RevocationStatus::ServiceRevoked);
    assert_eq!(at(Some(NOW - 59)), RevocationStatus::Good);
    store.shorten_service("bakery-auth", "sales", Timestamp::from_unix(NOW));
    assert_eq!((store.len(), store.is_empty()), (1, false), "it adds no revocation");
    assert_eq!(format!("{store:?}"), "MemoryRevocations { len: 1, .. }");
}

#[test]
fn a_full_store_names_its_limit_and_the_next_step() {
    let store = store(1);
    store.revoke_key("bakery-auth", "k1").unwrap();
    let full = store.revoke_key("bakery-auth", "k2").unwrap_err().to_string();
    assert_eq!(full, "the store holds 1 revocations, its limit; revoke the service or the key instead");
}

#[test]
fn a_service_is_revoked_up_to_and_within_a_second() {
    let store = store(10);
    store.revoke_service("bakery-auth", "orders", Timestamp::from_unix(NOW)).unwrap();
    let at = |issued_at| status(&store, PresentedToken { issued_at, ..token("j1") });
    assert_eq!(at(Some(NOW - 1)), RevocationStatus::ServiceRevoked);
    assert_eq!(at(Some(NOW)), RevocationStatus::ServiceRevoked);
    assert_eq!(at(Some(NOW + 1)), RevocationStatus::Good);
    assert_eq!(at(None), RevocationStatus::ServiceRevoked, "its age is unknown");
    let sales = PresentedToken { service: Some("sales"), ..token("j1") };
    assert_eq!(status(&store, sales), RevocationStatus::Good);
    store.revoke_service("bakery-auth", "orders", Timestamp::from_unix(NOW - 3600)).unwrap();
    assert_eq!(at(Some(NOW)), RevocationStatus::ServiceRevoked, "an earlier instant takes nothing back");
}

#[test]
fn a_key_is_revoked_with_all_that_it_signed() {
    let store = store(10);
    store.revoke_key("bakery-auth", "k1").unwrap();
    assert_eq!(status(&store, token("j1")), RevocationStatus::KeyRevoked);
    assert_eq!(status(&store, PresentedToken { key_id: Some("k2"), ..token("j1") }), RevocationStatus::Good);
}

#[test]
fn a_full_store_refuses_new_entries_and_drops_none() {
    let store = store(2);
    store.revoke_token("bakery-auth", "j1", Timestamp::from_unix(NOW + 60)).unwrap();
    store.revoke_token("bakery-auth", "j2", Timestamp::from_unix(NOW + 60)).unwrap();
    assert!(store.revoke_token("bakery-auth", "j3", Timestamp::from_unix(NOW + 60)).is_err());
    assert!(store.revoke_key("bakery-auth", "k1").is_err());
    assert!(store.revoke_service("bakery-auth", "orders", Timestamp::from_unix(NOW)).is_err());
    store.revoke_token("bakery-auth", "j1", Timestamp::from_unix(NOW + 90)).unwrap();
    for jti in ["j1", "j2"] {
        assert_eq!(status(&store, token(jti)), RevocationStatus::TokenRevoked);
    }
    assert_eq!(store.len(), 2);
}

/// An adjustable clock, and a monotonic one.
#[derive(Clone, Default)]
struct Hands(Arc<[AtomicI64; 2]>);

impl Hands {
    fn store(&self, limit: usize) -> MemoryRevocations {
        self.0[0].store(NOW, Ordering::SeqCst);
        let own = self.clone();
        let ticks = move || Duration::from_secs(u64::try_from(own.0[1].load(Ordering::SeqCst)).unwrap());
        MemoryRevocations::with_ticks(limit, self.clone(), ticks)
    }

    fn set(&self, unix: i64) {
        self.0[0].store(unix, Ordering::SeqCst);
    }

    fn pass(&self, seconds: i64) {
        for hand in self.0.iter() {
            hand.fetch_add(seconds, Ordering::SeqCst);
        }
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0[0].load(Ordering::SeqCst))
    }
}

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

#[test]
fn a_clock_that_jumps_ahead_and_back_loses_no_revocation() {
    for after in [0, YEAR] {
        let hands = Hands::default();
        let store = hands.store(10);
        hands.pass(after);
        let now = NOW + after;
        store.revoke_token("bakery-auth", "j1", Timestamp::from_unix(now + HOUR)).unwrap();
        hands.set(now + YEAR);
        store.revoke_token("bakery-auth", "j2", Timestamp::from_unix(now + HOUR)).unwrap();
        hands.pass(HOUR / 2);
        store.revoke_key("bakery-auth", "k2").unwrap();
        hands.set(now + HOUR / 2);
        store.revoke_key("bakery-auth", "k3").unwrap();
        for jti in ["j1", "j2"] {
            assert_eq!(status(&store, token(jti)), RevocationStatus::TokenRevoked, "{jti} after {after}");
        }
        // The corrected time removes them.
        hands.pass(2 * HOUR);
        store.revoke_key("bakery-auth", "k3").unwrap();
        assert_eq!(store.len(), 2, "the keys");
    }
}

#[test]
fn dropped_entries_are_read_again_when_the_clock_is_set_back() {
    let hands = Hands::default();
    let store = hands.store(10);
    store.revoke_token("bakery-auth", "j1", Timestamp::from_unix(NOW + 60)).unwrap();
    hands.pass(2 * HOUR);
    assert!(
        !store.pass_over(Timestamp::from_unix(NOW + HOUR)) && !store.remember(),
        "nothing is forgotten yet"
    );
    store.revoke_key("bakery-auth", "k1").unwrap();
    assert_eq!((store.len(), store.remember()), (1, false));
    hands.set(NOW + 359);
    assert_eq!((store.remember(), store.remember()), (true, false), "once");
    hands.set(NOW + YEAR);
    assert!(store.pass_over(Timestamp::from_unix(NOW + 60)) && !store.remember());
    hands.set(NOW);
    assert!(store.remember());
    // A token is passed over from the second on in which its revocation would be removed.
    let last = Timestamp::from_unix(NOW).plus(MAX_LEEWAY + patient::PATIENCE).unix();
    for (now, is_passed_over) in [(last - 1, false), (last, true)] {
        hands.set(now);
        assert_eq!(store.pass_over(Timestamp::from_unix(NOW)), is_passed_over, "{now}");
    }
}

#[test]
fn a_store_full_of_expired_entries_makes_room_for_new_ones() {
    let hands = Hands::default();
    let store = hands.store(1000);
    for index in 0..1000 {
        store.revoke_token("bakery-auth", &index.to_string(), Timestamp::from_unix(NOW + 60)).unwrap();
    }
    hands.pass(YEAR);
    store.revoke_key("bakery-auth", "k1").unwrap();
    assert!(store.len() < 1000);
    assert_eq!(status(&store, token("j1")), RevocationStatus::KeyRevoked);
}

#[test]
fn entries_are_dropped_when_their_tokens_have_expired_with_every_leeway() {
    let hands = Hands::default();
    let store = hands.store(3);
    hands.pass(HOUR);
    store.revoke_token("bakery-auth", "old", Timestamp::from_unix(NOW + HOUR)).unwrap();
    store.revoke_token("bakery-auth", "lives-by-leeway", Timestamp::from_unix(NOW + HOUR + 1)).unwrap();
    hands.pass(300);
    store.revoke_token("bakery-auth", "new", Timestamp::from_unix(NOW + 2 * HOUR)).unwrap();
    assert_eq!(status(&store, token("old")), RevocationStatus::Good);
    assert_eq!(status(&store, token("lives-by-leeway")), RevocationStatus::TokenRevoked);
    assert_eq!(store.len(), 2);
}

#[test]
fn an_undone_token_is_accepted_unless_another_revocation_covers_it() {
    let hands = Hands::default();
    let store = hands.store(3);
    store.revoke_token("bakery-auth", "j1", Timestamp::from_unix(NOW + HOUR)).unwrap();
    store.revoke_key("bakery-auth", "k1").unwrap();
    let epoch = store.epoch();
    assert!(store.undo_key("bakery-auth", "k1"));
    assert_eq!(Arc::new(store.clone()).epoch(), store.epoch());
    assert_ne!(store.epoch(), epoch, "what was known of tokens is asked again");
    assert_eq!(status(&store, token("j1")), RevocationStatus::TokenRevoked);
    assert!(store.undo_token("bakery-auth", "j1"));
    assert_eq!(status(&store, token("j1")), RevocationStatus::Good);
    store.revoke_service("bakery-auth", "orders", Timestamp::from_unix(i64::MAX)).unwrap();
    assert_eq!(status(&store, token("j1")), RevocationStatus::ServiceRevoked);
    assert!(store.undo_service("bakery-auth", "orders"));
    assert_eq!((status(&store, token("j1")), store.len()), (RevocationStatus::Good, 0));
    for undone in [
        store.undo_token("bakery-auth", "j1"),
        store.undo_service("another", "orders"),
        store.undo_key("bakery-auth", "k1"),
    ] {
        assert!(!undone, "there is nothing to undo");
    }
    // No part of it is left to be removed later.
    hands.pass(YEAR);
    for name in ["a", "b", "c"] {
        store.revoke_key("bakery-auth", name).unwrap();
    }
    assert_eq!(store.len(), 3);
}
