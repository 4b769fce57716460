//! Decides whether a token with an unknown key may cause a fetch of the keys. It is pure: the caller passes the time.
//!
//! An attacker can name any number of keys. So the gate does not remember which names were looked up without
//! success, which would need memory for each name. It remembers only that a fetch was made. For the rest of the
//! interval, every unknown name is refused without another fetch.

use std::time::Duration;

use crate::clock::Timestamp;

pub(crate) struct Gate {
    interval: Duration,
    wait: Duration,
    /// When a token last caused a fetch.
    asked: Option<Timestamp>,
    /// When the fetch in progress ("flight") started.
    departed: Option<Timestamp>,
    /// How many flights have ended. The flight in progress has the next number.
    landed: u64,
}

/// What a request may do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Start a flight, and wait for it.
    Depart { flight: u64 },
    /// Wait for the flight in progress.
    Join { flight: u64 },
    /// Decide with the keys that are there.
    Refuse,
}

impl Gate {
    pub(crate) fn new(interval: Duration, wait: Duration) -> Self {
        Self { interval, wait, asked: None, departed: None, landed: 0 }
    }

    pub(crate) fn ask(&mut self, now: Timestamp) -> Answer {
        let flight = self.landed + 1;
        if let Some(departed) = self.departed {
            // All requests that wait for one flight stop at the same instant. After that, a slow issuer delays no
            // request.
            let flown = now.since(departed).unwrap_or_default();
            return match self.wait.checked_sub(flown) {
                Some(wait) if !wait.is_zero() => Answer::Join { flight },
                _ => Answer::Refuse,
            };
        }
        if self.asked.is_some_and(|asked| !self.is_over(asked, now)) {
            return Answer::Refuse;
        }
        (self.asked, self.departed) = (Some(now), Some(now));
        Answer::Depart { flight }
    }

    /// Records that a flight starts, on schedule or for a request, and returns its number.
    pub(crate) fn depart(&mut self, now: Timestamp) -> u64 {
        self.departed.get_or_insert(now);
        self.landed + 1
    }

    /// Records that the flight in progress has ended.
    pub(crate) fn land(&mut self) {
        self.departed = None;
        self.landed += 1;
    }

    /// Whether the interval is over. A clock that was set back must not close the gate for long.
    fn is_over(&self, asked: Timestamp, now: Timestamp) -> bool {
        now.since(asked).is_none_or(|passed| passed >= self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);
    const WAIT: Duration = Duration::from_secs(2);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_unix(1_767_225_600).plus(Duration::from_millis(millis))
    }

    /// What happens at a millisecond.
    enum Step {
        Ask(Answer),
        Depart(u64),
        Land,
    }
    use Step::{Ask, Depart, Land};

    fn departs(flight: u64) -> Step {
        Ask(Answer::Depart { flight })
    }

    fn joins(flight: u64) -> Step {
        Ask(Answer::Join { flight })
    }

    fn refused() -> Step {
        Ask(Answer::Refuse)
    }

    #[test]
    fn gate_allows_one_fetch_per_interval_and_shares_a_recent_one() {
        let days: [(&str, &[(u64, Step)]); 5] = [
            (
                "one look an interval",
                &[
                    (0, departs(1)),
                    (100, Land),
                    (101, refused()),
                    (29_999, refused()),
                    (30_000, departs(2)),
                    (30_001, joins(2)),
                    (30_100, Land),
                    (30_101, refused()),
                    (60_000, departs(3)),
                ],
            ),
            (
                "a flight on schedule is shared, and does not use up the interval",
                &[
                    (0, Depart(1)),
                    (500, joins(1)),
                    (600, Land),
                    (601, departs(2)),
                    (700, Land),
                    (701, refused()),
                ],
            ),
            (
                "later callers do not wait for a slow flight that the first callers have given up",
                &[
                    (0, departs(1)),
                    (1, Depart(1)),
                    (1_999, joins(1)),
                    (2_000, refused()),
                    (40_000, refused()),
                    (40_001, Land),
                    (40_002, departs(2)),
                ],
            ),
            (
                "a clock that was set back opens the gate",
                &[
                    (50_000, departs(1)),
                    (50_001, Land),
                    (50_002, refused()),
                    (10_000, departs(2)),
                    (10_001, Land),
                    (39_999, refused()),
                ],
            ),
            (
                "a clock that was set back during a flight waits no longer than ever",
                &[(50_000, departs(1)), (10_000, joins(1))],
            ),
        ];
        for (day, steps) in days {
            let mut gate = Gate::new(INTERVAL, WAIT);
            for (millis, step) in steps {
                match step {
                    Ask(answer) => assert_eq!(gate.ask(at(*millis)), *answer, "{day}, {millis} ms"),
                    Depart(flight) => assert_eq!(gate.depart(at(*millis)), *flight, "{day}, {millis} ms"),
                    Land => gate.land(),
                }
            }
        }
    }
}
