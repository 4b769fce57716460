//! Names that a writer of tables did not think of. No export becomes another document by them.

use serde_json::Value;
use service_only::routes::{Access, Route, RouteTable};
use service_only_export::{self as export, ExportError};

use crate::{mesh, peer};

const NAMES: [&str; 20] = [
    "a|b",
    "a\nb: c",
    "a\r\u{85}\u{2028}b",
    "\"]; evil --> x",
    "`code` ``more``",
    "a\\|b\\",
    "%%{init: {}}%%",
    "#35;#quot;",
    "<script>alert(1)</script>",
    "style x:#fff;",
    "\u{202e}abc\u{0}",
    "ä 焼き 🥐",
    "on",
    "1:30",
    "0x7",
    "~",
    "- a",
    "*a",
    "# a",
    "' {a: [b]} '",
];

/// A table that has every name wherever a text may stand, but for those that are checked.
pub(crate) fn table() -> RouteTable {
    let mut table = RouteTable::new("orders");
    for (number, name) in NAMES.iter().enumerate() {
        let access: Access =
            serde_json::from_value(serde_json::json!({ "service_only": { "roles": [name] } })).unwrap();
        table = table.route(Route::new(["GET"], format!("/{number}/roles"), access)).route(Route::new(
            ["GET"],
            format!("/{number}/public"),
            Access::public(*name),
        ));
    }
    table
}

#[test]
fn hostile_names_stay_inside_their_cells() {
    let mut table = table();
    table.extend(NAMES.map(|name| Route::new([name], format!("/{name}"), Access::public(name))));
    let text = export::markdown(&table);
    for line in text.lines() {
        // A bar that ends a cell has no backslash before it.
        let bars = line.replace(r"\|", "").matches('|').count();
        assert_eq!(bars, 8, "{line}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    assert_eq!(text.lines().count(), table.routes().len() + 2);
}

#[test]
fn hostile_names_stay_inside_their_nodes() {
    let mut table = table();
    table.extend(NAMES.map(|name| {
        let access = serde_json::from_value(
            serde_json::json!({ "service_only": { "services": [name], "scopes": [name] } }),
        );
        Route::new([name], format!("/{name}"), access.unwrap())
    }));
    let chart = export::mermaid(&table);
    for line in chart.lines() {
        assert!([0, 2].contains(&line.matches('"').count()) || line.contains("-->"), "{line}");
        assert!(line.is_ascii() || !line.contains(char::is_control), "{line:?}");
    }
    peer::node(include_str!("mermaid.mjs"), &chart);
}

#[test]
fn hostile_names_come_back_from_yaml() {
    for yaml in [export::istio(&table(), &mesh()).unwrap(), export::envoy(&table(), &mesh()).unwrap()] {
        let mut readings = vec![ours(&yaml)];
        if let Some(json) = peer::python("yaml", &["-c", include_str!("yaml11.py")], &yaml) {
            readings.push(serde_json::from_str(&json).unwrap());
        }
        for reading in readings {
            let mut texts = Vec::new();
            texts_of(&reading, &mut texts);
            for name in NAMES {
                assert!(texts.iter().any(|text| text == name), "{name:?} is not in {texts:?}");
            }
        }
    }
}

#[test]
fn names_that_no_token_can_have_are_refused_by_the_mesh() {
    for access in [
        r#"{"service_only":{"services":["*"]}}"#,
        r#"{"service_only":{"services":["a b"]}}"#,
        r#"{"service_only":{"scopes":["a b"]}}"#,
        r#"{"service_only":{"roles":[""]}}"#,
    ] {
        let access: Access = serde_json::from_str(access).unwrap();
        let table = RouteTable::new("orders").route(Route::new(["GET"], "/", access));
        assert!(matches!(export::istio(&table, &mesh()), Err(ExportError::Route { .. })));
        assert!(matches!(export::envoy(&table, &mesh()), Err(ExportError::Route { .. })));
    }
}

#[test]
fn paths_and_methods_that_a_mesh_would_read_as_patterns_are_refused() {
    let error = |method: &str, path: &str| {
        let table = RouteTable::new("orders").route(Route::new([method], path, Access::public("a test")));
        export::istio(&table, &mesh()).unwrap_err().to_string()
    };
    assert_eq!(error("GET", "/a*"), "`GET /a*`: Istio's paths cannot express one of its characters");
    assert_eq!(
        error("GET", "/v{n}"),
        "`GET /v{n}`: in Istio, a parameter must be a whole segment of the path"
    );
    assert_eq!(error("GET", "/a\n"), "`GET /a\\n`: Istio's paths cannot express one of its characters");
    assert_eq!(
        error("GET", "/a//{x}"),
        "`GET /a//{x}`: Envoy does not match an empty segment in a path with a parameter"
    );
    assert_eq!(error("*", "/"), "`* /`: `*` is not a method");
    assert_eq!(error("GET", "a"), "`GET a`: a path must start with `/`");
}

#[test]
fn scopes_that_are_patterns_to_istio_are_left_to_the_code_with_a_comment() {
    let access: Access = serde_json::from_str(r#"{"service_only":{"scopes":["tenants:*"]}}"#).unwrap();
    let table = RouteTable::new("orders").route(Route::new(["GET"], "/", access));
    let yaml = export::istio(&table, &mesh()).unwrap();
    assert!(
        yaml.contains("# Checked only by the code: the exact `tenants:*`, whose `*` is a pattern to Istio"),
        "{yaml}"
    );
    // Envoy's own filter compares it as it is.
    assert!(export::envoy(&table, &mesh()).unwrap().contains(r"tenants:\\*"));
}

fn ours(yaml: &str) -> Value {
    use serde::Deserialize as _;
    serde_norway::Deserializer::from_str(yaml).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn texts_of(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts_of(item, texts)),
        Value::Object(members) => members.values().for_each(|member| texts_of(member, texts)),
        _ => {}
    }
}
