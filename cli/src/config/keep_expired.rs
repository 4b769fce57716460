//! `keep_expired`: how long an expired token stays in the registry.

use std::str::FromStr;
use std::time::Duration;

use crate::instant::Lifetime;

/// How long an expired token stays in the registry, before it is pruned.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeepExpired {
    For(Duration),
    Forever,
}

impl KeepExpired {
    /// An audit of the last year can still ask who minted a token.
    pub(crate) const DEFAULT: Self = Self::For(Duration::from_secs(365 * 86_400));

    /// Verifiers with the largest leeway, and a clock that differs, may still accept a younger token.
    pub(crate) const LEAST: Duration = Duration::from_secs(3_600);

    pub(crate) fn duration(self) -> Option<Duration> {
        match self {
            Self::For(duration) => Some(duration),
            Self::Forever => None,
        }
    }
}

impl FromStr for KeepExpired {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "forever" {
            return Ok(Self::Forever);
        }
        let Lifetime(duration) =
            text.parse::<Lifetime>().map_err(|error| format!("{error}, or `forever`"))?;
        if duration < Self::LEAST {
            return Err(format!(
                "`{text}` is too short: a verifier with a leeway may still accept the token; write `1h` or more, or `forever`"
            ));
        }
        Ok(Self::For(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expired_tokens_are_kept_for_an_hour_at_least_or_forever() {
        let read = |text: &str| text.parse::<KeepExpired>().map(KeepExpired::duration);
        assert_eq!(read("90d"), Ok(Some(Duration::from_secs(90 * 86_400))));
        assert_eq!(read("1h"), Ok(Some(KeepExpired::LEAST)));
        assert_eq!(read("forever"), Ok(None));
        for text in ["59m", "0s", "never", ""] {
            assert!(read(text).unwrap_err().contains("`forever`"), "{text}");
        }
    }
}
