//! Tests the alerts and the dashboard. Their metrics exist, promtool accepts them, and each alert names the
//! next step.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap()
}

/// All metrics of this project that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("service_only_"));
    words.map(str::to_owned).collect()
}

#[tokio::test]
async fn rules_and_dashboard_use_only_exported_metrics() {
    let exported = everything().await;
    for file in ["prometheus/alerts.yml", "prometheus/alerts.test.yml", "grafana/dashboard.json", "README.md"]
    {
        let missing: Vec<_> = named(&read(file)).difference(&exported).cloned().collect();
        assert!(missing.is_empty(), "{file}: {missing:?} is none of {exported:#?}");
    }
}

#[tokio::test]
async fn dashboard_shows_every_exported_metric() {
    let shown = named(&read("grafana/dashboard.json"));
    // For a histogram, only its buckets count.
    let exported = everything().await;
    let exported = exported.iter().filter(|name| !name.ends_with("_sum") && !name.ends_with("_count"));
    let ours = exported.filter(|name| name.starts_with("service_only_"));
    let missing: Vec<_> = ours.filter(|name| !shown.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn panels_have_a_description_and_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboard.json")).unwrap();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(panel["type"] == "row" || panel["description"].is_string(), "{title}");
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        for cell in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(cell.0 < 24 && taken.insert(cell), "{title} at {cell:?}");
        }
    }
}

#[test]
fn each_alert_has_a_severity_a_test_and_an_action() {
    let (rules, tests) = (read("prometheus/alerts.yml"), read("prometheus/alerts.test.yml"));
    let rules: Value = serde_norway::from_str(&rules).unwrap();
    let tests: Value = serde_norway::from_str(&tests).unwrap();
    let readme = read("README.md");
    let groups = rules["groups"].as_array().unwrap();
    let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(!rules.is_empty());
    for rule in rules {
        let name = rule["alert"].as_str().unwrap();
        assert!(["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        let cases = tests["tests"].as_array().unwrap().iter();
        let cases = cases.flat_map(|test| test["alert_rule_test"].as_array().unwrap());
        let fires =
            |case: &&Value| case["alertname"] == name && !case["exp_alerts"].as_array().unwrap().is_empty();
        assert!(cases.filter(fires).count() > 0, "`{name}` never fires in a test");
        assert!(readme.contains(&format!("| `{name}` |")), "`{name}` is not in README.md");
    }
}

/// With such a code, the service itself is the reason for the refusal.
#[test]
fn alert_about_a_closed_service_has_each_code_of_a_server_error() {
    let rules: Value = serde_norway::from_str(&read("prometheus/alerts.yml")).unwrap();
    let groups = rules["groups"].as_array().unwrap();
    let mut rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    let closed = rules.find(|rule| rule["alert"] == "ServiceOnlyClosed").unwrap();
    let expression = closed["expr"].as_str().unwrap();
    let codes: BTreeSet<&str> = expression.split('"').nth(1).unwrap().split('|').collect();
    let failures = service_only::error::Code::ALL.iter().filter(|code| code.status() >= 500);
    assert_eq!(codes, failures.map(|code| code.as_str()).collect::<BTreeSet<&str>>());
}

#[test]
fn promtool_accepts_the_rules() {
    promtool(&["check", "rules", "alerts.yml"]);
    promtool(&["test", "rules", "alerts.test.yml"]);
}

/// Prometheus reads the export without an error.
#[tokio::test]
async fn promtool_accepts_a_scrape() {
    let world = World::new();
    world.ask_as_the_shop().await;
    for text in [world.scrape().await, registry().await, anomalies()] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scrape");
        std::fs::write(&path, text).unwrap();
        let input = std::fs::File::open(&path).unwrap();
        run(Command::new("promtool").args(["check", "metrics"]).stdin(input));
    }
}

fn promtool(arguments: &[&str]) {
    run(Command::new("promtool").args(arguments).current_dir(folder().join("prometheus")));
}

fn run(command: &mut Command) {
    match command.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => eprintln!("skipped: there is no promtool"),
        Err(error) => panic!("{error}"),
        Ok(output) => {
            let said =
                [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            assert!(output.status.success(), "{command:?}: {said:?}");
        }
    }
}
