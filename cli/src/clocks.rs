//! Compares the clock of this machine with the clock of PostgreSQL.
//!
//! Times of the registry come from the clock of the program that writes them. With a wrong clock, a step that cannot be
//! undone is made too early, or a revocation covers the wrong tokens. One of the two clocks is wrong, and this program
//! cannot tell which, so it refuses such a step.

use std::time::Duration;

use service_only::clock::Timestamp;
use service_only_store::Store;

use crate::instant::{CLOCKS_DIFFER, now};
use crate::members;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::refused;

/// Two clocks that were read at the same time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    /// This machine's clock: the instant of the time in which the database was asked that is closest to its answer.
    own: Timestamp,
    database: Timestamp,
}

impl Clocks {
    /// Reads both clocks; `None` for SQLite.
    pub(crate) async fn read(store: &Store) -> Outcome<Option<Self>> {
        let before = now();
        let Some(database) = store.database_time().await.map_err(|error| refused(&error))? else {
            return Ok(None);
        };
        // The answer was given at some time in between.
        let own = database.max(before).min(now());
        Ok(Some(Self { own, database }))
    }

    /// The difference without its sign.
    fn difference(self) -> Duration {
        let ahead = self.own.since(self.database).unwrap_or_default();
        ahead.max(self.database.since(self.own).unwrap_or_default())
    }

    pub(crate) fn differ(self) -> bool {
        self.difference() > CLOCKS_DIFFER
    }

    /// The clock that is behind.
    pub(crate) fn earlier(self) -> Timestamp {
        self.own.min(self.database)
    }

    /// One sentence with both times.
    pub(crate) fn in_words(self) -> String {
        let side = if self.own > self.database { "ahead of" } else { "behind" };
        format!(
            "the clock of this machine is {} {side} the clock of PostgreSQL ({} and {})",
            humantime::format_duration(self.difference()),
            members::instant(self.own),
            members::instant(self.database)
        )
    }
}

/// Refuses a step that cannot be undone while the clocks differ. `effect` completes the message.
pub(crate) async fn check(store: &Store, effect: &str) -> Outcome<()> {
    match Clocks::read(store).await? {
        Some(clocks) if clocks.differ() => Err(problem(clocks).and(effect)),
        _ => Ok(()),
    }
}

/// The problem of two clocks that differ.
pub(crate) fn problem(clocks: Clocks) -> Problem {
    Problem::new(ProblemCode::Clock, clocks.in_words())
        .help("correct the clock that is wrong, for example with `timedatectl set-ntp true`, and run the command again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_a_minute_in_each_direction() {
        let clocks = |own: i64, database: i64| Clocks {
            own: Timestamp::from_unix(1_000_000 + own),
            database: Timestamp::from_unix(1_000_000 + database),
        };
        for (own, database, differ) in
            [(0, 0, false), (60, 0, false), (0, 60, false), (61, 0, true), (0, 61, true)]
        {
            assert_eq!(clocks(own, database).differ(), differ, "{own} {database}");
        }
        assert!(clocks(3600, 0).in_words().contains("is 1h ahead of the clock of PostgreSQL"));
        assert!(clocks(0, 90).in_words().contains("is 1m 30s behind the clock of PostgreSQL"));
        assert_eq!(clocks(0, 90).earlier(), Timestamp::from_unix(1_000_000));
    }
}
