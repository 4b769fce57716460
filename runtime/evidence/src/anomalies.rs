//! The report `anomalies`: what is unusual since an instant, compared with the records before it.
//!
//! Each rule is a sentence that a person can check with `grep`. Nothing is learned or weighted.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use serde::Serialize;

use crate::{
    findings::{About, Finding, Rule, instant},
    read::{Done, TroubleKind},
    survey::{Name, REFUSAL_WINDOW, Survey, Use, slot},
};

/// The length of a token's slot, in microseconds.
const SLOT: i64 = 600_000_000;

/// The settings of the rules.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct AnomalyRules {
    /// The beginning of the time that is examined, in microseconds since 1970. The records from then on are compared
    /// with the records before. With `None`, the last quarter of the time of the log is examined, and at most the last
    /// day.
    pub since: Option<i64>,
    /// The smallest number of refusals within five minutes that is a burst.
    pub burst: u32,
    /// A burst has at least this many times the median of the other windows.
    pub burst_factor: u32,
    /// The shortest gap, in minutes.
    pub gap_minutes: u32,
    /// A gap is at least this many times as long as the usual distance between two minutes with records.
    pub gap_factor: u32,
    /// The longest pause, in slots of ten minutes, after which a replaced token may be used again without a finding.
    /// The pause counts from the first use of its successor at the earliest.
    pub overlap_slots: u32,
}

impl Default for AnomalyRules {
    fn default() -> Self {
        Self { since: None, burst: 20, burst_factor: 10, gap_minutes: 15, gap_factor: 10, overlap_slots: 6 }
    }
}

/// The report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Anomalies {
    /// The beginning of the time that was examined.
    pub since: String,
    /// The time of the first record. If it equals `since`, there are no earlier records, so rules that compare with
    /// them found nothing.
    pub compared_from: String,
    /// What is unusual.
    pub findings: Vec<Finding>,
}

impl Anomalies {
    /// The report in the text format of Prometheus, for the textfile collector of node_exporter. It contains the number
    /// of findings of each rule, the number of damaged lines, and the time of the last record. If this time is old, the
    /// log was not read recently.
    ///
    /// No label is a name from the log, so the number of series is fixed.
    pub fn exposition(&self, survey: &Survey, done: &Done) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let head = |text: &mut String, name: &str, help: &str| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        };
        let name = "service_only_audit_anomalies";
        head(&mut text, name, "Findings of each rule of `service-token anomalies`");
        for rule in Rule::ANOMALIES {
            let count = self.findings.iter().filter(|finding| finding.rule == rule).count();
            let _ = writeln!(text, "{name}{{rule=\"{rule}\"}} {count}");
        }
        let name = "service_only_audit_damaged_lines";
        head(&mut text, name, "Lines of the audit log that are damaged or are not records");
        for kind in TroubleKind::ALL {
            let _ = writeln!(text, "{name}{{kind=\"{}\"}} {}", kind.as_str(), done.count(kind));
        }
        if let Some((_, last)) = survey.span() {
            let name = "service_only_audit_last_record_timestamp_seconds";
            head(&mut text, name, "Time of the last record");
            let _ = writeln!(text, "{name} {}", last.div_euclid(1_000_000));
        }
        text
    }
}

impl Survey {
    /// What is unusual.
    pub fn anomalies(&self, rules: &AnomalyRules) -> Anomalies {
        let Some((first, last)) = self.span() else {
            return Anomalies { since: String::new(), compared_from: String::new(), findings: Vec::new() };
        };
        const DAY: i64 = 86_400_000_000;
        let since = rules.since.unwrap_or_else(|| last - ((last - first) / 4).min(DAY)).max(first);
        let mut findings = Vec::new();
        if since > first {
            self.new_pairs(since, &mut findings);
        }
        let networks = if since > first { self.networks_before(since) } else { Networks::default() };
        self.new_networks(since, &networks, &mut findings);
        self.shared_tokens(since, &networks, &mut findings);
        self.after_rotation(since, rules, &mut findings);
        self.bursts(since, rules, &mut findings);
        self.gaps(since, rules, &mut findings);
        findings.sort_by(|one, other| {
            (one.rule, &one.since, &one.id).cmp(&(other.rule, &other.since, &other.id))
        });
        findings.dedup_by(|one, other| one.id == other.id);
        Anomalies { since: instant(since), compared_from: instant(first), findings }
    }

    fn new_pairs(&self, since: i64, findings: &mut Vec<Finding>) {
        for ((service, endpoint), count) in &self.pairs {
            let Some(first) = count.allowed_span.first().filter(|first| *first >= since) else { continue };
            let (service, endpoint) = (self.names.text(*service), self.names.text(*endpoint));
            let again = match count.allowed {
                0 | 1 => "and not again".to_owned(),
                calls => format!("{calls} times in all"),
            };
            let text =
                format!("`{service}` called `{endpoint}` for the first time at {}, {again}", instant(first));
            let about = About { service: Some(service), endpoint: Some(endpoint), subject: None };
            findings.push(Finding::new(Rule::NewPair, about, Some(first), text));
        }
    }

