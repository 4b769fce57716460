//! What is published: read again and again, and kept for a bounded time while it cannot be read.
//!
//! `crate::published` decides about the set, as for every command. The journal of the store comes first, so all replicas of
//! one PostgreSQL publish the same bytes. A set file that only one machine has can add keys there, until `rotate` records
//! them in the journal.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use service_only::KeySet;
use service_only::clock::{Clock as _, SystemClock, Timestamp};
use service_only_store::Store;
use service_only_store::rotation::{Journal, RotationSettings};

use crate::config::Config;
use crate::database::refused;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::published::{ExistingSet, Sources, Unknown};

/// The longest time between two reads. A new key is published after this time at the latest.
const MAX_REFRESH: Duration = Duration::from_secs(5);

/// The longest time without a successful read after which the program still calls itself healthy: six reads.
const MAX_HEALTHY: Duration = Duration::from_secs(30);

/// The timeout of one read of the set file. A mount that hangs does not report it.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The times of a publication. All follow from `longest_refresh`: a rotation assumes that each verifier has learned a
/// published key after that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// The time between two reads.
    pub(crate) refresh: Duration,
    /// How long clients may keep their copy: a quarter, so that a verifier can miss two fetches.
    pub(crate) max_age: Duration,
    /// How long the program calls itself healthy without a successful read.
    pub(crate) healthy: Duration,
    /// How long the last good set is published without a successful read.
    pub(crate) keep: Duration,
}

impl Timing {
    pub(crate) fn of(settings: &RotationSettings) -> Self {
        let longest = settings.longest_refresh;
        let max_age = Duration::from_secs(longest.as_secs() / 4);
        Self {
            refresh: MAX_REFRESH.min(longest / 4),
            max_age,
            healthy: MAX_HEALTHY.min(longest / 2),
            keep: longest,
        }
    }
}

/// A set, ready to be sent.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) text: String,
    /// The same for the same bytes, in every replica.
    pub(crate) tag: String,
    pub(crate) kids: Vec<String>,
}

impl Set {
    fn new(text: String, keys: &KeySet) -> Self {
        let kids = keys.keys().iter().filter_map(|key| key.kid()).map(ToString::to_string).collect();
        Self { tag: tag(&text), text, kids }
    }
}

/// A strong entity tag: a hash of the bytes.
pub(super) fn tag(text: &str) -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes())))
}

/// Where the set comes from.
struct Source {
    issuer: String,
    file: PathBuf,
    store: Option<String>,
    /// The connection to PostgreSQL. A SQLite file is opened each time, because a restored store is another file.
    connected: Option<Store>,
}

/// The published set and its age.
pub(crate) struct Publication {
    source: tokio::sync::Mutex<Source>,
    timing: Timing,
    state: Mutex<State>,
}

struct State {
    set: Arc<Set>,
    /// When the set was last read successfully, by a clock that is never set.
    read: Instant,
    read_at: Timestamp,
    failures: u64,
    /// Why it cannot be read now.
    problem: Option<String>,
}

/// What a client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// The set was read a short time ago.
    Fresh,
    /// The last good set is still published.
    Stale,
    /// The last good set is too old.
    Gone,
}

impl Health {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Fresh => "ok",
            Self::Stale => "stale",
            Self::Gone => "unreadable",
        }
    }
}

/// The state of a publication at one instant.
pub(crate) struct Snapshot {
    pub(crate) set: Arc<Set>,
    pub(crate) health: Health,
    /// How long a client may keep the set.
    pub(crate) max_age: Duration,
    /// The time since the last successful read.
    pub(crate) age: Duration,
    pub(crate) read_at: Timestamp,
    pub(crate) failures: u64,
}

impl Publication {
    /// Reads the set for the first time.
    pub(crate) async fn start(config: &Config, store: Option<String>, timing: Timing) -> Outcome<Self> {
        let mut source = Source {
            issuer: config.issuer.clone(),
            file: config.rotation.jwks.clone(),
            store,
            connected: None,
        };
        let set = source.read().await?;
        let state = State {
            set: Arc::new(set),
            read: Instant::now(),
            read_at: SystemClock.now(),
            failures: 0,
            problem: None,
        };
        Ok(Self { source: tokio::sync::Mutex::new(source), timing, state: Mutex::new(state) })
    }

