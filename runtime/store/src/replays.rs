//! The accepted proofs of a fleet (DPoP, RFC 9449 section 11.1), in a database that its replicas share.
//!
//! A request waits for one statement of the database. A separate thread connects, removes ended proofs and counts the
//! others. While the database does not answer, requests are refused immediately, without a wait for each.

mod builder;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
        mpsc::sync_channel,
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use service_only::{
    clock::{Clock, Timestamp},
    dpop::{ReplayError, ReplayStore, SpentProof},
};
use tokio::{runtime::Handle, sync::oneshot};

pub use self::builder::SqlReplaysBuilder;
use crate::store::{Address, Store, StoreError};

/// How often ended proofs are removed and the others counted.
const INTERVAL: Duration = Duration::from_secs(10);

/// How often a database that does not answer is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// How many statements may fail in a row before all requests are refused without a statement. One slow answer must not
/// refuse the requests of others.
const MAX_FAILED: u32 = 3;

/// The accepted proofs of DPoP of a fleet: each proof is accepted by one replica, once. Cheap to clone; all clones share
/// their connections.
///
/// Pass it to [`Dpop::replay_store`](service_only::dpop::Dpop::replay_store). A request with an accepted proof waits on its
/// thread for one statement, at most [`DEFAULT_WAIT`](Self::DEFAULT_WAIT). If the database does not answer, or the store is
/// full, the request is refused (503, `proof_unavailable`).
///
/// - The store holds a hash of each proof until no replica would accept the proof: until its end, and for
///   [`CLOCK_DIFFERENCE`](Self::CLOCK_DIFFERENCE) longer.
/// - Each replica counts the proofs every ten seconds and adds its own. So the store can exceed its
///   [capacity](SqlReplaysBuilder::capacity) by what the other replicas accept in that time.
/// - If the clock of a replica is behind by more than that difference, its requests are refused as replays. If it is ahead
///   of PostgreSQL's clock, PostgreSQL's decides which proofs have ended.
///
/// ```no_run
/// # async fn start(keys: service_only::KeySet) -> Result<(), Box<dyn std::error::Error>> {
/// use service_only::{Dpop, Verifier};
/// use service_only_store::SqlReplays;
///
/// let replays = SqlReplays::of("postgres://tokens_verifier@db.bakery.example/tokens").start()?;
/// let verifier = Verifier::builder()
///     .issuer("bakery-auth")
///     .keys(keys)
///     .dpop(Dpop::new("https://orders.internal").replay_store(replays))
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SqlReplays(Arc<Running>);

struct Running {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Its end is the end of the thread.
    _alive: oneshot::Sender<()>,
}

struct Shared {
    place: String,
    capacity: u64,
    wait: Duration,
    /// The store, while it answers.
    store: ArcSwapOption<Store>,
    /// Why it does not.
    failure: Mutex<String>,
    failed: AtomicU32,
    /// The number of proofs at the last count, and those that this process has added since.
    held: AtomicU64,
}

impl SqlReplays {
    /// How many proofs the store holds by default: for 8,000 requests a second with proofs of a minute.
    pub const DEFAULT_CAPACITY: u64 = 1_048_576;

    /// The largest capacity. A row takes about 100 bytes, and its indexes as much again.
    pub const MAX_CAPACITY: u64 = 1_000_000_000;

    /// How long a request waits for the database by default.
    pub const DEFAULT_WAIT: Duration = Duration::from_millis(500);

    /// The longest wait.
    pub const MAX_WAIT: Duration = Duration::from_secs(5);

    /// By how much the clocks of the replicas may differ. Ended proofs are stored for that long.
    pub const CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

    /// Configures the store at `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
    pub fn of(url: impl Into<String>) -> SqlReplaysBuilder {
        SqlReplaysBuilder::new(url.into())
    }

    /// Why no proof can be recorded now, for a health check; `None` while proofs can be recorded. At the start it is the
    /// reason until the database has answered.
    pub fn failure(&self) -> Option<String> {
        let shared = &self.0.shared;
        if shared.store.load().is_none() {
            return Some(shared.failure());
        }
        (shared.held.load(Ordering::Relaxed) >= shared.capacity)
            .then(|| format!("{} proofs are stored, which is the capacity", shared.capacity))
    }

    /// About how many proofs are stored: the last count, and what this process has added since. It counts no further than
    /// the capacity.
    pub fn held(&self) -> u64 {
        self.0.shared.held.load(Ordering::Relaxed)
    }

    /// The address of the store, without a password.
    pub fn place(&self) -> &str {
        &self.0.shared.place
    }
}

