//! The settings of the proofs of a fleet, with a reason for each default.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicU64},
        mpsc::sync_channel,
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use service_only::clock::{Clock, SystemClock};
use tokio::sync::oneshot;

use super::{Running, Shared, SqlReplays, maintain};
use crate::store::{Address, StoreError};

/// A database in the same building answers within a millisecond.
const MIN_WAIT: Duration = Duration::from_millis(10);

/// Settings of [`SqlReplays`].
#[must_use]
pub struct SqlReplaysBuilder {
    url: String,
    capacity: u64,
    wait: Duration,
    clock: Arc<dyn Clock>,
}

impl SqlReplaysBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            capacity: SqlReplays::DEFAULT_CAPACITY,
            wait: SqlReplays::DEFAULT_WAIT,
            clock: Arc::new(SystemClock),
        }
    }

    /// How many proofs the store holds, 1 to [`SqlReplays::MAX_CAPACITY`] [default: [`SqlReplays::DEFAULT_CAPACITY`]]. A
    /// full store refuses requests, because an accepted proof that is not stored could be replayed.
    pub fn capacity(self, proofs: u64) -> Self {
        Self { capacity: proofs.clamp(1, SqlReplays::MAX_CAPACITY), ..self }
    }

    /// How long a request waits for the database, 10 ms to [`SqlReplays::MAX_WAIT`] [default:
    /// [`SqlReplays::DEFAULT_WAIT`]]. The thread of the request does nothing else meanwhile.
    pub fn wait_up_to(self, wait: Duration) -> Self {
        Self { wait: wait.clamp(MIN_WAIT, SqlReplays::MAX_WAIT), ..self }
    }

    /// The clock that decides when a proof is removed [default: the system's].
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Arc::new(clock), ..self }
    }

    /// Starts the thread that connects. The store must exist. Until the database has answered, requests with proofs are
    /// refused, see [`SqlReplays::failure`].
    ///
    /// # Errors
    /// When the address is invalid, or no thread can be started.
    pub fn start(self) -> Result<SqlReplays, StoreError> {
        let address: Address = self.url.parse()?;
        let place = address.place();
        let not_started = |error| StoreError::NoRuntime { place: place.clone(), source: Box::new(error) };
        let shared = Arc::new(Shared {
            place: place.clone(),
            capacity: self.capacity,
            wait: self.wait,
            store: ArcSwapOption::empty(),
            failure: Mutex::new("the database has not answered yet".to_owned()),
            failed: AtomicU32::new(0),
            held: AtomicU64::new(0),
        });
        let (_alive, ended) = oneshot::channel();
        let (sender, runtime) = sync_channel(1);
        let maintained = maintain(Arc::clone(&shared), address, self.clock, ended);
        // Its own runtime: a request that waits must not keep the answer from arriving.
        let run = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                let _ = sender.send(Ok(runtime.handle().clone()));
                runtime.block_on(maintained);
            }
            Err(error) => drop(sender.send(Err(error))),
        };
        let thread = thread::Builder::new().name("service-only-replays".to_owned());
        thread.spawn(run).map_err(not_started)?;
        let ended = || std::io::Error::other("the thread ended");
        let runtime = runtime.recv().unwrap_or_else(|_| Err(ended())).map_err(not_started)?;
        Ok(SqlReplays(Arc::new(Running { shared, runtime, _alive })))
    }
}

impl fmt::Debug for SqlReplaysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the address, which may hold a password.
        f.debug_struct("SqlReplaysBuilder")
            .field("capacity", &self.capacity)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
