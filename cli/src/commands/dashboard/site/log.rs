//! What the audit log contains. One thread reads it once and then follows it, so no request reads the log.
//!
//! The thread owns the survey. After new records it publishes a snapshot, which requests share without a lock that the
//! thread could hold for long. Memory grows like that of the survey: with services, endpoints and tokens, each within a
//! limit, and not with the number of records.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use service_only::routes::RouteTable;
use service_only_evidence::anomalies::{Anomalies, AnomalyRules};
use service_only_evidence::read::{Done, Followed, Place, Record, Visitor};
use service_only_evidence::survey::{CodeUsage, Decisions, KeyUsage, PairUsage, Survey, TokenUsage};
use service_only_evidence::unused::{GrantedToken, Grants, Unused, Window};
use tokio::sync::broadcast;

use super::lookup::Index;
use crate::commands::audit::files;
use crate::commands::audit::unused::micros;
use crate::escape;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// The shortest time between two snapshots.
const PUBLISH_AFTER: Duration = Duration::from_secs(1);

/// The longest time between two snapshots: findings also depend on the time.
const PUBLISH_ANYWAY: Duration = Duration::from_secs(10);

/// A snapshot is made again after this many times the duration of making it, so that it takes at most a tenth of a core.
const REST: u32 = 10;

/// How many decisions, and how many refusals, are kept for the lists of recent ones.
pub(crate) const RECENT: usize = 500;

/// How many decisions are sent to open pages at each look. The others are counted.
const LIVE: usize = 20;

/// How many events wait for a slow page.
const WAITING: usize = 256;

/// The longest text of a recent decision, in characters.
const MAX_TEXT: usize = 512;

const MINUTE: i64 = 60_000_000;

/// A time that charts show.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Range {
    Hour,
    #[default]
    Day,
    Week,
    Quarter,
}

impl Range {
    pub(crate) const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Quarter];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Quarter => "90d",
        }
    }

    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|range| range.as_str() == text)
    }

    /// The length of a bar in minutes, and the number of bars.
    fn bars(self) -> (i64, i64) {
        match self {
            Self::Hour => (1, 60),
            Self::Day => (30, 48),
            Self::Week => (180, 56),
            Self::Quarter => (24 * 60, 90),
        }
    }
}

/// One decision, for a list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) time: String,
    pub(crate) decision: &'static str,
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The authenticated service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    /// The caller in words, also one that was not authenticated.
    pub(crate) caller: String,
    pub(crate) endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
}

impl Entry {
    fn of(record: &Record<'_>) -> Self {
        let cut = |text: &str| text.chars().take(MAX_TEXT).collect::<String>();
        let optional = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(cut);
        let caller = match (&record.service, &record.unverified_service, &record.user) {
            (Some(service), ..) => cut(service),
            (None, Some(claimed), _) => format!("unverified: {}", cut(claimed)),
            (None, None, Some(user)) => format!("user: {}", cut(user)),
            (None, None, None) => "no caller".to_owned(),
        };
        Self {
            id: cut(&record.id),
            time: cut(&record.time),
            decision: if record.is_allowed() { "allow" } else { "deny" },
            status: record.status,
            code: optional(&record.code),
            reason: optional(&record.reason),
            service: optional(&record.service),
            caller,
            endpoint: cut(record.endpoint.as_deref().or(record.route.as_deref()).unwrap_or("(no endpoint)")),
            issuer: optional(&record.issuer),
            jti: optional(&record.jti),
            address: optional(&record.client_address),
        }
    }

    pub(crate) fn is_allowed(&self) -> bool {
        self.decision == "allow"
    }
}

/// What open pages are told.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Decision(Arc<Entry>),
    /// So many more decisions, which are not sent one by one.
    More(u64),
}

/// What was read, and the reports on it.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Whether everything that is there was read.
    pub(crate) is_complete: bool,
    /// The share of the files that was read, in percent.
    pub(crate) percent: u64,
    /// What was read, as the reports of the command line have it.
    pub(crate) read: Value,
    pub(crate) records: u64,
    /// The problems of the files.
    pub(crate) trouble: Vec<String>,
    pub(crate) omitted: u64,
    pub(crate) decisions: [Vec<Decisions>; Range::ALL.len()],
    pub(crate) refusals: Vec<CodeUsage>,
    pub(crate) usage: Vec<PairUsage>,
    pub(crate) tokens: Vec<TokenUsage>,
    pub(crate) keys: Vec<KeyUsage>,
    pub(crate) anomalies: Option<Anomalies>,
    pub(crate) unused: Option<Unused>,
    /// The last decisions, the newest first.
    pub(crate) recent: Vec<Arc<Entry>>,
    /// The last refusals, the newest first.
    pub(crate) refused: Vec<Arc<Entry>>,
}

impl Snapshot {
    pub(crate) fn decisions_of(&self, range: Range) -> &[Decisions] {
        let place = Range::ALL.iter().position(|one| *one == range).unwrap_or_default();
        self.decisions.get(place).map_or(&[], Vec::as_slice)
    }
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
            Followed::open(path, number).map_err(|error| Problem::io("read", path, &error))
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
        let reader = Reader {
            files,
            collected: Collected::new(Arc::clone(&shared)),
            told: 0,
            due: Instant::now(),
            published: Instant::now(),
        };
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

/// The thread that reads.
struct Reader {
    files: Vec<Followed>,
    collected: Collected,
    /// How many problems of the files the operator has seen.
    told: usize,
    /// When the next snapshot may be made.
    due: Instant,
    published: Instant,
}

impl Reader {
    fn run(mut self) {
        let mut problem: Option<String> = None;
        let mut has_news = true;
        while !self.is_stopped() {
            let mut failed = None;
            for place in 0..self.files.len() {
                match self.read(place) {
                    Ok(read) => has_news |= read > 0,
                    Err(error) => failed = Some(error),
                }
            }
            self.collected.is_complete = true;
            self.collected.end_look();
            if failed.is_some() && failed != problem {
                failed.iter().for_each(|why| output::warning(why));
            }
            problem = failed;
            let now = Instant::now();
            if (has_news && now >= self.due) || now.duration_since(self.published) >= PUBLISH_ANYWAY {
                self.publish();
                has_news = false;
            }
            std::thread::sleep(INTERVAL);
        }
    }

