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

/// Applies the patch; `false` without git.
#[track_caller]
fn git_applies(folder: &Path, patch: &Patch, option: &str) -> bool {
    fs::write(folder.join("narrow.patch"), &patch.text).unwrap();
    let git = |arguments: &[&str]| Command::new("git").args(arguments).current_dir(folder).output();
    for arguments in [&["apply", "--check", "narrow.patch"][..], &["apply", option, "narrow.patch"]] {
        let Ok(done) = git(arguments) else {
            eprintln!("skipped: git is not installed");
            return false;
        };
        assert!(done.status.success(), "{}\n{}", String::from_utf8_lossy(&done.stderr), patch.text);
    }
    true
}

/// The source after the suggestion for the handler `reserve` on a line; `None` if it was not found.
#[track_caller]
fn narrowed_source(source: &str, line: u32) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lib.rs");
    fs::write(&file, source).unwrap();
    let suggestion = Suggestion { line: Some(line), ..suggestions().remove(0) };
    let patch = patch(&[suggestion], folder.path()).unwrap();
    if patch.text.is_empty() {
        assert_eq!(patch.not_found.len(), 1);
        return None;
    }
    git_applies(folder.path(), &patch, "--whitespace=nowarn").then(|| fs::read_to_string(file).unwrap())
}

fn has_git() -> bool {
    Command::new("git").arg("--version").output().is_ok()
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
    if !git_applies(folder.path(), &patch, "--whitespace=error-all") {
        return;
    }
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

#[test]
fn suggestion_never_widens_access() {
    if !has_git() {
        return;
    }
    let rest = "scopes(\"stock:write\"), max_age = \"60s\")]\nasync fn reserve() {}\n";
    for name in ["service_only", "service_only::service_only", "::service_only::service_only"] {
        let now = format!("#[{name}(services(\"orders\",\"billing\"), {rest}");
        let narrower = format!("#[{name}(services(\"orders\"), {rest}");
        assert_eq!(narrowed_source(&now, 2), Some(narrower), "{name}");
        let narrower = format!("#[{name}(services(\"orders\"))]\nasync fn reserve() {{}}\n");
        assert_eq!(narrowed_source(&format!("#[{name}]\nasync fn reserve() {{}}\n"), 2), Some(narrower));
    }
    for attribute in [
        // Other attributes, and forms that are not read.
        "#[service_only_if(scopes(\"a\"))]",
        "#[service_only::other(scopes(\"a\"))]",
        "#[service_only::service_only::x(scopes(\"a\"))]",
        "#[service_only (scopes(\"a\"))]",
        "#[service_only = \"a\"]",
        "#[service_only(/* services(\"orders\") */ services(\"orders\", \"billing\"))]",
        "#[service_only(services(r\"orders\", \"billing\"), scopes(\"a\"))]",
        // The attribute of another function or of the block.
        "#[service_only]\nasync fn other() {}",
        "#[service_only]\n#[tonic::async_trait]\nimpl Stock for Shop {",
    ] {
        let source = format!("{attribute}\nasync fn reserve() {{}}\n");
        let line = u32::try_from(source.lines().count()).unwrap();
        assert_eq!(narrowed_source(&source, line), None, "{attribute}");
    }
}

#[test]
fn patch_keeps_the_end_of_each_line() {
    if !has_git() {
        return;
    }
    let unix = "// First.\n#[service_only(\n    services(\"orders\", \"billing\"),\n)]\n#[doc = \"a\"]\n// Why.\nasync fn reserve() {}\n";
    let narrower = unix.replace(", \"billing\"", "");
    for (now, narrower) in [
        (unix.replace('\n', "\r\n"), narrower.replace('\n', "\r\n")),
        (unix.trim_end().to_owned(), narrower.trim_end().to_owned()),
        (
            unix.replace('\n', "\r\n").trim_end().to_owned(),
            narrower.replace('\n', "\r\n").trim_end().to_owned(),
        ),
        (format!("{unix}// No end"), format!("{narrower}// No end")),
        (unix.replacen('\n', "\r\n", 2), narrower.replacen('\n', "\r\n", 2)),
        (format!("{unix}\n\n\n\n// No end"), format!("{narrower}\n\n\n\n// No end")),
    ] {
        assert_eq!(narrowed_source(&now, 7), Some(narrower));
    }
}
