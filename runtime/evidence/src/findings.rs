//! A finding of a report: the rule, the subject, and a sentence. Its id is the same in every run.

use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// The rule that found something.
#[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The list of a handler contains a service that never called it.
    UnusedGrant,
    /// No service called the handler.
    UnusedEndpoint,
    /// A valid token was never used.
    UnusedToken,
    /// A token has a scope that no handler requires which its service called.
    UnusedScope,
    /// The handler admits any service, and few called it.
    OpenPolicy,
    /// A service called a handler for the first time.
    NewPair,
    /// One token came from two networks at the same time.
    TwoNetworks,
    /// Two keys verified the same `jti`.
    TwoKeys,
    /// A token came from a network that no token of its service came from before.
    NewNetwork,
    /// Far more refusals than usual.
    RefusalBurst,
    /// A token was used again after its successor had replaced it.
    UsedAfterRotation,
    /// A log has no records for longer than usual.
    Gap,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 12] = [
        Self::UnusedGrant,
        Self::UnusedEndpoint,
        Self::UnusedToken,
        Self::UnusedScope,
        Self::OpenPolicy,
        Self::NewPair,
        Self::TwoNetworks,
        Self::TwoKeys,
        Self::NewNetwork,
        Self::RefusalBurst,
        Self::UsedAfterRotation,
        Self::Gap,
    ];

    /// The rules of [`anomalies`](crate::anomalies).
    pub const ANOMALIES: [Self; 7] = [
        Self::NewPair,
        Self::TwoNetworks,
        Self::TwoKeys,
        Self::NewNetwork,
        Self::RefusalBurst,
        Self::UsedAfterRotation,
        Self::Gap,
    ];

    /// The stable name of the rule.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnusedGrant => "unused-grant",
            Self::UnusedEndpoint => "unused-endpoint",
            Self::UnusedToken => "unused-token",
            Self::UnusedScope => "unused-scope",
            Self::OpenPolicy => "open-policy",
            Self::NewPair => "new-pair",
            Self::TwoNetworks => "two-networks",
            Self::TwoKeys => "two-keys",
            Self::NewNetwork => "new-network",
            Self::RefusalBurst => "refusal-burst",
            Self::UsedAfterRotation => "used-after-rotation",
            Self::Gap => "gap",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The rule and a hash of the subject, such as `unused-grant-3fa9c2d1`. It does not depend on times and counts.
    pub id: String,
    /// The rule.
    pub rule: Rule,
    /// The service that the finding is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The handler that the finding is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The token, key, scope, code or log that the finding is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it was first seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The finding and its numbers, in words.
    pub text: String,
}

impl Finding {
    pub(crate) fn new(rule: Rule, about: About<'_>, since: Option<i64>, text: String) -> Self {
        let mut hash = Sha256::new();
        for part in [Some(rule.as_str()), about.service, about.endpoint, about.subject] {
            let part = part.unwrap_or_default();
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let [one, two, three, four, ..] = <[u8; 32]>::from(hash.finalize());
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Self {
            id: format!("{rule}-{one:02x}{two:02x}{three:02x}{four:02x}"),
            rule,
            service: owned(about.service),
            endpoint: owned(about.endpoint),
            subject: owned(about.subject),
            since: since.map(instant),
            text,
        }
    }
}

/// What identifies a finding of a rule.
#[derive(Debug, Copy, Clone, Default)]
pub(crate) struct About<'a> {
    pub(crate) service: Option<&'a str>,
    pub(crate) endpoint: Option<&'a str>,
    pub(crate) subject: Option<&'a str>,
}

/// An instant in microseconds since 1970, as RFC 3339 with whole seconds.
pub fn instant(micros: i64) -> String {
    jiff::Timestamp::from_second(micros.div_euclid(1_000_000))
        .map_or_else(|_| micros.to_string(), |instant| instant.to_string())
}
