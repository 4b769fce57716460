//! What prevents a rotation step, above all the services that still need a key that is to retire.

use std::{collections::BTreeSet, fmt};

use super::Planner;
use crate::store::KeyRecord;
use service_only::{clock::Timestamp, keys::KeyState};

/// A reason to postpone a step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// The step is planned for later.
    Time {
        /// When the step may be made.
        until: Timestamp,
    },
    /// Verifiers do not have the key yet.
    Verifiers {
        /// The reporting verifiers that lack the key; empty if no verifier reports at all.
        lacking: Vec<String>,
        /// When every verifier has checked for new keys.
        until: Timestamp,
    },
    /// A service holds a token of the key.
    Holder {
        /// The service.
        service: String,
        /// When its last token expires.
        until: Timestamp,
        /// When it was last seen with one.
        last_seen: Option<Timestamp>,
    },
    /// A service was seen with a token of the key, and the registry does not have this token.
    User {
        /// The service.
        service: String,
        /// When it was last seen.
        last_seen: Timestamp,
        /// When it has been silent for long enough.
        until: Timestamp,
    },
    /// The registry has no token of the key, and no report of a verifier shows that no such token exists.
    Unknown {
        /// When the longest possible token of the key expires.
        until: Timestamp,
    },
}

impl Need {
    /// When this reason ends, if nothing happens before.
    pub fn until(&self) -> Timestamp {
        match self {
            Self::Time { until }
            | Self::Verifiers { until, .. }
            | Self::Holder { until, .. }
            | Self::User { until, .. }
            | Self::Unknown { until } => *until,
        }
    }

    /// The service that needs the key.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Holder { service, .. } | Self::User { service, .. } => Some(service),
            _ => None,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |at: &Timestamp| instant(*at);
        match self {
            Self::Time { until } => write!(f, "not before {}", time(until)),
            Self::Verifiers { lacking, until } if lacking.is_empty() => {
                write!(f, "no verifier reports; by {} each verifier has loaded the new key", time(until))
            }
            Self::Verifiers { lacking, until } => {
                write!(
                    f,
                    "not loaded yet by {}; at the latest, it waits until {}",
                    lacking.join(", "),
                    time(until)
                )
            }
            Self::Holder { service, until, last_seen } => {
                write!(f, "`{service}` has a token of this key until {}", time(until))?;
                match last_seen {
                    Some(seen) => write!(f, ", last seen at {}", time(seen)),
                    None => f.write_str(", never seen in use"),
                }
            }
            Self::User { service, last_seen, .. } => write!(
                f,
                "`{service}` was seen at {} with a token of this key that the registry does not know",
                time(last_seen)
            ),
            Self::Unknown { until } => write!(
                f,
                "the registry has no token of this key, and no verifier reports; other tokens may be valid until {}",
                time(until)
            ),
        }
    }
}

impl Planner<'_> {
    /// All reasons to keep a key that no longer signs.
    pub(crate) fn needs_of(&self, key: &KeyRecord) -> Vec<Need> {
        let since = key.retiring_at.unwrap_or(key.prepared_at);
        // A program that read the key just before it stopped signing may still record its last token.
        let mut needs: Vec<_> = self.time(since.plus(self.settings.refresh())).into_iter().collect();
        if !self.journal.holders.iter().any(|holder| holder.kid == key.kid) && !self.is_watched_since(since) {
            let until = since.plus(self.settings.token_life).plus(self.settings.leeway);
            needs.extend((self.now < until).then_some(Need::Unknown { until }));
        }
        let holders = self.journal.holders.iter().filter(|holder| holder.kid == key.kid);
        let users = self.journal.uses.iter().filter(|used| used.kid == key.kid);
        let services: BTreeSet<_> = holders
            .map(|holder| holder.service.as_str())
            .chain(users.map(|used| used.service.as_str()))
            .collect();
        needs.extend(services.into_iter().filter_map(|service| self.need_of(key, since, service)));
        needs
    }

    fn need_of(&self, key: &KeyRecord, since: Timestamp, service: &str) -> Option<Need> {
        let holder =
            self.journal.holders.iter().find(|holder| holder.kid == key.kid && holder.service == service);
        let ends = holder.map(|holder| holder.last_expiry.plus(self.settings.leeway));
        let used = self.journal.uses.iter().find(|used| used.kid == key.kid && used.service == service);
        let last_seen = used.map(|used| used.last_seen);
        let silent_from = last_seen.map(|seen| seen.plus(self.settings.unused()));
        let is_silent = silent_from.is_none_or(|from| from <= self.now);
        match (ends, last_seen, silent_from) {
            (Some(until), ..) if self.now < until => {
                let unused = is_silent && self.is_watched_since(since) && self.has_another(service);
                (!unused).then(|| Need::Holder { service: service.to_owned(), until, last_seen })
            }
            // The service was seen after its last recorded token had expired, so it has a token that is not
            // recorded.
            (_, Some(last_seen), Some(until)) if !is_silent && ends.is_none_or(|ends| ends <= last_seen) => {
                Some(Need::User { service: service.to_owned(), last_seen, until })
            }
            _ => None,
        }
    }

    /// Whether verifiers report, and have reported for long enough. Only then does silence mean that a key is
    /// unused.
    fn is_watched_since(&self, since: Timestamp) -> bool {
        self.reporting().next().is_some() && since.plus(self.settings.unused()) <= self.now
    }

    /// Whether a service has a token of the active key. A token of another retiring key does not help.
    fn has_another(&self, service: &str) -> bool {
        self.only(KeyState::Active).is_some_and(|active| {
            self.journal.holders.iter().any(|holder| {
                holder.service == service && holder.kid == active.kid && holder.last_expiry > self.now
            })
        })
    }
}

/// Formats an instant as RFC 3339 to the second, for people and programs.
pub(super) fn instant(at: Timestamp) -> String {
    let second = at.unix();
    jiff::Timestamp::from_second(second).map_or_else(|_| format!("@{second}"), |time| time.to_string())
}