    /// The networks of each service before an instant.
    fn networks_before(&self, since: i64) -> Networks {
        let mut networks = Networks::default();
        for token in self.tokens.values() {
            let before =
                token.uses.iter().filter(|used| used.span.first().is_some_and(|first| first < since));
            networks.0.entry(token.service).or_default().extend(before.filter_map(|used| used.network));
        }
        networks.0.retain(|_, known| !known.is_empty());
        networks
    }

    /// A token comes from a network that no token of its service came from before. The token may be new, for a thief can
    /// take one as soon as it is minted.
    fn new_networks(&self, since: i64, networks: &Networks, findings: &mut Vec<Finding>) {
        for ((_, jti), token) in &self.tokens {
            for used in &token.uses {
                let (Some(first), Some(network)) = (used.span.first(), used.network) else { continue };
                if first < since || !networks.are_known_without(token.service, network) {
                    continue;
                }
                let (service, jti) = (self.names.text(token.service), self.names.text(*jti));
                let text = format!(
                    "the token `{jti}` of `{service}` came from {} at {}; no token of this service came from {} before",
                    address(used),
                    instant(first),
                    shown(network)
                );
                let about = About { service: Some(service), endpoint: None, subject: Some(jti) };
                findings.push(Finding::new(Rule::NewNetwork, about, Some(first), text));
            }
        }
    }

    /// One token from two networks within ten minutes, or with two keys.
    ///
    /// Networks that tokens of the service share all the time are replicas. A network counts as foreign if it is not
    /// the network of at least a tenth of the token's calls, or if no token of the service came from it before.
    fn shared_tokens(&self, since: i64, networks: &Networks, findings: &mut Vec<Finding>) {
        for ((_, jti), token) in &self.tokens {
            let (service, jti) = (self.names.text(token.service), self.names.text(*jti));
            let about = About { service: Some(service), endpoint: None, subject: Some(jti) };
            let mut kids: Vec<_> =
                token.uses.iter().filter_map(|used| Some((used.span.first()?, used.kid?))).collect();
            kids.sort_unstable();
            let first_kid = kids.first().map(|(_, kid)| *kid);
            if let Some((at, other)) = kids.iter().find(|(_, kid)| Some(*kid) != first_kid)
                && token.count.span.last().is_some_and(|last| last >= since)
                && let Some(kid) = first_kid
            {
                let text = format!(
                    "the keys `{}` and `{}` both verified a token `{jti}` of `{service}`; an issuer mints each id once",
                    self.names.text(kid),
                    self.names.text(*other)
                );
                findings.push(Finding::new(Rule::TwoKeys, about, Some(*at), text));
            }
            let from = slot(since, SLOT);
            let calls: u64 = token.uses.iter().map(|used| used.calls).sum();
            let of_network = |network| -> u64 {
                token.uses.iter().filter(|used| used.network == network).map(|used| used.calls).sum()
            };
            let is_foreign = |used: &&Use| {
                let is_new = |network| networks.are_known_without(token.service, network);
                used.network.is_some_and(|network| of_network(used.network) * 10 < calls || is_new(network))
            };
            for used in token.uses.iter().filter(is_foreign) {
                let common = token
                    .uses
                    .iter()
                    .filter(|other| other.network.is_some() && other.network != used.network)
                    .find_map(|other| Some((other, used.slots.first_common(&other.slots, from)?)));
                let Some((other, at)) = common else { continue };
                let text = format!(
                    "the token `{jti}` of `{service}` came from {} and from {} within the same ten minutes",
                    address(other),
                    address(used)
                );
                findings.push(Finding::new(Rule::TwoNetworks, about, Some(i64::from(at) * SLOT), text));
                break;
            }
        }
    }

