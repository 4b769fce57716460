//! Revocations of a fleet: stored in a database, answered from memory.
//!
//! A background task reads new revocations when PostgreSQL notifies of one, and also at every poll. So a lost
//! notification delays a revocation by at most half a second. A request never waits for the task. A
//! revocation that was read is refused for good. If the database cannot be read for too long, that is an
//! outage.

mod builder;
mod reader;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

pub use builder::SqlRevocationsBuilder;
use service_only::{
    __satellite::Stopwatch,
    revocation::{MemoryRevocations, PresentedToken, RevocationOutage, RevocationStatus, RevocationStore},
};
use tokio::sync::watch;

use crate::background::Background;

/// The revocations of a [`Store`](crate::Store), for every verifier of a fleet. Cheap to clone; all clones
/// share one background task, which ends with the last clone.
///
/// Three states are an outage: the first reading is not complete, the database has been silent for longer
/// than [`max_silence`](SqlRevocationsBuilder::max_silence), or there are more revocations than the limit. In
/// an outage the verifier refuses every token (503), unless you configure otherwise. A token that is known to
/// be revoked stays refused in every case.
///
/// Measured with three processes and 100,000 revoked tokens, from the revocation to the last refusal: SQLite
/// 407 ms (median of 20; at worst 425), PostgreSQL 17 ms (27), and with its notifications lost 200 ms (414).
///
/// ```no_run
/// # async fn start(keys: service_only::KeySet) -> Result<(), Box<dyn std::error::Error>> {
/// use service_only::Verifier;
/// use service_only_store::SqlRevocations;
///
/// let revocations = SqlRevocations::of("postgres://orders@db.bakery.example/tokens").start()?;
/// let verifier = Verifier::builder()
///     .issuer("bakery-auth")
///     .keys(keys)
///     .revocation(revocations)
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SqlRevocations(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
    loaded: watch::Receiver<bool>,
    _reader: Background,
}

/// What the task and the requests share.
struct Shared {
    memory: MemoryRevocations,
    place: String,
    max_silence: Duration,
    since: Stopwatch,
    /// When the database was last read completely, in microseconds; [`NEVER`] at first.
    heard_us: AtomicU64,
    full: AtomicBool,
}

const NEVER: u64 = u64::MAX;

impl SqlRevocations {
    /// A poll every 400 ms. Together with the read, the whole fleet refuses within a second even if notifications
    /// are lost.
    pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_millis(400);

    /// If the database does not answer for half a minute, it counts as down. A failover of a database takes less time.
    /// The time is short, because a revoked token may be accepted in it.
    pub const DEFAULT_MAX_SILENCE: Duration = Duration::from_secs(30);

    /// Configures the revocations of the store at this address: `sqlite:PATH` or
    /// `postgres://USER@HOST/DATABASE`.
    pub fn of(url: impl Into<String>) -> SqlRevocationsBuilder {
        SqlRevocationsBuilder::new(url.into())
    }

    /// Waits until the first reading is complete. Add a timeout if your program must not start without
    /// revocations. If it starts anyway, requests are refused until the reading is complete.
    pub async fn loaded(&self) {
        let mut loaded = self.0.loaded.clone();
        if loaded.wait_for(|loaded| *loaded).await.is_err() {
            // The task ended with its runtime, so no reading will complete.
            std::future::pending::<()>().await;
        }
    }

    /// How many revocations are in memory.
    pub fn len(&self) -> usize {
        self.0.shared.memory.len()
    }

    /// The number of revocations for a metric, without keeping the reader alive. It is `None` after the last
    /// clone is dropped.
    pub fn len_while_used(&self) -> impl Fn() -> Option<usize> + Clone + Send + Sync + use<> {
        let running = Arc::downgrade(&self.0);
        move || running.upgrade().map(|running| running.shared.memory.len())
    }

    /// Whether memory has no revocations.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl RevocationStore for SqlRevocations {
    fn status(&self, token: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        // Check memory first: a verifier may accept tokens during an outage, but never a revoked token.
        match self.0.shared.memory.status(token)? {
            RevocationStatus::Good => self.0.shared.check().map(|()| RevocationStatus::Good),
            revoked => Ok(revoked),
        }
    }

    /// `None` during an outage, so that a verifier asks `status`, which reports the outage.
    fn epoch(&self) -> Option<u64> {
        self.0.shared.check().ok().and_then(|()| self.0.shared.memory.epoch())
    }
}

impl Shared {
    /// Microseconds since the start.
    fn elapsed_us(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Checks that memory has all revocations, as far as the reader can know.
    fn check(&self) -> Result<(), RevocationOutage> {
        if self.full.load(Ordering::Acquire) {
            return Err(RevocationOutage::new("the store has more revocations than this verifier may load"));
        }
        let heard = self.heard_us.load(Ordering::Acquire);
        if heard == NEVER {
            let reason = format!("the revocations of `{}` are not loaded yet", self.place);
            return Err(RevocationOutage::new(reason));
        }
        let silence = Duration::from_micros(self.elapsed_us().saturating_sub(heard));
        if silence > self.max_silence {
            let reason = format!("`{}` was last read {} s ago", self.place, silence.as_secs());
            return Err(RevocationOutage::new(reason));
        }
        Ok(())
    }
}

impl fmt::Debug for SqlRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlRevocations")
            .field("place", &self.0.shared.place)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
