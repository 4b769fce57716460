//! Instants for people: relative to now, such as `in 3 d` or `5 min ago`. JSON has the instant itself.

use service_only::clock::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The distance from `now`, rounded to the largest unit of which it has two or more.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.unix().abs_diff(now.unix());
    if at <= now && seconds < MINUTE {
        return "just now".to_owned();
    }
    let distance = rough(seconds);
    if at > now { format!("in {distance}") } else { format!("{distance} ago") }
}

/// A duration in one unit.
fn rough(seconds: u64) -> String {
    let (unit, length) = match seconds {
        ..120 => ("s", 1),
        120..7_200 => ("min", MINUTE),
        7_200..172_800 => ("h", HOUR),
        _ => ("d", DAY),
    };
    format!("{} {unit}", (seconds + length / 2) / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_has_one_unit_and_a_direction() {
        let now = Timestamp::from_unix(1_767_225_600);
        for (distance, text) in [
            (0, "just now"),
            (-59, "just now"),
            (-60, "60 s ago"),
            (1, "in 1 s"),
            (-119, "119 s ago"),
            (120, "in 2 min"),
            (3_600, "in 60 min"),
            (7_199, "in 120 min"),
            (7_200, "in 2 h"),
            (-172_799, "48 h ago"),
            (172_800, "in 2 d"),
            // A second after it was minted for 30 days.
            (30 * 86_400 - 1, "in 30 d"),
            (365 * 86_400, "in 365 d"),
        ] {
            let at = Timestamp::from_unix(now.unix() + distance);
            assert_eq!(relative(at, now), text, "{distance}");
        }
    }

    #[test]
    fn instants_outside_the_calendar_do_not_panic() {
        let now = Timestamp::from_unix(0);
        for seconds in [i64::MIN, i64::MAX] {
            assert!(relative(Timestamp::from_unix(seconds), now).contains(" d"));
        }
    }
}
