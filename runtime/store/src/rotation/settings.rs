//! The times of a rotation, each with the reason for its default.

use std::{fmt, str::FromStr, time::Duration};

use service_only::verifier::MAX_LEEWAY;

use crate::store::KeyRecord;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// When keys come and go. The thresholds follow SPIRE's practice, which prepares a key while half of
/// the active one's life remains and puts it in charge while a sixth remains.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RotationSettings {
    /// How long a key signs. 90 days, so that rotating stays something that is done every season, and
    /// a key that leaked unnoticed ends in the same one.
    pub key_life: Duration,
    /// How much of the active key's life is left when the next one is prepared. Half, so that somebody
    /// has weeks to see that it was published wrongly.
    pub prepare: LifeLeft,
    /// How much of it is left when the next one signs. A sixth, so that one attempt that fails is not
    /// the end.
    pub activate: LifeLeft,
    /// How long a verifier that does not report may take to learn a published key, and the least that
    /// a key stays after it ceased to sign. An hour: remote key sets are refreshed more often, and
    /// mounted files within minutes.
    pub longest_refresh: Duration,
    /// How long a verifier may be silent before it is taken for gone. An hour: replaced instances must
    /// not hold a rotation up for long.
    pub verifier_silence: Duration,
    /// For how long nobody may have used a key before silence is taken for disuse. Eight days, since
    /// some jobs run once a week.
    pub unused_for: Duration,
    /// The longest life of a token that the registry does not know. A year, which tokens of the
    /// compatible profile live unless told otherwise.
    pub token_life: Duration,
    /// How long after its end verifiers may still accept a token. The most that a verifier can be
    /// told.
    pub leeway: Duration,
}

impl Default for RotationSettings {
    fn default() -> Self {
        Self {
            key_life: 90 * DAY,
            prepare: LifeLeft { parts: 1, of: 2 },
            activate: LifeLeft { parts: 1, of: 6 },
            longest_refresh: HOUR,
            verifier_silence: HOUR,
            unused_for: 8 * DAY,
            token_life: 365 * DAY,
            leeway: MAX_LEEWAY,
        }
    }
}

impl RotationSettings {
    /// Whether they fit together.
    ///
    /// # Errors
    /// When they do not, in words for the operator.
    pub fn check(&self) -> Result<(), String> {
        if self.key_life < Duration::from_secs(2) {
            return Err("a key lives for two seconds at least".to_owned());
        }
        let (prepare, activate) = (self.prepare, self.activate);
        if prepare.product(activate.of) < activate.product(prepare.of) {
            return Err(format!(
                "a key is prepared before it is activated: {prepare} of a life left is later than {activate}"
            ));
        }
        Ok(())
    }

    /// When a key's life ends.
    pub(crate) fn end_of(&self, key: &KeyRecord) -> i64 {
        key.expires_at.unwrap_or_else(|| began(key).saturating_add(seconds(self.key_life)))
    }

    /// Never nothing, so that a key which ceased to sign is not withdrawn in the same moment.
    pub(crate) fn refresh(&self) -> i64 {
        seconds(self.longest_refresh).max(1)
    }

    pub(crate) fn silence(&self) -> i64 {
        seconds(self.verifier_silence)
    }

    pub(crate) fn unused(&self) -> i64 {
        seconds(self.unused_for).max(1)
    }

    pub(crate) fn token_life(&self) -> i64 {
        seconds(self.token_life)
    }

    pub(crate) fn leeway(&self) -> i64 {
        seconds(self.leeway)
    }
}

fn began(key: &KeyRecord) -> i64 {
    key.active_at.unwrap_or(key.prepared_at)
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// A share of a key's life that is left, such as `1/6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeLeft {
    parts: u16,
    of: u16,
}

impl LifeLeft {
    /// The instant at which this share of the key's life is left.
    pub(crate) fn before(self, key: &KeyRecord, ends: i64, settings: &RotationSettings) -> i64 {
        let life = match key.expires_at {
            Some(ends) => ends.saturating_sub(began(key)).max(0),
            None => seconds(settings.key_life),
        };
        let left = i128::from(life) * i128::from(self.parts) / i128::from(self.of.max(1));
        ends.saturating_sub(i64::try_from(left).unwrap_or(i64::MAX))
    }

    fn product(self, factor: u16) -> u32 {
        u32::from(self.parts) * u32::from(factor)
    }
}

impl FromStr for LifeLeft {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(parts, of)| {
            let (parts, of) = (parts.trim().parse().ok()?, of.trim().parse().ok()?);
            (0 < parts && parts < of).then_some(Self { parts, of })
        });
        parsed.ok_or_else(|| format!("`{text}` is not a share of a life; write one such as `1/2` or `1/6`"))
    }
}

impl fmt::Display for LifeLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.parts, self.of)
    }
}
