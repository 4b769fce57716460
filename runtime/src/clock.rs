//! Time, and the only place that reads it.
//!
//! A verifier compares `exp`, `nbf` and `iat` with one instant that it reads from its
//! [`Clock`], so a test can use a fixed clock and does not have to sleep.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

/// An instant in UTC, counted in nanoseconds since 1970-01-01T00:00:00Z.
///
/// `Display` and `Serialize` write RFC 3339 with microseconds, such as
/// `2026-01-01T00:00:00.000000Z`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// The instant `seconds` after (or, negative, before) the Unix epoch.
    pub const fn from_unix(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// Whole seconds since the Unix epoch, rounded down: what RFC 7519 calls a NumericDate.
    pub const fn unix(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds within the second, below 1,000,000,000.
    pub const fn subsec_nanos(self) -> u32 {
        self.nanos
    }

    /// The instant `duration` later. Stops at the largest instant instead of wrapping around.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let nanos = self.nanos + duration.subsec_nanos();
        let carry = i64::from(nanos / NANOS_PER_SECOND);
        Self {
            seconds: self.seconds.saturating_add_unsigned(duration.as_secs()).saturating_add(carry),
            nanos: nanos % NANOS_PER_SECOND,
        }
    }

    /// The instant `duration` earlier. Stops at the smallest instant instead of wrapping around.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let (nanos, borrow) = match self.nanos.checked_sub(duration.subsec_nanos()) {
            Some(nanos) => (nanos, 0),
            None => (self.nanos + NANOS_PER_SECOND - duration.subsec_nanos(), 1),
        };
        let seconds = self.seconds.saturating_sub_unsigned(duration.as_secs()).saturating_sub(borrow);
        Self { seconds, nanos }
    }

    /// The time from `earlier` to this instant; `None` if `earlier` is in fact later, for example after a clock was
    /// set back.
    pub fn since(self, earlier: Self) -> Option<Duration> {
        if self < earlier {
            return None;
        }
        let seconds = self.seconds.abs_diff(earlier.seconds);
        Some(match self.nanos.checked_sub(earlier.nanos) {
            Some(nanos) => Duration::new(seconds, nanos),
            None => Duration::new(seconds - 1, self.nanos + NANOS_PER_SECOND - earlier.nanos),
        })
    }
}

/// Instants before the Unix epoch are negative, as in [`Timestamp::from_unix`].
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self::from_unix(0).plus(since),
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Self::from_unix(-seconds),
                    nanos => Self { seconds: -seconds - 1, nanos: NANOS_PER_SECOND - nanos },
                }
            }
        }
    }
}

const NANOS_PER_SECOND: u32 = 1_000_000_000;

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i32::try_from(self.nanos).unwrap_or(0);
        match jiff::Timestamp::new(self.seconds, nanos) {
            Ok(time) => write!(f, "{time:.6}"),
            // RFC 3339 has no form for years outside -9999 to 9999.
            Err(_) => write!(f, "@{}", self.seconds),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The source of time of a verifier, an issuer and the audit.
pub trait Clock: Send + Sync + 'static {
    /// The current instant.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The operating system's clock: the default everywhere.
#[derive(Copy, Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a value without fields")]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp {
                seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
                nanos: since.subsec_nanos(),
            },
            // A clock before 1970 is broken. At the maximum time, every token has expired.
            Err(_) => Timestamp::from_unix(i64::MAX),
        }
    }
}

/// A clock that always shows the same time, for `--now` and for tests.
#[derive(Copy, Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the instant is its only field")]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// Measures how long something takes, even if the clocks are set meanwhile.
#[derive(Copy, Clone, Debug)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    #[cfg(test)]
    pub(crate) fn elapsed_us(self) -> u64 {
        u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_times_before_and_after_the_epoch_are_converted() {
        let half = Duration::from_millis(500);
        assert_eq!(Timestamp::from(UNIX_EPOCH), Timestamp::from_unix(0));
        assert_eq!(Timestamp::from(UNIX_EPOCH + half), Timestamp::from_unix(0).plus(half));
        assert_eq!(Timestamp::from(UNIX_EPOCH - half), Timestamp::from_unix(-1).plus(half));
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(7)), Timestamp::from_unix(-7));
        let seconds = Duration::from_secs(7);
        assert_eq!(Timestamp::from(UNIX_EPOCH - seconds - half), Timestamp::from_unix(-8).plus(half));
    }

    #[test]
    fn a_timestamp_reads_as_rfc_3339_with_microseconds() {
        let time = Timestamp::from_unix(1_767_225_600).plus(Duration::from_nanos(1_234_567));
        assert_eq!(time.to_string(), "2026-01-01T00:00:00.001234Z");
    }

    #[test]
    fn adding_carries_nanoseconds_and_stops_at_the_end_of_time() {
        let half = Duration::from_millis(600);
        let time = Timestamp::from_unix(7).plus(half).plus(half);
        assert_eq!((time.unix(), time.subsec_nanos()), (8, 200_000_000));
        assert_eq!(Timestamp::from_unix(i64::MAX).plus(Duration::MAX).unix(), i64::MAX);
        assert_eq!(Timestamp::from_unix(-1).plus(Duration::from_secs(u64::MAX)).unix(), i64::MAX);
    }

    #[test]
    fn subtracting_borrows_nanoseconds_and_stops_at_the_start_of_time() {
        let part = Duration::from_millis(600);
        let time = Timestamp::from_unix(7).minus(part);
        assert_eq!((time.unix(), time.subsec_nanos()), (6, 400_000_000));
        assert_eq!(time.minus(part).plus(part), time);
        assert_eq!(Timestamp::from_unix(i64::MIN).minus(part).unix(), i64::MIN);
        assert_eq!(Timestamp::from_unix(i64::MAX).minus(Duration::MAX).unix(), i64::MIN);
    }

    #[test]
    fn difference_of_two_instants_carries_nanoseconds_and_is_never_negative() {
        let ms = Duration::from_millis;
        let at = |millis| Timestamp::from_unix(-1).plus(ms(millis));
        for (later, earlier, between) in [
            (0, 0, Some(ms(0))),
            (1700, 600, Some(ms(1100))),
            (1600, 700, Some(ms(900))),
            (2000, 999, Some(ms(1001))),
            (999, 1000, None),
            (0, 2000, None),
        ] {
            assert_eq!(at(later).since(at(earlier)), between, "{later} {earlier}");
        }
        let (first, last) = (Timestamp::from_unix(i64::MIN), Timestamp::from_unix(i64::MAX));
        assert_eq!((last.since(first), first.since(last)), (Some(Duration::from_secs(u64::MAX)), None));
        assert_eq!(first.since(Timestamp::from_unix(0).plus(ms(1))), None);
        assert_eq!(
            Timestamp::from_unix(0).since(first.plus(ms(1))),
            Some(Duration::new(i64::MAX as u64, 999_000_000))
        );
    }

    #[test]
    fn an_instant_without_an_rfc_3339_form_is_shown_as_a_number() {
        assert_eq!(Timestamp::from_unix(i64::MAX).to_string(), format!("@{}", i64::MAX));
    }
}