    /// Reads the set again. A set that cannot be read is reported once, and replaced when it can be read.
    pub(crate) async fn refresh(&self) {
        let begun = Instant::now();
        let read = self.source.lock().await.read().await;
        let mut state = self.state();
        match read {
            Ok(set) => {
                if state.problem.take().is_some() {
                    output::note("the published set can be read again");
                }
                if set.tag != state.set.tag {
                    output::note(&changed(&state.set, &set));
                    state.set = Arc::new(set);
                }
                state.read = begun;
                state.read_at = SystemClock.now();
            }
            Err(problem) => {
                state.failures = state.failures.saturating_add(1);
                let text = problem.to_string();
                if state.problem.as_ref() != Some(&text) {
                    let keep = humantime::format_duration(self.timing.keep);
                    output::warning(&format!(
                        "{text}; the last good set is published for at most {keep} after its last read"
                    ));
                    state.problem = Some(text);
                }
            }
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot_at(Instant::now())
    }

    pub(super) fn snapshot_at(&self, now: Instant) -> Snapshot {
        let state = self.state();
        let age = now.saturating_duration_since(state.read);
        let health = match age {
            age if age > self.timing.keep => Health::Gone,
            age if age > self.timing.healthy => Health::Stale,
            _ => Health::Fresh,
        };
        // A copy of the set must not outlive the set.
        let left = self.timing.keep.saturating_sub(age);
        Snapshot {
            set: Arc::clone(&state.set),
            health,
            max_age: self.timing.max_age.min(left),
            age,
            read_at: state.read_at,
            failures: state.failures,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names the keys that a new set adds and drops.
fn changed(old: &Set, new: &Set) -> String {
    let lacking = |these: &Set, those: &Set| {
        let kids = these.kids.iter().filter(|kid| !those.kids.contains(kid));
        kids.map(|kid| format!("`{kid}`")).collect::<Vec<_>>()
    };
    let (added, dropped) = (lacking(new, old), lacking(old, new));
    match (added.is_empty(), dropped.is_empty()) {
        (true, true) => "the published set has changed, with the same keys".to_owned(),
        (false, true) => format!("published {}", added.join(", ")),
        (true, false) => format!("withdrew {}", dropped.join(", ")),
        (false, false) => format!("published {}, withdrew {}", added.join(", "), dropped.join(", ")),
    }
}

impl Source {
    async fn read(&mut self) -> Outcome<Set> {
        let journal = self.journal().await?;
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || ExistingSet::read(&file, Unknown::Keep));
        let existing = match tokio::time::timeout(READ_TIMEOUT, read).await {
            Ok(Ok(existing)) => {
                existing.map_err(|problem| problem.help("`service-token rotate` writes it"))?
            }
            Ok(Err(_)) | Err(_) => {
                let reason = format!("`{}` was not read within {READ_TIMEOUT:?}", self.file.display());
                return Err(Problem::new(ProblemCode::Io, reason).help("does its file system hang?"));
            }
        };
        let sources = Sources {
            journal: &journal,
            own: Vec::new(),
            existing: &existing,
            leftover: None,
            unknown: Unknown::Keep,
        };
        let text = sources.decide()?.text()?;
        // Verifiers read the set with the same rules.
        match KeySet::from_jwks(text.as_bytes()) {
            Ok(keys) => Ok(Set::new(text, &keys)),
            Err(error) => Err(self.nothing(&error.to_string())),
        }
    }

    fn nothing(&self, why: &str) -> Problem {
        let place = match &self.store {
            Some(_) => format!("the store and `{}` have", self.file.display()),
            None => format!("`{}` has", self.file.display()),
        };
        Problem::new(ProblemCode::BadKey, format!("{place} no set to publish: {why}"))
            .help("run `service-token rotate` on the machine with the key, or write the set with `service-token jwks --out FILE`")
    }

    /// The keys of the journal. The tokens are not read: they decide nothing here.
    async fn journal(&mut self) -> Outcome<Journal> {
        let Some(url) = &self.store else { return Ok(Journal::default()) };
        let store = match self.connected.take() {
            Some(store) => store,
            None => Store::open(url).await.map_err(|error| refused(&error))?,
        };
        let mut journal = Journal::default();
        journal.keys = store.keys(&self.issuer).await.map_err(|error| refused(&error))?;
        journal.revoked = store.revoked_keys(&self.issuer).await.map_err(|error| refused(&error))?;
        if url.starts_with("sqlite:") {
            store.close().await;
        } else {
            self.connected = Some(store);
        }
        Ok(journal)
    }
}

/// Reads the set again, for ever.
pub(crate) async fn follow(publication: Arc<Publication>, every: Duration) {
    // A time of zero would be a busy loop.
    let every = every.max(Duration::from_millis(100));
    loop {
        tokio::time::sleep(every).await;
        publication.refresh().await;
    }
}
