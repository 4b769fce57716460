//! The one thread that fetches keys: on schedule, and when a request wakes it.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    thread,
    time::Duration,
};

use aws_lc_rs::rand;
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};

use super::{
    Loaded, RemoteError, RemoteErrorKind, Shared,
    fetch::{Fetched, Fetcher},
    freshness::Bounds,
};
use crate::clock::{Stopwatch, Timestamp};

/// How often the thread compares the system's clock with the time of the next fetch. A timer stops while the
/// machine is suspended, but the system's clock does not.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(1);

/// How many threads of the runtime may be blocked: one by a file, the others by name resolution.
const MAX_BLOCKED: usize = 4;

pub(crate) struct Refresher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) fetcher: Fetcher,
    pub(crate) bounds: Bounds,
    /// How long requests wait for a flight, which is one fetch.
    pub(crate) wait: Duration,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) failures: u32,
}

/// The progress of the flights, by number.
#[derive(Debug, Copy, Clone, Default)]
pub(crate) struct Progress {
    /// The last flight that has ended.
    pub(crate) landed: u64,
    /// The last flight that is too slow: requests no longer wait for it.
    pub(crate) given_up: u64,
}

impl Progress {
    pub(crate) fn is_over(self, flight: u64) -> bool {
        self.landed.max(self.given_up) >= flight
    }
}

/// When a flight ended, by both clocks.
struct Landed {
    at: Timestamp,
    running: Stopwatch,
}

impl Refresher {
    /// Starts the thread, which fetches immediately and ends on `stop`.
    pub(crate) fn spawn(self) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(MAX_BLOCKED).build()?;
        let work = move || {
            let shared = Arc::clone(&self.shared);
            runtime.block_on(async {
                let stopped = pin!(shared.stop.notified());
                either(stopped, pin!(self.run())).await;
            });
            end(runtime);
        };
        thread::Builder::new().name("remote-keys".to_owned()).spawn(work).map(drop)
    }

    async fn run(mut self) {
        let _reported = Reported(Arc::clone(&self.shared));
        loop {
            let (fetched, landed) = self.fly().await;
            let delay = fetched.unwrap_or_else(|()| self.bounds.retry(self.failures, chance()));
            self.rest(delay, landed).await;
        }
    }

    /// Waits until the delay is over by the timer or by the system's clock, or until it is woken.
    async fn rest(&self, delay: Duration, Landed { running, at: since }: Landed) {
        loop {
            let left = delay.saturating_sub(running.elapsed());
            let woken = tokio::time::timeout(left.min(LOOK_AT_CLOCK), self.shared.wake.notified()).await;
            let passed = self.shared.clock.now().since(since).unwrap_or_default();
            if woken.is_ok() || running.elapsed().max(passed) >= delay {
                return;
            }
        }
    }

    /// Fetches once, and returns the delay until the next fetch.
    async fn fly(&mut self) -> (Result<Duration, ()>, Landed) {
        let (at, running) = (self.shared.clock.now(), Stopwatch::start());
        let flight = self.shared.gate().depart(at);
        // Every request that asked until now waits for this flight.
        pin!(self.shared.wake.notified()).enable();
        let (progress, wait) = (self.progress.clone(), self.wait);
        let fetched = {
            let fetching = pin!(self.fetcher.fetch());
            let giving_up = pin!(async move {
                tokio::time::sleep(wait).await;
                progress.send_modify(|now| now.given_up = flight);
                std::future::pending().await
            });
            either(fetching, giving_up).await
        };
        // Read the clocks before the result is published: if a clock jumps afterwards, part of the delay has passed.
        let landed = Landed { at: self.shared.clock.now(), running: Stopwatch::start() };
        let next = self.take(fetched, |keys| Loaded { keys, at, running });
        self.shared.gate().land();
        // Publish the number before any waiting request is woken.
        self.progress.send_modify(|now| now.landed = flight);
        (next, landed)
    }

    fn take(
        &mut self,
        fetched: Result<Fetched, RemoteError>,
        loaded: impl FnOnce(crate::keys::KeySet) -> Loaded,
    ) -> Result<Duration, ()> {
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
                let before = self.shared.current.load_full();
                if before.is_none_or(|before| before.keys.skipped() != keys.skipped()) {
                    keys.log_skipped(&self.shared.place);
                }
                self.shared.current.store(Some(Arc::new(loaded(keys))));
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
                    "keys cannot be fetched, the last valid keys stay in use until they are too old"
                );
                self.shared.last_error.store(Some(Arc::new(error)));
                Err(())
            }
        }
    }
}

/// Reports a panic of the thread as an error to the operator. A clock of the user may cause one. The keys
/// become too old then.
struct Reported(Arc<Shared>);

impl Drop for Reported {
    fn drop(&mut self) {
        if thread::panicking() {
            let error = RemoteError::from(RemoteErrorKind::Ended).at(&self.0.place);
            tracing::error!(target: "service_only", %error, "keys are not fetched any more");
            self.0.failures.fetch_add(1, Ordering::Relaxed);
            self.0.last_error.store(Some(Arc::new(error)));
        }
    }
}

/// Returns the output of the future that is ready first.
async fn either<T>(
    mut first: std::pin::Pin<&mut impl Future<Output = T>>,
    mut second: std::pin::Pin<&mut impl Future<Output = T>>,
) -> T {
    poll_fn(|context| match first.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(output),
        Poll::Pending => second.as_mut().poll(context),
    })
    .await
}

/// Ends the runtime without waiting for blocked threads, which may block forever.
fn end(runtime: Runtime) {
    runtime.shutdown_background();
}

/// Returns a random byte that spreads the fetches of many services. Without randomness, they are not spread.
fn chance() -> u8 {
    let mut byte = [0; 1];
    let _ = rand::fill(&mut byte);
    u8::from_ne_bytes(byte)
}
