//! Stores checkpoints of an audit log while it is written. The log never waits for the database.

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use service_only::{
    __satellite::Stopwatch,
    clock::{Clock, SystemClock},
};

use crate::store::{Address, LogCheckpoint, Store, StoreError};

/// How long the end of the program waits until the last checkpoint is stored.
const LAST_WAIT: Duration = Duration::from_secs(3);

/// Stores the checkpoints of an audit log in the registry's database: the newest one each minute, and the last one at the
/// end of the program.
///
/// A separate thread writes. While the database is down, the newest checkpoint waits, and the outage is logged once.
///
/// ```no_run
/// # struct Sealing; impl Sealing {
/// #     fn with_key(_: ()) -> Self { Self }
/// #     fn on_checkpoint(self, _: impl FnMut(&str) + Send + 'static) -> Self { self }
/// # }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let key = ();
/// use service_only_store::CheckpointWriter;
///
/// let stored = CheckpointWriter::of("postgres://tokens_verifier@db/tokens").start()?;
/// // `Sealing` is a type of `service-only-evidence`.
/// let sealing = Sealing::with_key(key).on_checkpoint(stored.receiver());
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct CheckpointWriter {
    shared: Arc<Shared>,
    ended: Receiver<()>,
}

/// Settings of [`CheckpointWriter`].
#[must_use]
pub struct CheckpointWriterBuilder {
    url: String,
    interval: Duration,
}

impl fmt::Debug for CheckpointWriterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the address, which may hold a password.
        f.debug_struct("CheckpointWriterBuilder").field("interval", &self.interval).finish_non_exhaustive()
    }
}

impl CheckpointWriter {
    /// How often a checkpoint is stored.
    pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

    /// Configures a writer for the store at `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
    pub fn of(url: impl Into<String>) -> CheckpointWriterBuilder {
        CheckpointWriterBuilder { url: url.into(), interval: Self::DEFAULT_INTERVAL }
    }

    /// Takes the newest checkpoint. It returns without waiting for the database.
    pub fn keep(&self, note: &str) {
        let Some(checkpoint) = LogCheckpoint::parse(note) else {
            tracing::error!(target: "service_only::audit", "a text that is not a checkpoint was not stored");
            return;
        };
        self.shared.state().newest = Some(checkpoint);
        self.shared.changed.notify_one();
    }

    /// The writer as a function, for `Sealing::on_checkpoint`.
    pub fn receiver(self) -> impl FnMut(&str) + Send + 'static {
        move |note| self.keep(note)
    }
}

/// Waits until the last checkpoint is stored, at most three seconds.
impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        self.shared.state().is_closing = true;
        self.shared.changed.notify_one();
        let _ = self.ended.recv_timeout(LAST_WAIT);
    }
}

impl CheckpointWriterBuilder {
    /// How often a checkpoint is stored [default: 60 s]. A stored checkpoint does not reveal missing records that were
    /// written after it.
    pub fn interval(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Starts the thread that writes. If the database cannot be reached yet, it retries.
    ///
    /// # Errors
    /// When the address is invalid, or no thread can be started.
    pub fn start(self) -> Result<CheckpointWriter, StoreError> {
        let address: Address = self.url.parse()?;
        let place = address.place();
        let shared = Arc::new(Shared::default());
        let (alive, ended) = channel();
        let writer = Writer { shared: Arc::clone(&shared), address, interval: self.interval };
        let thread = thread::Builder::new().name("service-only-checkpoints".to_owned());
        let started = thread.spawn(move || {
            writer.run();
            let _ = alive.send(());
        });
        started.map_err(|error| StoreError::NoRuntime { place, source: error.into() })?;
        Ok(CheckpointWriter { shared, ended })
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The newest checkpoint, if it is not stored yet.
    newest: Option<LogCheckpoint>,
    is_closing: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a checkpoint, and then until it is due. `None` at the end of the program.
    fn next(&self, due: impl Fn() -> Duration) -> Option<LogCheckpoint> {
        let mut state = self.state();
        loop {
            let wait = due();
            if state.newest.is_some() && (state.is_closing || wait.is_zero()) {
                return state.newest.take();
            }
            if state.is_closing {
                return None;
            }
            state = match state.newest {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(_) => self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Puts a checkpoint back that could not be stored. `false` at the end of the program.
    fn put_back(&self, checkpoint: LogCheckpoint) -> bool {
        let mut state = self.state();
        state.newest.get_or_insert(checkpoint);
        !state.is_closing
    }
}

struct Writer {
    shared: Arc<Shared>,
    address: Address,
    interval: Duration,
}

impl Writer {
    fn run(self) {
        // Its own runtime: the last checkpoint is stored after that of the program has ended.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                tracing::error!(target: "service_only::audit", %error, "checkpoints are not stored");
                return;
            }
        };
        let (mut store, mut fails, mut last) = (None, false, None::<Stopwatch>);
        let due = |last: &Option<Stopwatch>| {
            last.as_ref().map_or(Duration::ZERO, |last| self.interval.saturating_sub(last.elapsed()))
        };
        while let Some(checkpoint) = self.shared.next(|| due(&last)) {
            last = Some(Stopwatch::start());
            match runtime.block_on(self.write(&mut store, &checkpoint)) {
                Ok(()) if fails => {
                    fails = false;
                    tracing::info!(target: "service_only::audit", "checkpoints are stored again");
                }
                Ok(()) => {}
                Err(error) => {
                    // Logged once, not each minute.
                    if !std::mem::replace(&mut fails, true) {
                        let place = self.address.place();
                        tracing::error!(
                            target: "service_only::audit", %error, place,
                            "the checkpoint of the audit log was not stored"
                        );
                    }
                    store = None;
                    if !self.shared.put_back(checkpoint) {
                        return;
                    }
                }
            }
        }
    }

    async fn write(&self, store: &mut Option<Store>, checkpoint: &LogCheckpoint) -> Result<(), StoreError> {
        let open = match store {
            Some(open) => open,
            None => store.insert(Store::open_at(&self.address).await?),
        };
        open.add_checkpoint(checkpoint, SystemClock.now()).await
    }
}