impl ReplayStore for SqlReplays {
    fn spend(&self, proof: &SpentProof, _: Timestamp) -> Result<(), ReplayError> {
        let shared = &self.0.shared;
        let Some(store) = shared.store.load_full() else {
            return Err(ReplayError::Unavailable(shared.failure()));
        };
        if shared.held.load(Ordering::Relaxed) >= shared.capacity {
            return Err(ReplayError::Full);
        }
        let (id, until) = (hex(proof.id()), proof.until().unix());
        let (sender, answer) = sync_channel(1);
        self.0.runtime.spawn(async move {
            // The request may have stopped waiting. Its proof stays stored, and the client signs another one.
            let _ = sender.send(store.spend_proof(&id, until).await);
        });
        match answer.recv_timeout(shared.wait) {
            Ok(Ok(is_new)) => {
                shared.failed.store(0, Ordering::Relaxed);
                if !is_new {
                    return Err(ReplayError::Replayed);
                }
                shared.held.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(error)) => Err(shared.fails(error.to_string())),
            Err(_) => Err(shared.fails(format!("no answer within {} ms", shared.wait.as_millis()))),
        }
    }
}

impl Shared {
    fn failure(&self) -> String {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a failed statement. After several in a row, requests are refused without one.
    fn fails(&self, reason: String) -> ReplayError {
        if self.failed.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= MAX_FAILED {
            self.close(reason.clone());
        }
        ReplayError::Unavailable(reason)
    }

    /// Refuses all requests until the thread has reached the database again.
    fn close(&self, reason: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.store.store(None);
    }

    /// Accepts requests again.
    fn reopen(&self, store: &Arc<Store>, held: u64) {
        self.held.store(held, Ordering::Relaxed);
        if self.store.load().is_none() {
            self.failed.store(0, Ordering::Relaxed);
            self.store.store(Some(Arc::clone(store)));
        }
    }
}

/// Connects, removes and counts, until the last handle is dropped.
async fn maintain(
    shared: Arc<Shared>,
    address: Address,
    clock: Arc<dyn Clock>,
    mut alive: oneshot::Receiver<()>,
) {
    let (mut open, mut is_out) = (None, false);
    loop {
        match pass(&shared, &address, &*clock, &mut open).await {
            Ok(()) if is_out => {
                is_out = false;
                tracing::info!(target: "service_only", place = shared.place, "proofs can be recorded again");
            }
            Ok(()) => {}
            Err(error) => {
                open = None;
                shared.close(error.to_string());
                // Logged once, not at each attempt.
                if !std::mem::replace(&mut is_out, true) {
                    let place = &shared.place;
                    tracing::error!(target: "service_only", %error, place, "proofs of DPoP cannot be recorded, so requests with them are refused");
                }
            }
        }
        if wait(&shared, &mut alive).await {
            return;
        }
    }
}

/// Waits for the next pass, which begins early if requests find that the database does not answer. `true` is the end.
async fn wait(shared: &Shared, alive: &mut oneshot::Receiver<()>) -> bool {
    for _ in 0..INTERVAL.as_secs() / RETRY.as_secs() {
        if tokio::time::timeout(RETRY, &mut *alive).await.is_ok() {
            return true;
        }
        if shared.store.load().is_none() {
            break;
        }
    }
    false
}

async fn pass(
    shared: &Shared,
    address: &Address,
    clock: &dyn Clock,
    open: &mut Option<Arc<Store>>,
) -> Result<(), StoreError> {
    let store = match open {
        Some(store) => store,
        None => {
            let store = Store::open_at(address).await?;
            store.add_proofs_table().await?;
            open.insert(Arc::new(store))
        }
    };
    // A replica whose clock is ahead must not end the proofs of the others.
    let now = store.database_time().await?.map_or_else(|| clock.now(), |database| database.min(clock.now()));
    let ended = now.minus(SqlReplays::CLOCK_DIFFERENCE).unix().saturating_sub(1);
    store.remove_proofs(ended).await?;
    let limit = i64::try_from(shared.capacity).unwrap_or(i64::MAX);
    let held = store.count_proofs(limit).await?;
    shared.reopen(store, held);
    Ok(())
}

fn hex(id: &[u8; 32]) -> String {
    use fmt::Write as _;
    id.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl fmt::Debug for SqlReplays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shared { place, capacity, .. } = &*self.0.shared;
        f.debug_struct("SqlReplays").field("place", place).field("capacity", capacity).finish_non_exhaustive()
    }
}
