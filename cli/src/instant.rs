//! Parses instants and durations of the command line and the configuration, so that every option accepts the
//! same formats with the same messages.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use jiff::{civil::DateTime, fmt::temporal::Pieces};
use service_only::clock::{Clock as _, SystemClock, Timestamp};

/// The last second that RFC 3339 can express, in the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// How far another machine's clock may be ahead of this one.
pub(crate) const CLOCKS_DIFFER: Duration = Duration::from_secs(60);

/// The current instant in whole seconds, as the program prints and stores instants.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_unix(SystemClock.now().unix())
}

/// An instant: RFC 3339, seconds since the epoch, or `now`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instant(pub(crate) Timestamp);

impl FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "now" {
            return Ok(Self(now()));
        }
        if text.strip_prefix(['-', '+']).unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit()) {
            return seconds(text);
        }
        rfc_3339(text).map(Timestamp::from_unix).map(Self)
    }
}

/// Parses the pieces: jiff's own instant ends a day before the end of the year 9999.
fn rfc_3339(text: &str) -> Result<i64, String> {
    let not_one = || format!("`{text}` is not an instant; {RULE}");
    let shortened = with_nanoseconds(text);
    let pieces = Pieces::parse(shortened.as_ref()).map_err(|_| not_one())?;
    if pieces.time_zone_annotation().is_some() {
        return Err(format!("`{text}` has more than a time and an offset; {RULE}"));
    }
    let (Some(time), Some(offset)) = (pieces.time(), pieces.to_numeric_offset()) else {
        return Err(format!(
            "`{text}` has no offset from UTC, so it names no instant; end it with `Z` for UTC, or with an offset \
             such as `+02:00`"
        ));
    };
    // RFC 3339 section 5.6: an offset has 23 hours at most.
    if offset.seconds().abs() >= 24 * 3_600 {
        return Err(not_one());
    }
    let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
    let since = pieces.date().to_datetime(time).duration_since(epoch);
    // The fraction belongs to the second that has started, also before 1970.
    let begun = since.as_secs() - i64::from(since.subsec_nanos() < 0);
    Ok(begun - i64::from(offset.seconds()))
}

/// Cuts a fraction after its ninth digit. RFC 3339 allows any number of digits, and jiff nine.
fn with_nanoseconds(text: &str) -> Cow<'_, str> {
    let Some((before, after)) = text.split_once('.') else { return text.into() };
    let end = after.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(after.len());
    match (after.get(..9), after.get(end..)) {
        (Some(kept), Some(rest)) if end > 9 => format!("{before}.{kept}{rest}").into(),
        _ => text.into(),
    }
}

const RULE: &str = "write one such as `2026-01-31T12:00:00Z` or `2026-01-31T14:00:00+02:00` (RFC 3339), \
                    seconds since 1970, or `now`";

/// A date in digits, such as `20261129`, would be a number of seconds: an instant in 1970.
fn is_date(text: &str) -> bool {
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|part| part.parse::<u32>().ok());
    let is_within = |range, least, most| part(range).is_some_and(|part| (least..=most).contains(&part));
    matches!(text.len(), 4 | 8 | 12 | 14)
        && is_within(0..4, 1970, 2999)
        && (text.len() == 4 || (is_within(4..6, 1, 12) && is_within(6..8, 1, 31)))
}

fn seconds(text: &str) -> Result<Instant, String> {
    match text.parse() {
        Ok(_) if is_date(text) => Err(format!("`{text}` looks like a date; {RULE}")),
        Ok(seconds) if (-LAST_SECOND..=LAST_SECOND).contains(&seconds) => {
            Ok(Instant(Timestamp::from_unix(seconds)))
        }
        Ok(number) => {
            let likely = number / 1_000;
            Err(format!(
                "`{text}` is beyond the year 9999 in seconds; it looks like milliseconds: seconds would be `{likely}`"
            ))
        }
        Err(_) => Err(format!("`{text}` is not an instant; {RULE}")),
    }
}

impl Instant {
    /// Checks an instant in the past. Up to a minute ahead may be a clock difference; more is a mistake.
    pub(crate) fn not_ahead(self) -> Result<Self, String> {
        let ahead = self.0.since(now()).unwrap_or_default();
        if ahead <= CLOCKS_DIFFER {
            return Ok(self);
        }
        Err(format!(
            "it is {} s ahead of this machine's clock, and the limit is {} s; \
             write `now`, or an instant in the past",
            ahead.as_secs(),
            CLOCKS_DIFFER.as_secs()
        ))
    }
}

/// A duration of whole seconds, such as `365d` or `1h 30m`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lifetime(pub(crate) Duration);

impl FromStr for Lifetime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "write one such as `365d`, `12h` or `1h 30m`";
        match humantime::parse_duration(text) {
            Ok(duration) if duration.as_secs() == 0 => {
                Err(format!("`{text}` is too short: a duration is at least one second; {RULE}"))
            }
            Ok(duration) if duration.subsec_nanos() > 0 => {
                Err(format!("`{text}` has a fraction of a second: a duration has whole seconds; {RULE}"))
            }
            Ok(duration) if i64::try_from(duration.as_secs()).is_err() => {
                Err(format!("`{text}` is too long; {RULE}"))
            }
            Ok(duration) => Ok(Self(duration)),
            Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => Err(format!(
                "`{text}` has no unit; write `{text}s` for seconds, or one such as `365d` or `12h`"
            )),
            Err(humantime::DurationError::NumberOverflow) => Err(format!("`{text}` is too long; {RULE}")),
            Err(_) => Err(format!("`{text}` is not a duration; {RULE}")),
        }
    }
}

