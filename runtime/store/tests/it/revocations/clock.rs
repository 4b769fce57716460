//! A clock that is wrong: what it made a verifier forget is read again when it is put right.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use service_only::clock::{Clock, SystemClock, Timestamp};

use super::*;

/// The system's clock, and how many seconds it is ahead.
#[derive(Clone, Default)]
struct Ahead(Arc<AtomicI64>);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(SystemClock.now().unix() + self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_revocation_dropped_by_a_clock_jump_is_read_again() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let (token, good) = (mint("orders"), mint("orders"));
        store.revoke(&revocation(&token)).await.unwrap();
        let clock = Ahead::default();
        clock.0.store(2 * 365 * 24 * 3600, Ordering::SeqCst);
        let revocations = SqlRevocations::of(&database.url).clock(clock.clone()).start().unwrap();
        revocations.loaded().await;
        assert!(revocations.is_empty(), "it seems to have expired");
        let verifier = verifier(&revocations);
        assert_eq!(verdict(&verifier, &token), None, "by a verifier with a clock of its own");
        clock.0.store(0, Ordering::SeqCst);
        within(60, "it is read again", || verdict(&verifier, &token) == REVOKED).await;
        within(60, "that is no outage", || verdict(&verifier, &good).is_none()).await;
    }
}
