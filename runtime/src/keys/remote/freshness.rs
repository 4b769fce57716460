//! Computes when to fetch again, from the freshness of the response and the operator's bounds. It is pure.

use std::time::Duration;

/// The default freshness of a response: five minutes, as Spring and Envoy assume.
pub(crate) const UNSAID: Duration = Duration::from_secs(300);

/// The first delay after a failed fetch; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest delay after failed fetches. With one fetch a minute, an issuer that recovers is found soon, and
/// one that is overloaded is not kept down.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// The bounds for the freshness that an issuer may choose.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Bounds {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

impl Bounds {
    /// The delay until the next fetch after a good one. It is 75 to 90 percent of the freshness, ahead of expiry, so
    /// that many services that started together do not fetch together. `chance` is
    /// a random number from 0 to 255.
    pub(crate) fn next(self, fresh_for: Option<Duration>, chance: u8) -> Duration {
        let fresh = fresh_for.unwrap_or(UNSAID).clamp(self.min, self.max);
        let percent = 75 + u32::from(chance) * 15 / 255;
        (fresh / 100 * percent).max(self.min)
    }

    /// The delay after the `failures`th failure in a row. It doubles each time, and half of it is random.
    pub(crate) fn retry(self, failures: u32, chance: u8) -> Duration {
        let doubled = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let most = doubled.min(LAST_RETRY).min(self.max);
        most / 2 + most / 2 / 255 * u32::from(chance)
    }
}

/// The freshness of the response, by its `Cache-Control` and `Age` (RFC 9111 sections 4.2 and
/// 5.2.2); `None` if the response has none.
pub(crate) fn fresh_for<'v>(
    cache_control: impl Iterator<Item = &'v str>,
    age: Option<&str>,
) -> Option<Duration> {
    let mut shortest: Option<u64> = None;
    for directive in cache_control.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let seconds = match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => 0,
            "max-age" => delta_seconds(value).unwrap_or(0),
            _ => continue,
        };
        // If the header repeats a value, the shorter one counts; a malformed value means stale (section 4.2.1).
        shortest = Some(shortest.map_or(seconds, |so_far| so_far.min(seconds)));
    }
    let age = age.and_then(delta_seconds).unwrap_or(0);
    shortest.map(|seconds| Duration::from_secs(seconds.saturating_sub(age)))
}

/// Parses digits (RFC 9111 section 1.2.2). A number that does not fit counts as 2^31 seconds, which means forever.
fn delta_seconds(text: &str) -> Option<u64> {
    const FOR_EVER: u64 = 1 << 31;
    let text = text.trim();
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().map_or(FOR_EVER, |seconds: u64| seconds.min(FOR_EVER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { min: Duration::from_secs(60), max: Duration::from_secs(3600) };

    #[test]
    fn freshness_follows_rfc_9111() {
        let cases: &[(&[&str], Option<&str>, Option<u64>)] = &[
            (&[], None, None),
            (&[], Some("10"), None),
            (&["public"], None, None),
            (&["max-age=600"], None, Some(600)),
            (&["public, MAX-AGE = 600 , immutable"], None, Some(600)),
            (&["max-age=\"600\""], None, Some(600)),
            (&["max-age=600"], Some("100"), Some(500)),
            (&["max-age=600"], Some("700"), Some(0)),
            (&["max-age=600"], Some("soon"), Some(600)),
            (&["max-age=600, max-age=30"], None, Some(30)),
            (&["max-age=600", "max-age=900"], None, Some(600)),
            (&["max-age=600", "no-cache"], None, Some(0)),
            (&["no-store"], None, Some(0)),
            (&["s-maxage=5, max-age=600"], None, Some(600)),
            (&["max-age=-1"], None, Some(0)),
            (&["max-age="], None, Some(0)),
            (&["max-age"], None, Some(0)),
            (&["max-age=1e3"], None, Some(0)),
            (&["max-age=99999999999999999999999999"], None, Some(1 << 31)),
            (&[",,=,max-age=7,"], None, Some(7)),
        ];
        for (cache_control, age, seconds) in cases {
            let found = fresh_for(cache_control.iter().copied(), *age);
            assert_eq!(found, seconds.map(Duration::from_secs), "{cache_control:?} {age:?}");
        }
    }

    #[test]
    fn the_next_fetch_is_ahead_of_expiry_and_within_the_bounds() {
        for (fresh, earliest, latest) in [
            (None, 225, 270),
            (Some(0), 60, 60),
            (Some(59), 60, 60),
            (Some(100), 75, 90),
            (Some(3600), 2700, 3240),
            (Some(1 << 31), 2700, 3240),
        ] {
            let fresh = fresh.map(Duration::from_secs);
            let found = [0, 255].map(|chance| BOUNDS.next(fresh, chance));
            assert_eq!(found, [earliest, latest].map(Duration::from_secs), "{fresh:?}");
            assert!((0..=255).all(|chance| found[0] <= BOUNDS.next(fresh, chance)));
        }
    }

    #[test]
    fn failures_are_retried_with_backoff_up_to_a_minute() {
        let longest = |failures| BOUNDS.retry(failures, 255).as_millis().div_ceil(100);
        assert_eq!([1, 2, 3, 4].map(longest), [10, 20, 40, 80]);
        assert_eq!([7, 8, 1000, u32::MAX].map(longest), [600; 4]);
        for failures in [1, 5, u32::MAX] {
            assert!(BOUNDS.retry(failures, 0) >= Duration::from_millis(500), "never at once");
            assert!(BOUNDS.retry(failures, 0) <= BOUNDS.retry(failures, 255), "spread by chance");
        }
        let impatient = Bounds { min: Duration::from_millis(10), max: Duration::from_millis(100) };
        assert!(impatient.retry(9, 255) <= impatient.max, "an operator who wants fresher keys gets them");
    }
}
