//! One pass over the records, which counts everything that the reports need.
//!
//! Memory grows with services, endpoints, tokens, keys and the hours they were used in, each within a limit. It does not
//! grow with the number of records. Names of tokens that were not authenticated are never counted by name, because any
//! client can invent them.

mod activity;
mod histogram;
mod names;
mod recent;
mod timeline;
mod usage;

use std::{collections::HashMap, net::IpAddr, path::Path};

use foldhash::fast::RandomState;

use self::{activity::SLOT, names::Names, recent::RecentIds, timeline::Minutes};
pub(crate) use self::{activity::Slots, names::Name, timeline::MINUTE};
pub use self::{
    histogram::Durations,
    timeline::{CodeUsage, Decisions, MAX_MINUTES},
    usage::{Calls, KeyUsage, PairUsage, TokenUsage},
};
use crate::read::{Place, Record, Visitor};

/// How many pairs of a service and an endpoint are counted. Records of further pairs are in [`Survey::omitted`].
pub const MAX_PAIRS: usize = 1_000_000;

/// How many tokens are counted, and how many keys. Records of further ones are in [`Survey::omitted`].
pub const MAX_TOKENS: usize = 1_000_000;

/// How many different keys and networks are kept of one token.
pub const MAX_USES: usize = 64;

/// The caller of a record without an authenticated service.
pub const UNAUTHENTICATED: &str = "(unauthenticated)";

/// The length of a window of refusals, in microseconds.
pub(crate) const REFUSAL_WINDOW: i64 = 300_000_000;

pub(crate) const HOUR: i64 = 3_600_000_000;

/// What the records contain. Pass it to [`read::files`](crate::read::files).
#[derive(Debug, Default)]
pub struct Survey {
    pub(crate) names: Names,
    pub(crate) pairs: HashMap<(Name, Name), Count, RandomState>,
    pub(crate) tokens: HashMap<(Name, Name), Token, RandomState>,
    pub(crate) keys: HashMap<Name, Count, RandomState>,
    /// The hours in which an endpoint has records.
    pub(crate) endpoints: HashMap<Name, Slots, RandomState>,
    /// Refusals by caller, code and window of five minutes.
    pub(crate) refusals: HashMap<(Name, Name), HashMap<u32, u32, RandomState>, RandomState>,
    pub(crate) logs: Vec<Log>,
    minutes: Minutes,
    /// The log of each file, by the number of the file.
    files: Vec<usize>,
    allowed: RecentIds,
    span: Option<(i64, i64)>,
    omitted: u64,
    limits: Limits,
}

#[derive(Debug, Copy, Clone)]
struct Limits {
    /// See [`MAX_PAIRS`].
    pairs: usize,
    /// See [`MAX_TOKENS`].
    tokens: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pairs: MAX_PAIRS, tokens: MAX_TOKENS }
    }
}

/// The files of one log, which rotation has split.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) name: String,
    pub(crate) minutes: Slots,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Count {
    pub(crate) allowed: u64,
    pub(crate) refused: u64,
    /// The first and the last record.
    pub(crate) span: Span,
    /// The first and the last record of an admitted call.
    pub(crate) allowed_span: Span,
    pub(crate) durations: Durations,
}

/// A first and a last instant, in microseconds.
#[derive(Debug, Copy, Clone, Default)]
pub(crate) struct Span(pub(crate) Option<(i64, i64)>);

