//! What an operator should look at, as types for programs and as sentences for people.
//!
//! A plan finds these in the journal. A program that also writes files adds what it finds there.

use std::fmt;

use super::{Plan, Step, needs::instant};
use crate::store::Text;
use service_only::clock::Timestamp;

/// A state of the keys that an operator should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Verifiers report without a key that was published longer ago than their refresh interval.
    UnknownToVerifiers {
        /// The key.
        kid: String,
        /// The verifiers.
        verifiers: Vec<String>,
    },
    /// The active key is revoked, so verifiers refuse each new token.
    ActiveRevoked {
        /// The key.
        kid: String,
    },
    /// A step has been due for longer than [`Plan::OVERDUE_AFTER`].
    Overdue {
        /// The step.
        step: Step,
    },
    /// The active key signs although its life has ended.
    PastLife {
        /// The key.
        kid: String,
        /// When its life ended.
        ended: Timestamp,
    },
    /// A run has left files that differ from the journal. The plan cannot see this: the program that writes the
    /// files adds it.
    Unfinished {
        /// What differs.
        what: String,
    },
    /// The published set has keys that the journal does not have. The program that reads the set adds this.
    UnknownKeys {
        /// The keys.
        kids: Vec<String>,
        /// Where the set is.
        place: String,
    },
    /// The published set has keys that the journal cannot have. The program that reads the set adds this.
    UnmanagedKeys {
        /// The keys, each with the reason.
        keys: Vec<String>,
        /// Where the set is.
        place: String,
    },
}

impl Warning {
    /// The name in metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::UnknownToVerifiers { .. } => "unknown_to_verifiers",
            Self::ActiveRevoked { .. } => "active_key_revoked",
            Self::Overdue { .. } => "step_overdue",
            Self::PastLife { .. } => "key_past_life",
            Self::Unfinished { .. } => "run_unfinished",
            Self::UnknownKeys { .. } => "unknown_keys",
            Self::UnmanagedKeys { .. } => "unmanaged_keys",
        }
    }

    const NAMES: [&'static str; 7] = [
        "active_key_revoked",
        "key_past_life",
        "run_unfinished",
        "step_overdue",
        "unknown_keys",
        "unknown_to_verifiers",
        "unmanaged_keys",
    ];
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownToVerifiers { kid, verifiers } => write!(
                f,
                "the key `{kid}` was published more than the longest refresh interval ago, and these verifiers still lack it: {}",
                verifiers.join(", ")
            ),
            Self::ActiveRevoked { kid } => {
                write!(f, "the active key `{kid}` is revoked; `rotate --emergency={kid}` replaces it")
            }
            Self::Overdue { step } => {
                let (verb, kid) = match step {
                    Step::Adopt => ("adopt the configured key", None),
                    Step::Prepare => ("prepare the next key", None),
                    Step::Activate { kid } => ("activate the key", kid.as_deref()),
                    Step::Retire { kid } => ("retire the key", Some(kid.as_str())),
                };
                let kid = kid.map(|kid| format!(" `{kid}`")).unwrap_or_default();
                let hours = Plan::OVERDUE_AFTER.as_secs() / 3600;
                write!(
                    f,
                    "the step to {verb}{kid} has been due for more than {hours} hours; check the timer that runs `rotate`"
                )
            }
            Self::PastLife { kid, ended } => {
                write!(f, "the active key `{kid}` still signs, and its life ended at {}", instant(*ended))
            }
            Self::Unfinished { what } => write!(f, "a run did not finish: {what}; run `rotate` again"),
            Self::UnknownKeys { kids, place } => {
                let kids: Vec<_> = kids.iter().map(|kid| format!("`{kid}`")).collect();
                write!(
                    f,
                    "`{place}` has keys that the journal does not have: {}; `rotate` keeps them as retiring keys",
                    kids.join(", ")
                )
            }
            Self::UnmanagedKeys { keys, place } => write!(
                f,
                "`{place}` has keys that never retire, because the journal cannot record them: {}; `rotate --drop-unknown` removes them",
                keys.join(", ")
            ),
        }
    }
}

impl Plan {
    /// The number of warnings of each kind, in Prometheus' text format.
    pub fn exposition(&self, issuer: &str) -> String {
        let mut text = Text::of(issuer);
        let name = "service_only_rotation_warnings";
        text.head(name, "gauge", "Warnings of the plan of a rotation, by kind");
        for kind in Warning::NAMES {
            let count = self.warnings.iter().filter(|warning| warning.name() == kind).count();
            text.line(name, &[("kind", kind)], i64::try_from(count).unwrap_or(i64::MAX));
        }
        text.into_lines()
    }
}
