//! The settings of the revocation reader, with a reason for each default.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Duration,
};

use service_only::{
    __satellite::Stopwatch,
    clock::{Clock, SystemClock},
    revocation::MemoryRevocations,
};
use tokio::sync::watch;

use super::{NEVER, Running, Shared, SqlRevocations, reader::Reader};
use crate::background::Background;
use crate::store::{Address, StoreError};

/// With a shorter interval, the database would only serve polls.
const MIN_POLL: Duration = Duration::from_millis(10);

/// Settings of [`SqlRevocations`].
#[must_use]
pub struct SqlRevocationsBuilder {
    url: String,
    poll: Duration,
    max_silence: Duration,
    limit: usize,
    clock: Arc<dyn Clock>,
}

impl SqlRevocationsBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self {
            url,
            poll: SqlRevocations::DEFAULT_POLL_INTERVAL,
            max_silence: SqlRevocations::DEFAULT_MAX_SILENCE,
            limit: MemoryRevocations::MAX_REVOCATIONS,
            clock: Arc::new(SystemClock),
        }
    }

    /// How often to poll the database, at least 10 ms [default: 400 ms].
    pub fn poll_interval(mut self, poll: Duration) -> Self {
        self.poll = poll.max(MIN_POLL);
        self
    }

    /// How long the database may be silent before it is an outage [default: 30 s]. If it is shorter than the
    /// poll interval, there is an outage between any two polls.
    pub fn max_silence(mut self, silence: Duration) -> Self {
        self.max_silence = silence;
        self
    }

    /// The maximum number of revocations in memory [default: `MemoryRevocations::MAX_REVOCATIONS`]. More revocations are an
    /// outage.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The clock that decides when a revocation of an expired token is deleted [default: the system's]. If
    /// the clock goes back, all revocations are read again.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts the background reader. If the database cannot be reached yet, it retries; see
    /// [`loaded`](SqlRevocations::loaded).
    ///
    /// # Errors
    /// When the address is invalid, or no tokio runtime is running.
    pub fn start(self) -> Result<SqlRevocations, StoreError> {
        let address: Address = self.url.parse()?;
        let place = address.place();
        let shared = Arc::new(Shared {
            memory: MemoryRevocations::with_limit(self.limit, self.clock),
            place,
            max_silence: self.max_silence,
            since: Stopwatch::start(),
            heard_us: AtomicU64::new(NEVER),
            full: AtomicBool::new(false),
        });
        let (sender, loaded) = watch::channel(false);
        let reader = Reader::new(address, Arc::clone(&shared), self.poll, sender);
        let _reader = Background::start(&shared.place, reader.run())?;
        Ok(SqlRevocations(Arc::new(Running { shared, loaded, _reader })))
    }
}

impl fmt::Debug for SqlRevocationsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the address, which may hold a password.
        f.debug_struct("SqlRevocationsBuilder")
            .field("poll", &self.poll)
            .field("max_silence", &self.max_silence)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
