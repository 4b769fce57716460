//! The report `unused`: grants that no admitted call needed within a window.
//!
//! Refused calls do not count as use. If the logs cover too little of the window, the report has no findings, because an
//! absent record would look like an unused grant.

use std::collections::BTreeSet;

use serde::Serialize;
use service_only::routes::{Access, Requirements, RouteTable};

use crate::{
    findings::{About, Finding, Rule, instant},
    survey::{HOUR, Survey, slot},
};

/// A policy without a list of services is reported if at most this many services called.
pub const FEW_SERVICES: usize = 3;

/// What is granted: the routes of programs, and valid tokens.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct Grants {
    /// The tables of the programs.
    pub tables: Vec<RouteTable>,
    /// The valid tokens, from the registry.
    pub tokens: Vec<GrantedToken>,
}

/// A valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct GrantedToken {
    /// The issuer.
    pub issuer: String,
    /// The id of the token.
    pub jti: String,
    /// The service.
    pub service: String,
    /// The scopes of the token.
    pub scopes: Vec<String>,
    /// When it was minted, in microseconds since 1970.
    pub minted: i64,
}

/// The time that a report is about.
#[derive(Debug, Copy, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct Window {
    /// The end, in microseconds since 1970.
    pub end: i64,
    /// The length in microseconds.
    pub length: i64,
    /// The share of the window that records must cover, from 0 to 1.
    pub min_coverage: f64,
}

impl Window {
    /// The share of a window that records must cover by default.
    pub const DEFAULT_MIN_COVERAGE: f64 = 0.9;

    fn start(self) -> i64 {
        self.end.saturating_sub(self.length)
    }
}

/// How much of a window has records: of its days, or of its hours if it is a week or shorter.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Coverage {
    /// The start of the window.
    pub from: String,
    /// The end of the window.
    pub to: String,
    /// The hours or days with at least one record.
    pub covered: u32,
    /// The hours or days of the window.
    pub of: u32,
    /// `hours` or `days`.
    pub unit: &'static str,
    /// Whether this is enough for conclusions.
    pub is_enough: bool,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Unused {
    /// How much of the window the logs cover.
    pub coverage: Coverage,
    /// The unused grants; empty if the coverage is too low.
    pub findings: Vec<Finding>,
}

impl Survey {
    /// How much of a window the records cover.
    pub fn coverage(&self, window: Window) -> Coverage {
        const DAY: i64 = 24 * HOUR;
        let (unit, length) = if window.length <= 7 * DAY { ("hours", HOUR) } else { ("days", DAY) };
        let (first, last) = (slot(window.start(), length), slot(window.end - 1, length));
        let per_unit = u32::try_from(length / 60_000_000).unwrap_or(60);
        let covered: BTreeSet<u32> = self
            .logs
            .iter()
            .flat_map(|log| log.minutes.iter())
            .map(|minute| minute / per_unit)
            .filter(|slot| (first..=last).contains(slot))
            .collect();
        let covered = u32::try_from(covered.len()).unwrap_or(u32::MAX);
        let of = last.saturating_sub(first) + 1;
        let is_enough = f64::from(covered) >= f64::from(of) * window.min_coverage;
        Coverage { from: instant(window.start()), to: instant(window.end), covered, of, unit, is_enough }
    }

    /// The grants that no admitted call needed within the window.
    pub fn unused(&self, grants: &Grants, window: Window) -> Unused {
        let coverage = self.coverage(window);
        let mut findings = Vec::new();
        if coverage.is_enough {
            let start = window.start();
            for table in &grants.tables {
                self.unused_routes(table, start, &mut findings);
            }
            self.unused_tokens(grants, start, &mut findings);
        }
        findings.sort_by(|one, other| {
            (one.rule, &one.endpoint, &one.service, &one.subject).cmp(&(
                other.rule,
                &other.endpoint,
                &other.service,
                &other.subject,
            ))
        });
        findings.dedup_by(|one, other| one.id == other.id);
        Unused { coverage, findings }
    }

