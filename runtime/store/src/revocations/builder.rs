//! How revocations are read, with a reason for each default.

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
    revocation::{MAX_REVOCATIONS, MemoryRevocations},
};
use tokio::sync::watch;

use super::{NEVER, Running, Shared, SqlRevocations, reader::Reader};
use crate::store::{Address, StoreError};

/// A poll each 400 ms: with the read itself, the whole fleet refuses within a second even where
/// notifications are lost.
pub const DEFAULT_REVOCATION_POLL: Duration = Duration::from_millis(400);

/// Half a minute without a word of the database is an outage: a failover takes less, and a leaked
/// token can do less in it than in an hour.
pub const DEFAULT_MAX_SILENCE: Duration = Duration::from_secs(30);

/// Below that, a poll would be all that the database does.
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
            poll: DEFAULT_REVOCATION_POLL,
            max_silence: DEFAULT_MAX_SILENCE,
            limit: MAX_REVOCATIONS,
            clock: Arc::new(SystemClock),
        }
    }

    /// How often the database is asked, at least 10 ms [default: 400 ms].
    pub fn poll_interval(mut self, poll: Duration) -> Self {
        self.poll = poll.max(MIN_POLL);
        self
    }

    /// How long the database may be silent before it is an outage [default: 30 s]. A duration below
    /// the poll's makes every moment between two polls one.
    pub fn max_silence(mut self, silence: Duration) -> Self {
        self.max_silence = silence;
        self
    }

    /// How many revocations are held at most [default: [`MAX_REVOCATIONS`]]. More are an outage.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The clock that revocations are forgotten by, when their tokens have expired [default: the system's].
    /// When it goes back, all are read again.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts to read in the background. A database that cannot be reached yet is tried again and
    /// again; see [`loaded`](SqlRevocations::loaded).
    ///
    /// # Errors
    /// When the address is none, or there is no tokio runtime to read in.
    pub fn start(self) -> Result<SqlRevocations, StoreError> {
        let address: Address = self.url.parse()?;
        let place = address.place();
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|error| StoreError::Refused { place: place.clone(), reason: error.to_string() })?;
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
        let task = runtime.spawn(reader.run()).abort_handle();
        Ok(SqlRevocations(Arc::new(Running { shared, loaded, task })))
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