impl Span {
    fn add(&mut self, at: i64) {
        self.0 = Some(self.0.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    pub(crate) fn first(self) -> Option<i64> {
        self.0.map(|(first, _)| first)
    }

    pub(crate) fn last(self) -> Option<i64> {
        self.0.map(|(_, last)| last)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) service: Name,
    pub(crate) count: Count,
    pub(crate) uses: Vec<Use>,
}

/// Where a token came from, and which key verified it.
#[derive(Debug, Clone)]
pub(crate) struct Use {
    pub(crate) kid: Option<Name>,
    pub(crate) network: Option<IpAddr>,
    /// One address of the network.
    pub(crate) address: Option<IpAddr>,
    pub(crate) span: Span,
    pub(crate) calls: u64,
    pub(crate) slots: Slots,
}

impl Survey {
    /// Creates an empty survey.
    pub fn new() -> Self {
        Self::default()
    }

    /// The instants of the first and the last record, in microseconds since 1970.
    pub fn span(&self) -> Option<(i64, i64)> {
        self.span
    }

    /// How many records were not counted in every report, because a limit was reached.
    pub fn omitted(&self) -> u64 {
        self.omitted
    }

    fn add(&mut self, place: Place<'_>, record: &Record<'_>) {
        let at = record.micros();
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        let log = self.log_of(place);
        if let Some(log) = self.logs.get_mut(log) {
            log.minutes.add(slot(at, MINUTE));
        }
        self.minutes.add(at, record.is_allowed());
        let counted = Counted::of(record, &mut self.allowed);
        let room = Room {
            pairs: self.pairs.len() < self.limits.pairs,
            refusals: self.refusals.len() < self.limits.pairs,
            keys: self.keys.len() < self.limits.tokens,
            tokens: self.tokens.len() < self.limits.tokens,
        };
        if self.count(record, counted, room).is_none() {
            self.omitted += 1;
        }
    }

    /// Counts a record in each table. `None` if one of them has no room for it.
    fn count(&mut self, record: &Record<'_>, counted: Counted, room: Room) -> Option<()> {
        let (at, duration) = (record.micros(), record.duration_us);
        let service = self.names.of(record.service.as_deref().unwrap_or(UNAUTHENTICATED), room.pairs)?;
        let mut complete = Some(());
        let pair = self.endpoint_of(record, room.pairs).map(|endpoint| (service, endpoint));
        match pair.filter(|pair| room.pairs || self.pairs.contains_key(pair)) {
            Some(pair) => {
                self.pairs.entry(pair).or_default().add(at, counted, duration);
                self.endpoints.entry(pair.1).or_default().add(slot(at, HOUR));
            }
            None => complete = None,
        }
        let mut kid = None;
        if let Some(text) = record.kid.as_deref() {
            kid = self.names.of(text, room.keys);
            match kid.filter(|kid| room.keys || self.keys.contains_key(kid)) {
                Some(kid) => self.keys.entry(kid).or_default().add(at, counted, duration),
                None => complete = None,
            }
        }
        if record.service.is_some()
            && let Some(jti) = record.jti.as_deref()
        {
            let issuer = self.names.of(record.issuer.as_deref().unwrap_or_default(), room.tokens);
            let token = issuer.zip(self.names.of(jti, room.tokens));
            match token.filter(|token| room.tokens || self.tokens.contains_key(token)) {
                Some(token) => {
                    let token = self.tokens.entry(token).or_insert_with(|| Token::of(service));
                    token.count.add(at, counted, duration);
                    if counted != Counted::Amended {
                        token.used(at, kid, record.client_address.as_deref());
                    }
                }
                None => complete = None,
            }
        }
        if counted != Counted::Allowed {
            let code = self.names.of(record.code.as_deref().unwrap_or_default(), room.refusals);
            let refusal = code.map(|code| (service, code));
            match refusal.filter(|refusal| room.refusals || self.refusals.contains_key(refusal)) {
                Some(refusal) => {
                    let windows = self.refusals.entry(refusal).or_default();
                    *windows.entry(slot(at, REFUSAL_WINDOW)).or_default() += 1;
                }
                None => complete = None,
            }
        }
        complete
    }

    /// The handler, or the route of a service without handler functions. A path is never a name: clients invent paths.
    fn endpoint_of(&mut self, record: &Record<'_>, has_room: bool) -> Option<Name> {
        match (&record.endpoint, &record.route) {
            (Some(endpoint), _) => self.names.of(endpoint, has_room),
            (None, Some(route)) => {
                let method = record.method.as_deref().filter(|method| METHODS.contains(method));
                self.names.of(&format!("{} {route}", method.unwrap_or("any")), has_room)
            }
            (None, None) => self.names.of("(no endpoint)", has_room),
        }
    }

    fn log_of(&mut self, place: Place<'_>) -> usize {
        if let Some(log) = self.files.get(place.file_number) {
            return *log;
        }
        let name = log_name(place.file);
        let known = self.logs.iter().position(|log| log.name == name);
        let log = known.unwrap_or_else(|| {
            self.logs.push(Log { name, minutes: Slots::default() });
            self.logs.len() - 1
        });
        self.files.resize(place.file_number + 1, log);
        log
    }
}

impl Visitor for Survey {
    fn record(&mut self, place: Place<'_>, record: &Record<'_>) {
        self.add(place, record);
    }
}

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// Which tables have room for a new entry.
#[derive(Debug, Copy, Clone)]
struct Room {
    pairs: bool,
    refusals: bool,
    keys: bool,
    tokens: bool,
}

/// How a record is counted.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Counted {
    Allowed,
    Refused,
    /// It was counted as admitted before, and this record of the same id replaces the outcome.
    Amended,
}

impl Counted {
    fn of(record: &Record<'_>, allowed: &mut RecentIds) -> Self {
        if record.is_allowed() {
            allowed.add(&record.id);
            Self::Allowed
        } else if allowed.contains(&record.id) {
            Self::Amended
        } else {
            Self::Refused
        }
    }
}

impl Count {
    fn add(&mut self, at: i64, counted: Counted, duration: u64) {
        self.span.add(at);
        match counted {
            Counted::Allowed => {
                self.allowed += 1;
                self.allowed_span.add(at);
            }
            Counted::Refused => self.refused += 1,
            Counted::Amended => {
                self.refused += 1;
                self.allowed = self.allowed.saturating_sub(1);
                if self.allowed == 0 {
                    self.allowed_span = Span::default();
                }
                // The duration was counted with the first record.
                return;
            }
        }
        self.durations.add(duration);
    }
}

impl Token {
    fn of(service: Name) -> Self {
        Self { service, count: Count::default(), uses: Vec::new() }
    }

