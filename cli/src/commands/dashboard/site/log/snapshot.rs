//! What was read until now, as pages show it.

use std::sync::Arc;

use serde_json::Value;
use service_only_evidence::anomalies::Anomalies;
use service_only_evidence::survey::{CodeUsage, Decisions, KeyUsage, PairUsage, TokenUsage};
use service_only_evidence::unused::Unused;

use super::entry::Entry;

pub(super) const MINUTE: i64 = 60_000_000;

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
    pub(super) fn bars(self) -> (i64, i64) {
        match self {
            Self::Hour => (1, 60),
            Self::Day => (30, 48),
            Self::Week => (180, 56),
            Self::Quarter => (24 * 60, 90),
        }
    }
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
