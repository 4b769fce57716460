//! The time after which revocations are removed. It does not trust a clock that was just set ahead.
//!
//! If a clock jumps ahead, a revoked token seems expired. If the clock then jumps back, the token is valid
//! again: a revocation that was removed in between would be lost.

use std::time::Duration;

/// How long a clock must show a time before it is trusted. A clock that is ahead for longer makes every
/// verifier refuse valid tokens as expired, which operators notice.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3600);

/// The time of both clocks at one moment: the adjustable one, in seconds since the epoch, and the monotonic
/// one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) unix: i64,
    pub(crate) ticks: Duration,
}

impl Moment {
    /// What the adjustable clock would show at `ticks` if it had not been set since.
    fn carried_on_to(self, ticks: Duration) -> i64 {
        let passed = ticks.saturating_sub(self.ticks).as_secs();
        self.unix.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

/// A time that is never ahead of the clock. If the clock was set ahead, it follows only after [`PATIENCE`].
#[derive(Debug)]
pub(crate) struct PatientTime {
    believed: Option<Moment>,
    /// The time that the clock shows, but not yet for long enough.
    said: Moment,
}

impl PatientTime {
    pub(crate) fn new(now: Moment) -> Self {
        Self { believed: None, said: now }
    }

    /// The current time in seconds since the epoch; `i64::MIN` until the clock is trusted.
    pub(crate) fn at(&mut self, now: Moment) -> i64 {
        if now.unix < self.said.unix {
            self.said = now;
        } else if now.ticks.saturating_sub(self.said.ticks) >= PATIENCE {
            let unix = self.said.carried_on_to(now.ticks).min(now.unix);
            self.believed = Some(Moment { unix, ticks: now.ticks });
            self.said = now;
        }
        let Some(believed) = &mut self.believed else { return i64::MIN };
        let time = believed.carried_on_to(now.ticks);
        if now.unix < time {
            *believed = now;
        }
        time.min(now.unix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const YEAR: i64 = 365 * 24 * HOUR;

    fn moment(unix: i64, ticks: i64) -> Moment {
        Moment { unix, ticks: Duration::from_secs(u64::try_from(ticks).unwrap()) }
    }

    /// A time that has been trusted for an hour, at 0 and tick 0.
    fn settled() -> PatientTime {
        let mut time = PatientTime { believed: None, said: moment(-HOUR, 0) };
        assert_eq!(time.at(moment(0, HOUR)), 0);
        time
    }

    #[test]
    fn a_forward_clock_jump_is_trusted_after_an_hour() {
        let mut time = PatientTime::new(moment(YEAR, 0));
        assert_eq!(time.at(moment(YEAR + HOUR - 1, HOUR - 1)), i64::MIN);
        assert_eq!(time.at(moment(YEAR + HOUR, HOUR)), YEAR + HOUR);
        assert_eq!(time.at(moment(YEAR + HOUR + 7, HOUR + 7)), YEAR + HOUR + 7);
    }

    #[test]
    fn time_between_observations_counts_towards_the_hour() {
        let mut time = settled();
        assert_eq!(time.at(moment(YEAR, HOUR + YEAR)), YEAR);
    }

    #[test]
    fn a_clock_that_is_set_back_before_it_is_trusted_needs_another_hour() {
        let mut time = PatientTime::new(moment(YEAR, 0));
        assert_eq!(time.at(moment(60, HOUR - 60)), i64::MIN);
        assert_eq!(time.at(moment(120, HOUR)), i64::MIN);
        assert_eq!(time.at(moment(60 + HOUR, 2 * HOUR - 60)), 60 + HOUR);
    }

    #[test]
    fn a_clock_that_stands_still_is_trusted_after_an_hour() {
        let mut time = PatientTime::new(moment(YEAR, 0));
        assert_eq!(time.at(moment(YEAR, HOUR - 1)), i64::MIN);
        assert_eq!(time.at(moment(YEAR, HOUR)), YEAR);
    }

    #[test]
    fn a_forward_clock_jump_is_ignored_for_an_hour() {
        let mut time = settled();
        assert_eq!(time.at(moment(YEAR, HOUR + 60)), 60);
        assert_eq!(time.at(moment(YEAR + HOUR, 2 * HOUR + 60)), HOUR + 60, "from here on it counts");
        assert_eq!(time.at(moment(YEAR + 2 * HOUR, 3 * HOUR + 60)), YEAR + 2 * HOUR);
    }

    #[test]
    fn a_clock_that_jumps_ahead_and_back_has_no_effect() {
        let mut time = settled();
        assert_eq!(time.at(moment(YEAR, HOUR + 60)), 60);
        assert_eq!(time.at(moment(120, HOUR + 120)), 120);
        assert_eq!(time.at(moment(YEAR, 2 * HOUR + 60)), HOUR + 60, "an hour after the first jump");
    }

    #[test]
    fn a_clock_that_is_set_back_is_trusted_immediately() {
        let mut time = PatientTime::new(moment(YEAR, 0));
        assert_eq!(time.at(moment(YEAR + HOUR, HOUR)), YEAR + HOUR);
        assert_eq!(time.at(moment(0, HOUR)), 0);
        assert_eq!(time.at(moment(YEAR, HOUR + 1)), 1, "and not ahead again");
    }
}