/// A number of seconds, or a duration with its unit; zero is allowed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) Duration);

impl FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(seconds) = text.parse() {
            return Ok(Self(Duration::from_secs(seconds)));
        }
        text.parse::<Lifetime>().map(|Lifetime(duration)| Self(duration)).map_err(|_| {
            format!("`{text}` is not a number of whole seconds; write one such as `30` or `30s`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(text: &str) -> i64 {
        text.parse::<Instant>().unwrap_or_else(|error| panic!("{error}")).0.unix()
    }

    fn error(text: &str) -> String {
        text.parse::<Instant>().expect_err(text)
    }

    #[test]
    fn every_form_of_rfc_3339_names_its_instant() {
        for text in [
            "2026-11-29T10:00:00Z",
            "2026-11-29t10:00:00z",
            "2026-11-29 10:00:00Z",
            "2026-11-29T12:00:00+02:00",
            "2026-11-29T04:30:00-05:30",
            "2026-11-29T10:00:00-00:00",
            "2026-11-29T10:00:00+00:00",
            "2026-11-30T09:59:00+23:59",
            "2026-11-29T10:00:00.5Z",
            "2026-11-29T12:00:00.5+02:00",
            "2026-11-29T12:00:00.999999999+02:00",
            "2026-11-29T12:00:00.99999999999999999999999+02:00",
            "2026-11-29T10:00:00.0000000001Z",
            "1795946400",
        ] {
            assert_eq!(unix(text), 1_795_946_400, "{text}");
        }
        assert_eq!(unix("1969-12-31T23:59:59.5Z"), -1, "a fraction belongs to the second that has begun");
        assert_eq!(unix("1990-12-31T23:59:60Z") - unix("1990-12-31T23:59:59Z"), 0, "a leap second");
        assert_eq!(unix("9999-12-31T23:59:59Z"), LAST_SECOND);
        assert!((unix("now") - now().unix()).abs() <= 1);
    }

    #[test]
    fn time_without_an_offset_is_refused_with_an_example() {
        for text in ["2026-11-29T10:00:00", "2026-11-29 10:00:00", "2026-11-29T10:00:00.5", "2026-11-29"] {
            let error = error(text);
            assert!(error.contains(text) && error.contains("+02:00"), "{error}");
        }
    }

    #[test]
    fn text_that_is_not_an_instant_is_refused_with_an_example() {
        for text in [
            "",
            "tomorrow",
            "NOW",
            " now",
            "10:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "2026-11-29T25:00:00Z",
            "2026-11-29T10:00:00+2:00",
            "2026-11-29T10:00:00 CET",
            "2026-11-29T10:00:00+24:00",
            "2026-11-29T10:00:00Z.0000000000",
            "2026-11-29T10:00:00.0000000000é",
            "1e9",
            "0x10",
            "1.5",
            "2026-11-29T10:00:00Z[Europe/Berlin]",
            "2026-11-29T10:00:00+02:00[Europe/London]",
            "-",
            "+",
        ] {
            let error = error(text);
            assert!(error.contains("2026-01-31T12:00:00Z"), "{error}");
        }
    }

    #[test]
    fn milliseconds_are_not_taken_for_seconds() {
        for text in ["1795946400000", "1795946400000000"] {
            assert!(error(text).contains("milliseconds"), "{text}");
        }
        assert!(error("1795946400000").contains("`1795946400`"));
        assert!(error("99999999999999999999").contains("not an instant"));
    }

    #[test]
    fn date_in_digits_is_not_taken_for_seconds() {
        for text in ["2026", "20261129", "202611291000", "20261129100000"] {
            let error = error(text);
            assert!(error.contains("looks like a date") && error.contains("RFC 3339"), "{error}");
        }
        for (text, seconds) in [("0", 0), ("-1", -1), ("20261329", 20_261_329), ("1795946400", 1_795_946_400)]
        {
            assert_eq!(unix(text), seconds);
        }
    }

    #[test]
    fn before_is_at_most_a_minute_in_the_future() {
        assert!(Instant(now().plus(CLOCKS_DIFFER)).not_ahead().is_ok());
        let error = Instant(now().plus(Duration::from_secs(100))).not_ahead().unwrap_err();
        assert!(error.contains("ahead of this machine's clock"), "{error}");
    }

    #[test]
    fn durations_have_a_unit_and_whole_seconds() {
        let seconds = |text: &str| text.parse::<Lifetime>().map(|Lifetime(duration)| duration.as_secs());
        assert_eq!(seconds("1h 30m"), Ok(5_400));
        for (text, part) in [
            ("3600", "`3600s`"),
            ("0s", "at least one second"),
            ("1500ms", "whole seconds"),
            ("", "365d"),
            ("-1h", "365d"),
            ("9999999999999999999y", "too long"),
            ("soon", "365d"),
        ] {
            let error = seconds(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn number_of_seconds_may_have_a_unit() {
        let read = |text: &str| text.parse::<Seconds>().map(|Seconds(duration)| duration.as_secs());
        assert_eq!((read("0"), read("30"), read("5m")), (Ok(0), Ok(30), Ok(300)));
        assert!(read("-1").unwrap_err().contains("`30s`"));
    }
}
