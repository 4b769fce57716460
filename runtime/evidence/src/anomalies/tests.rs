#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::fixture::{Line, START, call, survey};

/// A call each minute for eight hours.
fn day() -> impl Iterator<Item = Line> {
    (0..480).map(|minute| Line {
        address: if minute % 2 == 0 { "10.0.0.1" } else { "10.0.1.1" },
        ..call(minute * 60)
    })
}

/// What is unusual in the last two hours.
fn found(lines: impl IntoIterator<Item = Line>) -> Vec<(&'static str, Option<String>)> {
    let rules = AnomalyRules { since: Some((START + 6 * 3600) * 1_000_000), ..AnomalyRules::default() };
    let anomalies = survey(lines).anomalies(&rules);
    anomalies.findings.into_iter().map(|found| (found.rule.as_str(), found.subject)).collect()
}

const LATE: i64 = 7 * 3600;

#[test]
fn usual_day_has_no_finding() {
    assert_eq!(found(day()), []);
}

#[test]
fn first_numberof_a_pair_is_found() {
    assert_eq!(found(day().chain([Line { endpoint: "stock::delete", ..call(LATE) }])), [("new-pair", None)]);
    assert_eq!(
        found(day().chain([Line { endpoint: "stock::delete", code: Some("missing_scope"), ..call(LATE) }])),
        []
    );
    assert_eq!(found(day().chain([Line { endpoint: "stock::delete", ..call(3600) }])), []);
}

#[test]
fn token_from_a_foreign_network_is_found() {
    let foreign = Line { address: "203.0.113.9", ..call(LATE + 1) };
    let expected = [("two-networks", Some("j1".to_owned())), ("new-network", Some("j1".to_owned()))];
    assert_eq!(found(day().chain([foreign])), expected);
}

#[test]
fn new_token_from_the_network_of_a_stranger_is_found() {
    // Minted after the rotation, and used half by the service and half by a thief.
    let rotated = |address: &'static str| {
        day().map(move |line| {
            let is_new = line.at >= LATE;
            let is_stolen = is_new && line.at / 60 % 2 == 0;
            let address = if is_stolen { address } else { line.address };
            Line { jti: if is_new { "j2" } else { "j1" }, address, ..line }
        })
    };
    let expected = [("two-networks", Some("j2".to_owned())), ("new-network", Some("j2".to_owned()))];
    assert_eq!(found(rotated("203.0.113.9")), expected);
    assert_eq!(found(rotated("10.0.0.99")), []);
    // Only by the thief.
    let stolen = Line { jti: "j2", address: "203.0.113.9", ..call(LATE) };
    assert_eq!(found(day().chain([stolen])), [("new-network", Some("j2".to_owned()))]);
    // Nothing is known about the networks of a new service.
    let new = (0..20).map(|number| Line {
        service: "mail",
        jti: "j3",
        address: if number % 2 == 0 { "203.0.113.9" } else { "198.51.100.9" },
        code: Some("expired"),
        ..call(LATE + number)
    });
    assert_eq!(found(day().chain(new.take(19))), []);
}

#[test]
fn new_pod_in_a_known_network_is_usual() {
    assert_eq!(found(day().chain([Line { address: "10.0.1.77", ..call(LATE) }])), []);
}

#[test]
fn one_id_with_two_keys_is_found() {
    let forged = Line { kid: "k2", ..call(LATE + 1) };
    assert_eq!(found(day().chain([forged])), [("two-keys", Some("j1".to_owned()))]);
}

#[test]
fn burst_of_refusals_is_found_from_the_limit_on() {
    let refusals = |count| {
        (0..count).map(|second| Line {
            code: Some("too_old"),
            id: 10_000 + second as u64,
            ..call(LATE + second)
        })
    };
    assert_eq!(found(day().chain(refusals(19))), []);
    assert_eq!(found(day().chain(refusals(20))), [("refusal-burst", Some("too_old".to_owned()))]);
    // Twenty refusals per window are not a burst for a caller that always has that many.
    let always = (0..96).flat_map(|window| {
        (0..20).map(move |second| Line { code: Some("too_old"), id: 10_000, ..call(window * 300 + second) })
    });
    assert_eq!(found(day().chain(always)), []);
}

#[test]
fn token_that_is_used_again_after_its_successor_is_found() {
    let rotated = |again: Option<i64>| {
        let old = (0..180).map(|minute| call(minute * 60));
        let new = (175..480).map(|minute| Line { jti: "j2", ..call(minute * 60) });
        old.chain(new).chain(again.map(call)).collect::<Vec<_>>()
    };
    assert_eq!(found(rotated(None)), []);
    assert_eq!(found(rotated(Some(LATE))), [("used-after-rotation", Some("j1".to_owned()))]);
}

#[test]
fn tokens_that_are_used_side_by_side_are_usual() {
    assert_eq!(found(day().chain(day().map(|line| Line { jti: "j2", at: line.at + 1, ..line }))), []);
}

#[test]
fn gap_is_found_if_it_is_long_for_this_log() {
    let gap = |length: i64| day().filter(move |line| !(LATE..LATE + length * 60).contains(&line.at));
    assert_eq!(found(gap(14)), []);
    assert_eq!(found(gap(15)), [("gap", Some("audit.jsonl 2026-01-01T07:00:00Z".to_owned()))]);
    // An hour without records is usual for a job that runs every hour.
    assert_eq!(found((0..8).map(|hour| call(hour * 3600))), []);
}

#[test]
fn median_counts_windows_without_refusals() {
    assert_eq!(median([5, 6, 7].into_iter(), 3), 6);
    assert_eq!(median([5, 6, 7].into_iter(), 4), 6);
    assert_eq!(median([5, 6, 7].into_iter(), 100), 0);
}

#[test]
fn each_rule_is_a_metric_also_without_a_finding() {
    let lines = day().chain([Line { kid: "k2", ..call(LATE + 1) }]);
    let text: String = lines.map(|line| line.text()).collect();
    let mut survey = crate::survey::Survey::new();
    let text = text + "{\"level\":\"INFO\"}\n";
    let done = crate::read::stream(std::path::Path::new("a"), std::io::Cursor::new(text), &mut survey);
    let rules = AnomalyRules { since: Some((START + 6 * 3600) * 1_000_000), ..AnomalyRules::default() };
    let exposition = survey.anomalies(&rules).exposition(&survey, &done);
    let values: Vec<_> = exposition.lines().filter(|line| !line.starts_with('#')).collect();
    let anomalies: Vec<_> =
        values.iter().filter(|line| line.starts_with("service_only_audit_anomalies{")).collect();
    assert_eq!(anomalies.len(), Rule::ANOMALIES.len());
    for line in &anomalies {
        assert!(line.ends_with(if line.contains("two-keys") { "} 1" } else { "} 0" }), "{line}");
    }
    assert!(values.contains(&"service_only_audit_damaged_lines{kind=\"foreign\"} 1"), "{exposition}");
    let last = format!("service_only_audit_last_record_timestamp_seconds {}", START + 479 * 60);
    assert!(values.contains(&last.as_str()), "{exposition}");
    // Every rule that `anomalies` can find is among them.
    let others = Rule::ALL.iter().filter(|rule| !Rule::ANOMALIES.contains(rule));
    assert!(
        others.map(|rule| rule.as_str()).all(|rule| rule.starts_with("unused-") || rule == "open-policy")
    );
}
