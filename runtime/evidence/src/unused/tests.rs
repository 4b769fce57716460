#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::fixture::{Line, START, call, survey};

const TABLE: &str = r#"{"service":"stock","routes":[
  {"methods":["POST"],"path":"/reserve","handler":{"endpoint":"stock::reserve","line":7},
   "access":{"service_only":{"services":["orders","billing"],"scopes":["stock:write"]}}},
  {"methods":["GET"],"path":"/old","handler":{"endpoint":"stock::old","line":9},
   "access":{"service_only":{"services":["orders"],"scopes":["stock:old"]}}},
  {"methods":["GET"],"path":"/open","handler":{"endpoint":"stock::open","line":11},"access":{"service_only":{"scopes":[]}}},
  {"methods":["GET"],"path":"/healthz","access":{"public":{"reason":"load balancers have no token"}}}]}"#;

fn token(jti: &str, service: &str) -> GrantedToken {
    let scopes = vec!["stock:write".to_owned(), "stock:old".to_owned()];
    GrantedToken { issuer: "auth".into(), jti: jti.into(), service: service.into(), scopes, minted: 0 }
}

fn grants() -> Grants {
    Grants {
        tables: vec![serde_json::from_str(TABLE).unwrap()],
        tokens: vec![token("j1", "orders"), token("j9", "old")],
    }
}

/// Ten hours from the start of 2026.
fn window() -> Window {
    Window { end: (START + 36_000) * 1_000_000, length: 10 * HOUR, min_coverage: 0.9 }
}

fn every_hour() -> impl Iterator<Item = Line> {
    (0..10).map(|hour| call(hour * 3_600))
}

fn ids(unused: &Unused) -> Vec<(&str, Option<&str>, Option<&str>)> {
    unused
        .findings
        .iter()
        .map(|found| (found.rule.as_str(), found.service.as_deref(), found.endpoint.as_deref()))
        .collect()
}

#[test]
fn grants_without_an_admitted_call_are_found() {
    let open = Line { endpoint: "stock::open", ..call(60) };
    let refused = Line { service: "billing", code: Some("missing_scope"), ..call(61) };
    let unused = survey(every_hour().chain([open, refused])).unused(&grants(), window());
    assert!(unused.coverage.is_enough, "{:?}", unused.coverage);
    let expected = [
        ("unused-grant", Some("billing"), Some("stock::reserve")),
        ("unused-endpoint", None, Some("stock::old")),
        ("unused-token", Some("old"), None),
        ("unused-scope", Some("orders"), None),
        ("open-policy", None, Some("stock::open")),
    ];
    assert_eq!(ids(&unused), expected);
    assert_eq!(unused.findings[3].subject.as_deref(), Some("stock:old"));
}

#[test]
fn call_before_the_window_is_no_use() {
    let old = Line { endpoint: "stock::old", ..call(-1) };
    let unused = survey(every_hour().chain([old])).unused(&grants(), window());
    assert!(ids(&unused).contains(&("unused-endpoint", None, Some("stock::old"))));
}

#[test]
fn low_coverage_has_no_conclusion() {
    let unused = survey(every_hour().skip(2)).unused(&grants(), window());
    assert_eq!((unused.coverage.covered, unused.coverage.of), (8, 10));
    assert!(!unused.coverage.is_enough && unused.findings.is_empty());
    let nine = survey(every_hour().skip(1)).unused(&grants(), window());
    assert!(nine.coverage.is_enough && !nine.findings.is_empty());
}

#[test]
fn id_of_a_finding_depends_on_its_subject_only() {
    let one = survey(every_hour()).unused(&grants(), window());
    let other = survey(every_hour().chain((0..50).map(call))).unused(&grants(), window());
    let ids = |unused: &Unused| unused.findings.iter().map(|found| found.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&one), ids(&other));
    let mut unique = ids(&one);
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), one.findings.len());
    assert_eq!(one.findings[0].id, "unused-grant-d36cb4b3");
}

#[test]
fn token_that_is_younger_than_the_window_is_not_reported() {
    let mut grants = grants();
    grants.tokens[1].minted = (START + 1) * 1_000_000;
    let unused = survey(every_hour()).unused(&grants, window());
    assert!(!ids(&unused).iter().any(|(rule, ..)| *rule == "unused-token"));
}

#[test]
fn table_whose_log_is_missing_has_no_finding() {
    let mail = TABLE.replace("stock", "mail");
    let mut grants = grants();
    grants.tables.push(serde_json::from_str(&mail).unwrap());
    let unused = survey(every_hour()).unused(&grants, window());
    let covered: Vec<_> =
        unused.tables.iter().map(|table| (table.program.as_str(), table.coverage.covered)).collect();
    assert_eq!(covered, [("stock", 10), ("mail", 0)]);
    assert!(unused.is_conclusive() && unused.coverage.is_enough);
    assert!(!unused.findings.is_empty());
    // Also no token: it may have called the program whose log is missing.
    for found in &unused.findings {
        assert!(
            found.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("stock::")),
            "{found:?}"
        );
    }
    // One record does not make the log complete.
    let mail = |line: Line| Line { endpoint: "mail::reserve", ..line };
    let unused = survey(every_hour().chain([mail(call(60))])).unused(&grants, window());
    assert_eq!((unused.tables[1].coverage.covered, unused.tables[1].coverage.is_enough), (1, false));
    assert!(unused.findings.iter().all(|found| found.endpoint.as_deref() != Some("mail::old")));
    // With both logs, each table and the tokens have their findings.
    let unused = survey(every_hour().chain(every_hour().map(mail))).unused(&grants, window());
    assert!(ids(&unused).contains(&("unused-endpoint", None, Some("mail::old"))));
    assert!(ids(&unused).contains(&("unused-token", Some("old"), None)));
    // No table has records.
    grants.tables.remove(0);
    let unused = survey(every_hour()).unused(&grants, window());
    assert!(unused.coverage.is_enough && !unused.is_conclusive() && unused.findings.is_empty());
}
