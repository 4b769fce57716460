//! The report `usage`: who called what, with which token and key.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::{Count, Durations, Name, Survey, Use};
use crate::findings::instant;

/// The calls of one service to one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PairUsage {
    /// The verified service, or [`UNAUTHENTICATED`](super::UNAUTHENTICATED).
    pub service: String,
    /// The handler, or method and route.
    pub endpoint: String,
    /// The counts.
    #[serde(flatten)]
    pub calls: Calls,
}

/// The calls with one token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TokenUsage {
    /// The issuer of the token.
    pub issuer: String,
    /// The id of the token.
    pub jti: String,
    /// The service of the token.
    pub service: String,
    /// The keys that verified it.
    pub kids: Vec<String>,
    /// How many networks it came from.
    pub networks: usize,
    /// The counts.
    #[serde(flatten)]
    pub calls: Calls,
}

/// The calls whose tokens one key verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyUsage {
    /// The id of the key.
    pub kid: String,
    /// The services whose tokens it verified. A token without an id is not among them.
    pub services: Vec<String>,
    /// The counts.
    #[serde(flatten)]
    pub calls: Calls,
}

/// Counts of decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Calls {
    /// Admitted calls.
    pub allowed: u64,
    /// Refused calls.
    pub refused: u64,
    /// The time of the first record.
    pub first: String,
    /// The time of the last record.
    pub last: String,
    /// The median duration of a decision, in microseconds.
    pub p50_us: u64,
    /// The 99th percentile of the duration, in microseconds.
    pub p99_us: u64,
    /// The number of decisions of up to 10 µs, 100 µs, 1 ms, 10 ms, 100 ms, and of longer ones.
    pub durations: [u64; 6],
}

impl Calls {
    fn of(count: &Count) -> Self {
        let Count { allowed, refused, span, durations, .. } = count;
        let quantile = |share| Durations::quantile(durations, share).unwrap_or_default();
        Self {
            allowed: *allowed,
            refused: *refused,
            first: span.first().map(instant).unwrap_or_default(),
            last: span.last().map(instant).unwrap_or_default(),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            durations: durations.coarse(),
        }
    }
}

impl Survey {
    /// The calls of each service to each endpoint, sorted by name.
    pub fn usage(&self) -> Vec<PairUsage> {
        let mut usage: Vec<_> = self
            .pairs
            .iter()
            .map(|((service, endpoint), count)| PairUsage {
                service: self.names.text(*service).to_owned(),
                endpoint: self.names.text(*endpoint).to_owned(),
                calls: Calls::of(count),
            })
            .collect();
        usage.sort_by(|one, other| (&one.service, &one.endpoint).cmp(&(&other.service, &other.endpoint)));
        usage
    }

    /// The calls with each token, sorted by service and `jti`.
    pub fn token_usage(&self) -> Vec<TokenUsage> {
        let mut usage: Vec<_> = self
            .tokens
            .iter()
            .map(|((issuer, jti), token)| {
                let mut kids: Vec<_> = token.uses.iter().filter_map(|used| used.kid).collect();
                kids.sort_unstable();
                kids.dedup();
                let mut networks: Vec<_> = token.uses.iter().map(|Use { network, .. }| network).collect();
                networks.sort_unstable();
                networks.dedup();
                TokenUsage {
                    issuer: self.names.text(*issuer).to_owned(),
                    jti: self.names.text(*jti).to_owned(),
                    service: self.names.text(token.service).to_owned(),
                    kids: kids.into_iter().map(|kid| self.names.text(kid).to_owned()).collect(),
                    networks: networks.len(),
                    calls: Calls::of(&token.count),
                }
            })
            .collect();
        usage.sort_by(|one, other| {
            (&one.service, &one.jti, &one.issuer).cmp(&(&other.service, &other.jti, &other.issuer))
        });
        usage
    }

    /// The calls by the key that verified the token, sorted by name.
    pub fn key_usage(&self) -> Vec<KeyUsage> {
        let mut services: HashMap<Name, BTreeSet<&str>> = HashMap::new();
        for token in self.tokens.values() {
            for kid in token.uses.iter().filter_map(|used| used.kid) {
                services.entry(kid).or_default().insert(self.names.text(token.service));
            }
        }
        let owned = |names: &BTreeSet<&str>| names.iter().map(|name| (*name).to_owned()).collect();
        let mut usage: Vec<_> = self
            .keys
            .iter()
            .map(|(kid, count)| KeyUsage {
                kid: self.names.text(*kid).to_owned(),
                services: services.get(kid).map(owned).unwrap_or_default(),
                calls: Calls::of(count),
            })
            .collect();
        usage.sort_by(|one, other| one.kid.cmp(&other.kid));
        usage
    }
}