    /// The services with an admitted call of the endpoint since an instant, sorted.
    pub fn callers(&self, endpoint: &str, since: i64) -> Vec<&str> {
        let Some(endpoint) = self.names.find(endpoint) else { return Vec::new() };
        let mut callers: Vec<_> = self
            .pairs
            .iter()
            .filter(|((_, called), count)| {
                *called == endpoint && count.allowed_span.last().is_some_and(|last| last >= since)
            })
            .map(|((service, _), _)| self.names.text(*service))
            .collect();
        callers.sort_unstable();
        callers
    }

    fn unused_routes(&self, table: &RouteTable, since: i64, findings: &mut Vec<Finding>) {
        for (endpoint, access) in guarded(table) {
            let Some(Requirements { services, .. }) = access.for_services() else { continue };
            let callers = self.callers(&endpoint, since);
            let about = About { endpoint: Some(&endpoint), ..About::default() };
            if callers.is_empty() {
                let text = format!("no service called `{endpoint}`; remove it, or its callers' grants");
                findings.push(Finding::new(Rule::UnusedEndpoint, about, None, text));
                continue;
            }
            match services {
                Some(services) => {
                    for service in services
                        .iter()
                        .filter(|service| !service.starts_with('@') && !callers.contains(&service.as_str()))
                    {
                        let text = format!("`{service}` may call `{endpoint}` and never did");
                        let about = About { service: Some(service), ..about };
                        findings.push(Finding::new(Rule::UnusedGrant, about, None, text));
                    }
                }
                None if callers.len() <= FEW_SERVICES => {
                    let text =
                        format!("`{endpoint}` admits any service, and only {} called", callers.join(", "));
                    findings.push(Finding::new(Rule::OpenPolicy, about, None, text));
                }
                None => {}
            }
        }
    }

    fn unused_tokens(&self, grants: &Grants, since: i64, findings: &mut Vec<Finding>) {
        // A token that is younger than the window had less time than the report is about.
        for token in grants.tokens.iter().filter(|token| token.minted < since) {
            let key = self.names.find(&token.issuer).zip(self.names.find(&token.jti));
            let used = key.and_then(|key| self.tokens.get(&key));
            let last = used.and_then(|used| used.count.allowed_span.last()).filter(|last| *last >= since);
            let about = About { service: Some(&token.service), ..About::default() };
            if last.is_none() {
                let text =
                    format!("the token `{}` of `{}` is valid and was never used", token.jti, token.service);
                let about = About { subject: Some(&token.jti), ..about };
                findings.push(Finding::new(Rule::UnusedToken, about, None, text));
                continue;
            }
            if grants.tables.is_empty() {
                continue;
            }
            let needed = self.needed_scopes(grants, &token.service, since);
            for scope in token.scopes.iter().filter(|scope| !needed.contains(scope.as_str())) {
                let text = format!(
                    "no endpoint that `{}` called needs the scope `{scope}` of its token",
                    token.service
                );
                let about = About { subject: Some(scope), ..about };
                findings.push(Finding::new(Rule::UnusedScope, about, None, text));
            }
        }
    }

    /// The scopes of the endpoints that a service called.
    fn needed_scopes<'g>(&self, grants: &'g Grants, service: &str, since: i64) -> BTreeSet<&'g str> {
        let mut needed = BTreeSet::new();
        for (endpoint, access) in grants.tables.iter().flat_map(guarded) {
            if let Some(Requirements { scopes, any_scope, .. }) = access.for_services()
                && self.callers(&endpoint, since).contains(&service)
            {
                needed.extend(scopes.iter().chain(any_scope.iter().flatten()).map(String::as_str));
            }
        }
        needed
    }
}

/// The routes of a table that services may call, by the names that records have.
pub(crate) fn guarded(table: &RouteTable) -> impl Iterator<Item = (String, &Access)> {
    table.routes().iter().filter(|route| route.access().for_services().is_some()).map(|route| {
        let name = route.endpoint().map(str::to_owned);
        let method = route.methods().first().map_or("any", String::as_str);
        (name.unwrap_or_else(|| format!("{method} {}", route.path())), route.access())
    })
}

#[cfg(test)]
mod tests;