    fn is_stopped(&self) -> bool {
        self.collected.shared.is_stopped.load(Ordering::Relaxed)
    }

    /// Reads what is new in one file. Makes snapshots meanwhile, because a large file takes long.
    fn read(&mut self, place: usize) -> Result<u64, String> {
        let mut all = 0;
        while !self.is_stopped() {
            let Some(file) = self.files.get_mut(place) else { break };
            let read = file.read(&mut self.collected).map_err(|error| {
                let path = self.collected.shared.paths.get(place).map(|path| path.display().to_string());
                format!("the log `{}` cannot be read: {error}", path.unwrap_or_default())
            })?;
            if read == 0 {
                break;
            }
            all += read;
            if Instant::now() >= self.due {
                self.publish();
            }
        }
        Ok(all)
    }

    fn publish(&mut self) {
        let begun = Instant::now();
        let done = Done::sum(self.files.iter().map(Followed::done));
        done.trouble().iter().skip(self.told).for_each(|trouble| output::warning(&trouble.to_string()));
        self.told = done.trouble().len();
        let (read, length) = self
            .files
            .iter()
            .map(Followed::progress)
            .fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        let percent = (read * 100).checked_div(length).unwrap_or(100);
        let snapshot = self.collected.snapshot(&done, percent);
        let shared = &self.collected.shared;
        *shared.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.published = Instant::now();
        self.due = self.published + PUBLISH_AFTER.max(begun.elapsed() * REST);
    }
}

/// What the records were collected into.
struct Collected {
    shared: Arc<Shared>,
    survey: Survey,
    recent: VecDeque<Arc<Entry>>,
    refused: VecDeque<Arc<Entry>>,
    is_complete: bool,
    /// How many decisions of this look were sent to open pages, and how many were not.
    sent: usize,
    unsent: u64,
}

impl Collected {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            survey: Survey::new(),
            recent: VecDeque::new(),
            refused: VecDeque::new(),
            is_complete: false,
            sent: 0,
            unsent: 0,
        }
    }

    /// Ends a look at the files.
    fn end_look(&mut self) {
        let unsent = std::mem::take(&mut self.unsent);
        self.sent = 0;
        if unsent > 0 {
            // Without an open page, the channel has no receiver.
            let _ = self.shared.live.send(Event::More(unsent));
        }
    }

    fn snapshot(&self, done: &Done, percent: u64) -> Snapshot {
        let survey = &self.survey;
        let now = micros(store::now());
        let settings = &self.shared.settings;
        // A clock of another machine may be ahead, so the last record may be of the future.
        let end = survey.span().map_or(now, |(_, last)| last.min(now + MINUTE));
        let decisions = Range::ALL.map(|range| {
            let (minutes, bars) = range.bars();
            survey.decisions(end - (bars - 1) * minutes * MINUTE, end, minutes * MINUTE)
        });
        let granted = Arc::clone(&locked(&self.shared.granted));
        let has_grants = !settings.tables.is_empty() || !granted.is_empty();
        let unused = has_grants.then(|| {
            let grants = Grants { tables: settings.tables.clone(), tokens: granted.to_vec() };
            let length = i64::try_from(settings.window.as_micros()).unwrap_or(i64::MAX);
            survey.unused(&grants, Window { end, length, min_coverage: settings.min_coverage })
        });
        Snapshot {
            is_complete: self.is_complete,
            percent: if self.is_complete { 100 } else { percent },
            read: files::summary(done),
            records: done.records(),
            trouble: done.trouble().iter().map(|trouble| escape::one_line(&trouble.to_string())).collect(),
            omitted: survey.omitted(),
            decisions,
            refusals: survey.refusals(),
            usage: survey.usage(),
            tokens: survey.token_usage(),
            keys: survey.key_usage(),
            anomalies: Some(survey.anomalies(&AnomalyRules::default())),
            unused,
            recent: self.recent.iter().rev().cloned().collect(),
            refused: self.refused.iter().rev().cloned().collect(),
        }
    }
}

fn keep(entries: &mut VecDeque<Arc<Entry>>, entry: &Arc<Entry>) {
    if entries.len() == RECENT {
        entries.pop_front();
    }
    entries.push_back(Arc::clone(entry));
}

impl Visitor for Collected {
    fn record(&mut self, place: Place<'_>, record: &Record<'_>) {
        self.survey.record(place, record);
        locked(&self.shared.index).add(place, &record.id);
        let entry = Arc::new(Entry::of(record));
        keep(&mut self.recent, &entry);
        if !entry.is_allowed() {
            keep(&mut self.refused, &entry);
        }
        if self.is_complete {
            if self.sent < LIVE {
                self.sent += 1;
                let _ = self.shared.live.send(Event::Decision(entry));
            } else {
                self.unsent += 1;
            }
        }
    }
}