    fn used(&mut self, at: i64, kid: Option<Name>, address: Option<&str>) {
        let address =
            address.and_then(|address| address.parse().ok()).map(|address: IpAddr| address.to_canonical());
        let network = address.map(network_of);
        let position = self.uses.iter().position(|known| known.kid == kid && known.network == network);
        let position = position.unwrap_or_else(|| {
            if self.uses.len() < MAX_USES {
                let (span, slots) = (Span::default(), Slots::default());
                self.uses.push(Use { kid, network, address, span, calls: 0, slots });
            }
            self.uses.len() - 1
        });
        if let Some(known) = self.uses.get_mut(position) {
            known.span.add(at);
            known.calls += 1;
            known.slots.add(slot(at, SLOT));
        }
    }
}

/// The /24 of an IPv4 address, the /64 of an IPv6 address: the pods of one node, the machines of one link.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let [one, two, three, _] = address.octets();
            IpAddr::from([one, two, three, 0])
        }
        IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
    }
}

/// The number of the slot of an instant. Instants before 1970 are in the first one.
pub(crate) fn slot(micros: i64, length: i64) -> u32 {
    u32::try_from(micros.max(0) / length).unwrap_or(u32::MAX)
}

/// The name of the log that a rotated file belongs to: without the time of the rotation, numbers and compression.
fn log_name(file: &Path) -> String {
    let mut name = file.to_string_lossy().into_owned();
    loop {
        let Some((before, suffix)) = name.rsplit_once('.') else { return name };
        let is_compression = matches!(suffix, "gz" | "zst" | "zstd");
        let is_number = !suffix.is_empty() && suffix.bytes().all(|byte| byte.is_ascii_digit());
        // `2026-01-01T00-00-00.000000Z` has a point, so it is two suffixes.
        let is_fraction = suffix.len() == 7 && suffix.ends_with('Z');
        let is_date = suffix.len() == 19 && suffix.as_bytes().get(10) == Some(&b'T');
        if before.is_empty() || !(is_compression || is_number || is_fraction || is_date) {
            return name;
        }
        name.truncate(before.len());
    }
}

#[cfg(test)]
mod tests;
