//! Formats the members of a header or of claims for people, one per line.

use serde_json::{Map, Value};
use service_only::clock::Timestamp;

use crate::escape;

/// Claims that are instants (RFC 7519 section 4.1); they are also printed as dates.
const INSTANTS: [&str; 3] = ["exp", "iat", "nbf"];

/// `name: value` for each member, escaped, because a stranger may have written it.
pub(crate) fn lines(members: &Map<String, Value>) -> Vec<String> {
    members.iter().map(|(name, value)| line(name, value)).collect()
}

fn line(name: &str, value: &Value) -> String {
    let text = escape::one_line(&format!("  {name}: {value}"));
    match value.as_i64() {
        Some(seconds) if INSTANTS.contains(&name) => {
            format!("{text}  ({})", instant(Timestamp::from_unix(seconds)))
        }
        _ => text,
    }
}

/// An instant in RFC 3339, to the second.
pub(crate) fn instant(at: Timestamp) -> String {
    Timestamp::from_unix(at.unix()).to_string().replace(".000000", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_claims_of_time_are_shown_as_dates() {
        assert_eq!(line("exp", &1_767_225_600.into()), "  exp: 1767225600  (2026-01-01T00:00:00Z)");
        assert_eq!(line("level", &1_767_225_600.into()), "  level: 1767225600");
        assert_eq!(line("exp", &"soon".into()), "  exp: \"soon\"");
    }

    #[test]
    fn instants_outside_the_calendar_do_not_panic() {
        for seconds in [i64::MIN, i64::MAX, -1, 253_402_300_800] {
            assert!(line("exp", &seconds.into()).contains(&seconds.to_string()));
        }
    }
}
