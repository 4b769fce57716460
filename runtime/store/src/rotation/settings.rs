//! The times of a rotation, each with the reason for its default.

use std::{fmt, str::FromStr, time::Duration};

use service_only::{Verifier, clock::Timestamp};

use crate::store::KeyRecord;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// When keys are prepared, activated and retired. The thresholds follow SPIRE's practice: it prepares a key
/// when half of the active key's life remains, and activates it when a sixth remains.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RotationSettings {
    /// How long a key signs. The default of 90 days makes rotation a routine of every season, and also limits
    /// a key that leaked unnoticed to one season.
    pub key_life: Duration,
    /// How much of the active key's life remains when the next key is prepared. The default is half, which
    /// leaves weeks to notice that the key was published wrongly.
    pub prepare: LifeLeft,
    /// How much of it remains when the next key signs. The default is a sixth, which leaves time to retry a
    /// failed attempt.
    pub activate: LifeLeft,
    /// How long a verifier that does not report may take to learn a published key. It is also the minimum
    /// time that a key stays after it stopped signing. The default is an hour: remote key sets are refreshed
    /// more often, and mounted files within minutes.
    pub longest_refresh: Duration,
    /// How long a verifier may be silent before it counts as stopped. The default is an hour: replaced
    /// instances must not delay a rotation for long.
    pub verifier_silence: Duration,
    /// How long a key must be unused before it counts as unused for good. The default is eight days, because
    /// some jobs run once a week.
    pub unused_for: Duration,
    /// The longest life of a token that is not in the registry. The default is a year, the default lifetime
    /// of tokens of the compatible profile.
    pub token_life: Duration,
    /// How long after its expiry verifiers may still accept a token. The default is the largest leeway that a
    /// verifier allows.
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
            leeway: Verifier::MAX_LEEWAY,
        }
    }
}

impl RotationSettings {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// When they do not.
    pub fn check(&self) -> Result<(), InvalidRotationSettings> {
        if self.key_life < Duration::from_secs(2) {
            return Err(InvalidRotationSettings::KeyLife);
        }
        let (prepare, activate) = (self.prepare, self.activate);
        if prepare.product(activate.of) < activate.product(prepare.of) {
            return Err(InvalidRotationSettings::Order { prepare, activate });
        }
        Ok(())
    }

    /// When a key's life ends.
    pub(crate) fn end_of(&self, key: &KeyRecord) -> Timestamp {
        key.expires_at.unwrap_or_else(|| began(key).plus(self.key_life))
    }

    /// The refresh time, at least one second, so that a key is not withdrawn in the moment when it stops
    /// signing.
    pub(crate) fn refresh(&self) -> Duration {
        self.longest_refresh.max(SECOND)
    }

    pub(crate) fn unused(&self) -> Duration {
        self.unused_for.max(SECOND)
    }
}

/// Why the settings of a rotation do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRotationSettings {
    /// The life of a key is too short.
    #[error("a key must live for at least two seconds")]
    KeyLife,
    /// A key would be activated before it is prepared.
    #[error(
        "a key must be prepared before it is activated: `prepare` ({prepare}) is less than `activate` ({activate})"
    )]
    Order {
        /// How much of the active key's life remains when the next key is prepared.
        prepare: LifeLeft,
        /// How much of it remains when the next key signs.
        activate: LifeLeft,
    },
}

fn began(key: &KeyRecord) -> Timestamp {
    key.active_at.unwrap_or(key.prepared_at)
}

/// A remaining share of a key's life, such as `1/6`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LifeLeft {
    parts: u16,
    of: u16,
}

impl LifeLeft {
    /// The instant at which this share of the key's life remains, in whole seconds.
    pub(crate) fn before(self, key: &KeyRecord, ends: Timestamp, settings: &RotationSettings) -> Timestamp {
        let life = match key.expires_at {
            Some(ends) => ends.since(began(key)).unwrap_or_default(),
            None => settings.key_life,
        };
        let left = u128::from(life.as_secs()) * u128::from(self.parts) / u128::from(self.of.max(1));
        ends.minus(Duration::from_secs(u64::try_from(left).unwrap_or(u64::MAX)))
    }

    fn product(self, factor: u16) -> u32 {
        u32::from(self.parts) * u32::from(factor)
    }
}

impl FromStr for LifeLeft {
    type Err = InvalidLifeLeft;

    fn from_str(text: &str) -> Result<Self, InvalidLifeLeft> {
        let parsed = text.split_once('/').and_then(|(parts, of)| {
            let (parts, of) = (parts.trim().parse().ok()?, of.trim().parse().ok()?);
            (0 < parts && parts < of).then_some(Self { parts, of })
        });
        parsed.ok_or_else(|| InvalidLifeLeft(text.to_owned()))
    }
}

/// A text that is not a share of a life.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share of a lifetime; write a fraction such as `1/2` or `1/6`")]
pub struct InvalidLifeLeft(String);

impl fmt::Display for LifeLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.parts, self.of)
    }
}
