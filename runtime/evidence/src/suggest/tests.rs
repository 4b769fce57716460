#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "tests")]

use std::process::Command;

use super::*;
use crate::{
    fixture::{Line, START, call, survey},
    survey::HOUR,
};

const SOURCE: &str = r#"use service_only::service_only;

/// Reserves.
#[service_only(services("orders", "billing"), scopes("stock:write"))]
#[tracing::instrument]
async fn reserve() {}

#[service_only(
    scopes("a)b"),
    services(
        "orders",
        "billing",
    ),
)]
pub async fn count<T>() {}

#[service_only]
async fn open() {}

#[service_only()]
async fn empty() {}

#[service_only(scopes("x"))]
async fn scoped() {}
"#;

fn suggestions() -> Vec<Suggestion> {
    let handlers = [("reserve", 6), ("count", 15), ("open", 18), ("empty", 21), ("scoped", 24)];
    handlers
        .map(|(name, line)| Suggestion {
            endpoint: format!("stock::{name}"),
            line: Some(line),
            now: None,
            narrower: vec!["orders".to_owned()],
            attribute: String::new(),
        })
        .to_vec()
}

#[test]
fn suggested_attribute_keeps_every_other_requirement() {
    let access: Access = serde_json::from_str(
        r#"{"service_only":{"issuers":["i"],"roles":["r"],"scopes":["s"],"any_scope":["a"],"claims":{"c":"d"},"max_age":60,"proof":"mtls"}}"#,
    )
    .unwrap();
    assert_eq!(
        attribute(&access, &["orders".to_owned()]),
        r#"#[service_only(services("orders"), issuers("i"), roles("r"), scopes("s"), any_scope("a"), claims("c" = "d"), max_age = "60s", proof = "mtls")]"#
    );
}

#[test]
fn patch_is_accepted_by_git_and_narrows_each_form_of_the_attribute() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("src/lib.rs");
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(&file, SOURCE).unwrap();
    let patch = patch(&suggestions(), folder.path()).unwrap();
    assert_eq!(patch.not_found, Vec::<String>::new());
    fs::write(folder.path().join("narrow.patch"), &patch.text).unwrap();
    let applied = Command::new("git").args(["apply", "narrow.patch"]).current_dir(folder.path()).output();
    let Ok(applied) = applied else {
        eprintln!("skipped: git is not installed");
        return;
    };
    assert!(applied.status.success(), "{}\n{}", String::from_utf8_lossy(&applied.stderr), patch.text);
    let text = fs::read_to_string(file).unwrap();
    for expected in [
        "#[service_only(services(\"orders\"), scopes(\"stock:write\"))]\n#[tracing::instrument]\nasync fn reserve",
        "    scopes(\"a)b\"),\n    services(\"orders\"),\n)]\npub async fn count",
        "#[service_only(services(\"orders\"))]\nasync fn open",
        "#[service_only(services(\"orders\"))]\nasync fn empty",
        "#[service_only(services(\"orders\"), scopes(\"x\"))]\nasync fn scoped",
    ] {
        assert!(text.contains(expected), "{expected}\n---\n{text}");
    }
}

#[test]
fn handler_that_moved_is_named_and_not_patched() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lib.rs"), format!("\n{SOURCE}")).unwrap();
    let patch = patch(&suggestions()[..1], folder.path()).unwrap();
    assert_eq!(patch.text, "");
    assert!(patch.not_found[0].contains("`stock::reserve`"), "{:?}", patch.not_found);
}

#[test]
fn narrowed_table_admits_the_services_that_called() {
    let table: RouteTable = serde_json::from_str(
        r#"{"service":"stock","routes":[
        {"methods":["POST"],"path":"/reserve","handler":{"endpoint":"stock::reserve","line":7},
         "access":{"service_only":{"services":["orders","billing"],"scopes":["stock:write"]}}},
        {"methods":["GET"],"path":"/count","handler":{"endpoint":"stock::count","line":9},"access":{"service_only":{}}},
        {"methods":["GET"],"path":"/never","handler":{"endpoint":"stock::never","line":11},"access":{"service_only":{}}}]}"#,
    )
    .unwrap();
    let calls = (0..10).map(|hour| call(hour * 3600)).chain([Line { endpoint: "stock::count", ..call(60) }]);
    let survey = survey(calls);
    let window = Window { end: (START + 36_000) * 1_000_000, length: 10 * HOUR, min_coverage: 0.9 };
    let suggestions = survey.suggestions(&table, window);
    let attributes: Vec<_> = suggestions.iter().map(|suggested| suggested.attribute.as_str()).collect();
    assert_eq!(
        attributes,
        [
            "#[service_only(services(\"orders\"))]",
            "#[service_only(services(\"orders\"), scopes(\"stock:write\"))]"
        ]
    );
    let narrowed = narrowed(&table, &suggestions).unwrap();
    let services: Vec<_> = narrowed
        .routes()
        .iter()
        .map(|route| match route.access() {
            Access::ServiceOnly(asked) => asked.services.clone(),
            _ => None,
        })
        .collect();
    let orders = Some(vec!["orders".to_owned()]);
    assert_eq!(services, [orders.clone(), orders, None]);
    // Half of the window has no records.
    let longer = Window { length: 20 * HOUR, ..window };
    assert!(survey.suggestions(&table, longer).is_empty());
}
