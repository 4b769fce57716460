//! The thread that reads the log, and publishes what it has read.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use service_only_evidence::anomalies::AnomalyRules;
use service_only_evidence::read::{Done, Followed, Place, Record, Visitor};
use service_only_evidence::survey::Survey;
use service_only_evidence::unused::{Grants, Window};

use super::entry::Entry;
use super::snapshot::{MINUTE, Range, Snapshot};
use super::{Event, RECENT, Shared, locked};
use crate::commands::audit::files;
use crate::commands::audit::unused::micros;
use crate::escape;
use crate::output;
use crate::store;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_millis(200);

/// The shortest time between two snapshots.
const PUBLISH_AFTER: Duration = Duration::from_secs(1);

/// The longest time between two snapshots: findings also depend on the time.
const PUBLISH_ANYWAY: Duration = Duration::from_secs(10);

/// A snapshot is made again after this many times the duration of making it, so that it takes at most a tenth of a core.
const REST: u32 = 10;

/// How many decisions are sent to open pages at each look. The others are counted.
const LIVE: usize = 20;

/// The thread that reads.
pub(super) struct Reader {
    files: Vec<Followed>,
    collected: Collected,
    /// How many problems of the files the operator has seen.
    told: usize,
    /// When the next snapshot may be made.
    due: Instant,
    published: Instant,
}

impl Reader {
    pub(super) fn new(files: Vec<Followed>, shared: Arc<Shared>) -> Self {
        let collected = Collected::new(shared);
        Self { files, collected, told: 0, due: Instant::now(), published: Instant::now() }
    }

    pub(super) fn run(mut self) {
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
