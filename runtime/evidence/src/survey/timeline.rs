//! When decisions were made, and with which codes they were refused.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{REFUSAL_WINDOW, Survey, slot};
use crate::findings::instant;

/// How many minutes with records are counted. Records of further minutes are not in [`Survey::decisions`].
pub const MAX_MINUTES: usize = 1_000_000;

pub(crate) const MINUTE: i64 = 60_000_000;

/// The decisions within a span of time.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Decisions {
    /// The start of the span, in microseconds since 1970. JSON has it as RFC 3339.
    #[serde(serialize_with = "as_instant")]
    pub start: i64,
    /// Records of admitted calls.
    pub allowed: u64,
    /// Records of refused calls.
    pub refused: u64,
}

/// The refusals with one code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CodeUsage {
    /// The code of the rule that refused.
    pub code: String,
    /// How many calls it refused.
    pub refused: u64,
    /// How many services it refused. All callers that were not authenticated count as one.
    pub callers: usize,
    /// The start of the last five minutes with such a refusal.
    pub last: String,
}

/// Records by minute.
#[derive(Debug, Clone, Default)]
pub(crate) struct Minutes(BTreeMap<u32, [u64; 2]>);

impl Minutes {
    pub(crate) fn add(&mut self, at: i64, is_allowed: bool) {
        self.add_within(at, is_allowed, MAX_MINUTES);
    }

    fn add_within(&mut self, at: i64, is_allowed: bool, limit: usize) {
        let minute = slot(at, MINUTE);
        if self.0.len() < limit || self.0.contains_key(&minute) {
            let [allowed, refused] = self.0.entry(minute).or_default();
            *if is_allowed { allowed } else { refused } += 1;
        }
    }
}

impl Survey {
    /// The decisions of a time, in spans of a length in microseconds: whole minutes, at least one. The spans are those that
    /// contain `from` to `to`, from the first to the last, also those without a record.
    pub fn decisions(&self, from: i64, to: i64, length: i64) -> Vec<Decisions> {
        let (minutes, to) = ((length / MINUTE).max(1), to.max(from));
        let number = |at: i64| i64::from(slot(at, MINUTE)) / minutes;
        let mut spans: Vec<_> = (number(from)..=number(to))
            .map(|number| Decisions { start: number * minutes * MINUTE, allowed: 0, refused: 0 })
            .collect();
        for (minute, [allowed, refused]) in self.minutes.0.range(slot(from, MINUTE)..=slot(to, MINUTE)) {
            let place = i64::from(*minute) / minutes - number(from);
            if let Some(span) = usize::try_from(place).ok().and_then(|place| spans.get_mut(place)) {
                span.allowed += allowed;
                span.refused += refused;
            }
        }
        spans
    }

    /// The refusals by code, the most frequent first.
    pub fn refusals(&self) -> Vec<CodeUsage> {
        let mut codes: BTreeMap<&str, (u64, usize, u32)> = BTreeMap::new();
        for ((_, code), windows) in &self.refusals {
            let (refused, callers, last) = codes.entry(self.names.text(*code)).or_default();
            *refused += windows.values().map(|count| u64::from(*count)).sum::<u64>();
            *callers += 1;
            *last = windows.keys().copied().max().unwrap_or_default().max(*last);
        }
        let mut usage: Vec<_> = codes
            .into_iter()
            .map(|(code, (refused, callers, last))| CodeUsage {
                code: code.to_owned(),
                refused,
                callers,
                last: instant(i64::from(last) * REFUSAL_WINDOW),
            })
            .collect();
        usage.sort_by(|one, other| (other.refused, &one.code).cmp(&(one.refused, &other.code)));
        usage
    }
}

fn as_instant<S: Serializer>(micros: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&instant(*micros))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::fixture::{Line, START, call, survey};

    #[test]
    fn decisions_are_counted_in_spans_and_empty_spans_are_there() {
        let refused = Line { code: Some("expired"), ..call(65) };
        let survey = survey([call(0), call(59), refused, call(600)]);
        let (first, last) = survey.span().unwrap();
        let spans = survey.decisions(first, last, 5 * MINUTE);
        let counts: Vec<_> = spans.iter().map(|span| (span.start, span.allowed, span.refused)).collect();
        let start = START * 1_000_000;
        assert_eq!(counts, [(start, 2, 1), (start + 5 * MINUTE, 0, 0), (start + 10 * MINUTE, 1, 0)]);
        // A length of less than a minute is a minute.
        assert_eq!(survey.decisions(first, first, 1).len(), 1);
        let json = serde_json::to_value(spans.first().unwrap()).unwrap();
        assert_eq!(json["start"], "2026-01-01T00:00:00Z");
    }

    #[test]
    fn refusals_are_counted_by_code_and_the_most_frequent_is_first() {
        let refused = |second, code, service| Line { code: Some(code), service, ..call(second) };
        let survey = survey([
            refused(1, "expired", "orders"),
            refused(2, "missing_scope", "orders"),
            refused(3, "missing_scope", "stock"),
            call(4),
        ]);
        let codes = survey.refusals();
        let counts: Vec<_> =
            codes.iter().map(|code| (code.code.as_str(), code.refused, code.callers)).collect();
        assert_eq!(counts, [("missing_scope", 2, 2), ("expired", 1, 1)]);
        assert_eq!(codes.first().unwrap().last, "2026-01-01T00:00:00Z");
    }

    #[test]
    fn minutes_beyond_the_limit_are_not_counted() {
        let mut minutes = Minutes::default();
        for minute in [1, 2, 3, 1, 2] {
            minutes.add_within(minute * MINUTE, true, 2);
        }
        assert_eq!(minutes.0.into_iter().collect::<Vec<_>>(), [(1, [2, 0]), (2, [2, 0])]);
    }
}
