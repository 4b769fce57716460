//! The one task that fetches: on time, and when it is woken.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use aws_lc_rs::rand;
use tokio::sync::watch;

use super::{
    Loaded, RemoteError, Shared,
    fetch::{Fetched, Fetcher},
    freshness::Bounds,
};

pub(super) struct Refresher {
    pub(super) shared: Arc<Shared>,
    pub(super) fetcher: Fetcher,
    pub(super) bounds: Bounds,
    pub(super) landed: watch::Sender<u64>,
    pub(super) failures: u32,
}

impl Refresher {
    /// Never ends by itself; it is aborted.
    pub(super) async fn run(mut self, first: Duration) {
        let mut delay = first;
        loop {
            // Either way it is time.
            let _ = tokio::time::timeout(delay, self.shared.wake.notified()).await;
            delay = self.fly().await.unwrap_or_else(|_| self.bounds.retry(self.failures, chance()));
        }
    }

    /// Fetches once, and says when to do so again.
    pub(super) async fn fly(&mut self) -> Result<Duration, RemoteError> {
        self.shared.gate().depart(self.shared.clock.now());
        // Whoever called until now is on this flight.
        pin!(self.shared.wake.notified()).enable();
        let fetched = self.fetcher.fetch().await;
        let next = self.take(fetched);
        let flight = self.shared.gate().land();
        // Published before anybody who waits is woken.
        self.landed.send_replace(flight);
        next
    }

    fn take(&mut self, fetched: Result<Fetched, RemoteError>) -> Result<Duration, RemoteError> {
        match fetched {
            Ok(Fetched { keys, fresh_for }) => {
                self.failures = 0;
                let next = self.bounds.next(fresh_for, chance());
                tracing::debug!(
                    target: "service_only",
                    place = self.shared.place,
                    keys = keys.len(),
                    skipped = keys.skipped().len(),
                    next_s = next.as_secs(),
                    "keys fetched"
                );
                let at = self.shared.clock.now();
                self.shared.current.store(Some(Arc::new(Loaded { keys, at })));
                self.shared.last_error.store(None);
                Ok(next)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    target: "service_only",
                    place = self.shared.place,
                    %error,
                    failures = self.failures,
                    "keys cannot be fetched, the last good ones stay in use until they are too old"
                );
                self.shared.last_error.store(Some(Arc::new(error.clone())));
                Err(error)
            }
        }
    }
}

/// Spreads fetches of many services. Where there is no randomness, they are not spread.
fn chance() -> u8 {
    let mut byte = [0; 1];
    let _ = rand::fill(&mut byte);
    u8::from_ne_bytes(byte)
}
