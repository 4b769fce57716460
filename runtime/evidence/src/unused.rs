//! The report `unused`: grants that no admitted call needed within a window.
//!
//! Refused calls do not count as use. If the logs cover too little of the window, the report has no findings, because an
//! absent record would look like an unused grant. The log of one program may be missing, so this is decided for each table.

use std::collections::BTreeSet;

use serde::Serialize;
use service_only::routes::{Access, Requirements, RouteTable};

use crate::{
    findings::{About, Finding, Rule, instant},
    survey::{HOUR, MINUTE, Slots, Survey, slot},
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

    /// How much of the window has one of these instants.
    fn covered_by(self, instants: impl Iterator<Item = i64>) -> Coverage {
        const DAY: i64 = 24 * HOUR;
        let (unit, length) = if self.length <= 7 * DAY { ("hours", HOUR) } else { ("days", DAY) };
        let (first, last) = (slot(self.start(), length), slot(self.end - 1, length));
        let covered: BTreeSet<u32> =
            instants.map(|at| slot(at, length)).filter(|slot| (first..=last).contains(slot)).collect();
        let covered = u32::try_from(covered.len()).unwrap_or(u32::MAX);
        let of = last.saturating_sub(first) + 1;
        let is_enough = f64::from(covered) >= f64::from(of) * self.min_coverage;
        Coverage { from: instant(self.start()), to: instant(self.end), covered, of, unit, is_enough }
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

/// How much of a window has records of the handlers of one program.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TableCoverage {
    /// The program, as its table names it.
    pub program: String,
    /// The coverage. If it is not enough, the report has no findings about this table.
    #[serde(flatten)]
    pub coverage: Coverage,
}

/// The report.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Unused {
    /// How much of the window the logs cover.
    pub coverage: Coverage,
    /// The same for each table with a handler for services. If a table has too few records, tokens are not examined: they
    /// may have been used in the records that are missing.
    pub tables: Vec<TableCoverage>,
    /// The unused grants; empty if the coverage is too low.
    pub findings: Vec<Finding>,
}

impl Unused {
    /// Whether the logs cover enough of the window for a conclusion about a grant. If not, that there are no findings
    /// means nothing.
    pub fn is_conclusive(&self) -> bool {
        let has_table = self.tables.is_empty() || self.tables.iter().any(|table| table.coverage.is_enough);
        self.coverage.is_enough && has_table
    }
}

impl Survey {
    /// How much of a window the records cover.
    pub fn coverage(&self, window: Window) -> Coverage {
        let minutes = self.logs.iter().flat_map(|log| log.minutes.iter());
        window.covered_by(minutes.map(|minute| i64::from(minute) * MINUTE))
    }

    /// How much of a window the records of the handlers of one table cover.
    pub fn table_coverage(&self, table: &RouteTable, window: Window) -> Coverage {
        let endpoints = named(table).filter_map(|(endpoint, _)| self.names.find(&endpoint));
        let hours = endpoints.filter_map(|endpoint| self.endpoints.get(&endpoint)).flat_map(Slots::iter);
        window.covered_by(hours.map(|hour| i64::from(hour) * HOUR))
    }

    /// The grants that no admitted call needed within the window.
    pub fn unused(&self, grants: &Grants, window: Window) -> Unused {
        let coverage = self.coverage(window);
        let guarding = grants.tables.iter().filter(|table| guarded(table).next().is_some());
        let tables: Vec<_> = guarding.map(|table| (table, self.table_coverage(table, window))).collect();
        let mut findings = Vec::new();
        if coverage.is_enough {
            let start = window.start();
            for (table, _) in tables.iter().filter(|(_, coverage)| coverage.is_enough) {
                self.unused_routes(table, start, &mut findings);
            }
            if tables.iter().all(|(_, coverage)| coverage.is_enough) {
                self.unused_tokens(grants, start, &mut findings);
            }
        }
        let tables = tables.into_iter();
        let tables = tables
            .map(|(table, coverage)| TableCoverage { program: table.service().to_owned(), coverage })
            .collect();
        findings.sort_by(|one, other| {
            (one.rule, &one.endpoint, &one.service, &one.subject).cmp(&(
                other.rule,
                &other.endpoint,
                &other.service,
                &other.subject,
            ))
        });
        findings.dedup_by(|one, other| one.id == other.id);
        Unused { coverage, tables, findings }
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
    named(table).filter(|(_, access)| access.for_services().is_some())
}

/// The routes of a table, by the names that records have.
fn named(table: &RouteTable) -> impl Iterator<Item = (String, &Access)> {
    table.routes().iter().map(|route| {
        let name = route.endpoint().map(str::to_owned);
        let method = route.methods().first().map_or("any", String::as_str);
        (name.unwrap_or_else(|| format!("{method} {}", route.path())), route.access())
    })
}

#[cfg(test)]
mod tests;