    /// A replaced token was used again after a pause.
    fn after_rotation(&self, since: i64, rules: &AnomalyRules, findings: &mut Vec<Finding>) {
        let mut by_service: HashMap<(Name, Name), Vec<(i64, Name)>> = HashMap::new();
        for ((issuer, jti), token) in &self.tokens {
            if let Some(first) = token.count.allowed_span.first() {
                by_service.entry((*issuer, token.service)).or_default().push((first, *jti));
            }
        }
        for ((issuer, service), mut tokens) in by_service {
            tokens.sort_unstable();
            for (position, (_, jti)) in tokens.iter().enumerate() {
                let Some((successor_first, successor)) = tokens.get(position + 1) else { continue };
                let Some(token) = self.tokens.get(&(issuer, *jti)) else { continue };
                let mut slots: Vec<u32> = token.uses.iter().flat_map(|used| used.slots.iter()).collect();
                slots.sort_unstable();
                let replaced = slot(*successor_first, SLOT);
                let again = slots.windows(2).find_map(|pair| match *pair {
                    [before, after] => {
                        let rested_since = before.max(replaced);
                        let is_again = after > replaced && after - rested_since > rules.overlap_slots;
                        (is_again && after >= slot(since, SLOT)).then_some(after)
                    }
                    _ => None,
                });
                let Some(at) = again else { continue };
                let (service, jti) = (self.names.text(service), self.names.text(*jti));
                let text = format!(
                    "the token `{jti}` of `{service}` was used again at about {}, after `{}` had replaced it at {}",
                    instant(i64::from(at) * SLOT),
                    self.names.text(*successor),
                    instant(*successor_first)
                );
                let about = About { service: Some(service), endpoint: None, subject: Some(jti) };
                findings.push(Finding::new(Rule::UsedAfterRotation, about, Some(i64::from(at) * SLOT), text));
            }
        }
    }

    /// Far more refusals of one caller for one reason within five minutes than in its median window.
    fn bursts(&self, since: i64, rules: &AnomalyRules, findings: &mut Vec<Finding>) {
        let Some((first, last)) = self.span() else { return };
        let windows = (slot(last, REFUSAL_WINDOW) - slot(first, REFUSAL_WINDOW)) as usize + 1;
        for ((service, code), counts) in &self.refusals {
            let median = median(counts.values().copied(), windows);
            let limit = rules.burst.max(median.saturating_mul(rules.burst_factor));
            let from = slot(since, REFUSAL_WINDOW);
            let mut bursts: Vec<_> =
                counts.iter().filter(|(at, count)| **at >= from && **count >= limit).collect();
            bursts.sort_unstable();
            let Some((at, _)) = bursts.first() else { continue };
            let most = bursts.iter().map(|(_, count)| **count).max().unwrap_or_default();
            let (service, code) = (self.names.text(*service), self.names.text(*code));
            let text = format!(
                "`{service}` was refused with `{code}` {most} times within five minutes, in {} such windows; its \
                 median is {median}",
                bursts.len()
            );
            let about = About { service: Some(service), endpoint: None, subject: Some(code) };
            findings.push(Finding::new(
                Rule::RefusalBurst,
                about,
                Some(i64::from(**at) * REFUSAL_WINDOW),
                text,
            ));
        }
    }

    fn gaps(&self, since: i64, rules: &AnomalyRules, findings: &mut Vec<Finding>) {
        for log in &self.logs {
            let minutes: Vec<u32> = log.minutes.iter().collect();
            let mut distances: Vec<u32> = minutes.windows(2).map(distance).collect();
            distances.sort_unstable();
            let usual = distances.get(distances.len() / 2).copied().unwrap_or(1).max(1);
            let limit = rules.gap_minutes.max(usual.saturating_mul(rules.gap_factor));
            for pair in minutes.windows(2) {
                let [before, after] = *pair else { continue };
                if after - before <= limit || i64::from(after) * 60_000_000 < since {
                    continue;
                }
                let (from, to) = (i64::from(before + 1) * 60_000_000, i64::from(after) * 60_000_000);
                let text = format!(
                    "`{}` has no record from {} to {}, {} minutes; usually a record follows within {usual}",
                    log.name,
                    instant(from),
                    instant(to),
                    after - before - 1
                );
                let subject = format!("{} {}", log.name, instant(from));
                let about = About { subject: Some(&subject), ..About::default() };
                findings.push(Finding::new(Rule::Gap, about, Some(from), text));
            }
        }
    }
}

/// The networks that the tokens of each service came from before the time that is examined. A service without any is new,
/// or has records without addresses.
#[derive(Debug, Default)]
struct Networks(HashMap<Name, HashSet<IpAddr>>);

impl Networks {
    /// Whether the networks of a service are known, and this is not one of them.
    fn are_known_without(&self, service: Name, network: IpAddr) -> bool {
        self.0.get(&service).is_some_and(|known| !known.contains(&network))
    }
}

fn distance(pair: &[u32]) -> u32 {
    match *pair {
        [before, after] => after - before,
        _ => 0,
    }
}

/// The median over all windows, of which those without a count have 0.
fn median(counts: impl Iterator<Item = u32>, windows: usize) -> u32 {
    let mut counts: Vec<u32> = counts.collect();
    counts.sort_unstable();
    let empty = windows.saturating_sub(counts.len());
    (windows / 2).checked_sub(empty).and_then(|place| counts.get(place)).copied().unwrap_or_default()
}

fn address(used: &Use) -> String {
    used.address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string())
}

fn shown(network: IpAddr) -> String {
    match network {
        IpAddr::V4(_) => format!("{network}/24"),
        IpAddr::V6(_) => format!("{network}/64"),
    }
}

#[cfg(test)]
mod tests;
