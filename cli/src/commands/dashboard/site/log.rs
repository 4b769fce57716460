//! What the audit log contains. One thread reads it once and then follows it, so no request reads the log.
//!
//! The thread (`reader`) owns the survey. After new records it publishes a snapshot, which requests share without a lock that the
//! thread could hold for long. Memory grows like that of the survey: with services, endpoints and tokens, each within a
//! limit, and not with the number of records.

mod entry;
mod reader;
mod snapshot;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use service_only::routes::RouteTable;
use service_only_evidence::read::Followed;
use service_only_evidence::unused::GrantedToken;
use tokio::sync::broadcast;

pub(crate) use self::entry::Entry;
use self::reader::Reader;
pub(crate) use self::snapshot::{Range, Snapshot};
use super::lookup::Index;
use crate::problem::{Outcome, Problem, ProblemCode};

/// How many decisions, and how many refusals, are kept for the lists of recent ones.
pub(crate) const RECENT: usize = 500;

/// How many events wait for a slow page.
const WAITING: usize = 256;

/// What open pages are told.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Decision(Arc<Entry>),
    /// So many more decisions, which are not sent one by one.
    More(u64),
}

/// What the reports are compared with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) tables: Vec<RouteTable>,
    /// The time without a call after which a grant is unused.
    pub(crate) window: Duration,
    pub(crate) min_coverage: f64,
}

/// The audit log of the dashboard.
#[derive(Clone)]
pub(crate) struct Log(Arc<Shared>);

struct Shared {
    paths: Vec<PathBuf>,
    settings: Settings,
    snapshot: RwLock<Arc<Snapshot>>,
    granted: Mutex<Arc<Vec<GrantedToken>>>,
    live: broadcast::Sender<Event>,
    index: Mutex<Index>,
    is_stopped: AtomicBool,
}

impl Log {
    /// Opens the files, and begins to read them.
    pub(crate) fn follow(paths: Vec<PathBuf>, settings: Settings) -> Outcome<Self> {
        let files = paths.iter().enumerate().map(|(number, path)| {
            let failed = |error| Problem::new(ProblemCode::Io, format!("cannot follow the log: {error}"));
            Followed::open(path, number).map_err(failed)
        });
        let files = files.collect::<Outcome<Vec<_>>>()?;
        let shared = Arc::new(Shared {
            paths,
            settings,
            snapshot: RwLock::default(),
            granted: Mutex::default(),
            live: broadcast::channel(WAITING).0,
            index: Mutex::default(),
            is_stopped: AtomicBool::new(false),
        });
        let reader = Reader::new(files, Arc::clone(&shared));
        std::thread::Builder::new()
            .name("audit-log".to_owned())
            .spawn(move || reader.run())
            .map_err(|error| Problem::new(ProblemCode::Io, format!("cannot start a thread: {error}")))?;
        Ok(Self(shared))
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.live.subscribe()
    }

    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.0.paths
    }

    pub(crate) fn tables(&self) -> &[RouteTable] {
        &self.0.settings.tables
    }

    /// The index of the records. Only short work may be done with it.
    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        locked(&self.0.index)
    }

    /// The valid tokens of the registry, for the next report on unused grants.
    pub(crate) fn grant(&self, tokens: Arc<Vec<GrantedToken>>) {
        *locked(&self.0.granted) = tokens;
    }

    pub(crate) fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::Relaxed);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
