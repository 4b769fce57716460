//! Checks the dashboard against the types that Grafana publishes, with the TypeScript compiler.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use super::files::read;

/// The published types of a dashboard.
const TYPES: &str = include_str!("dashboard.ts");

/// The output of the compiler: empty without errors, and `None` if no compiler is installed.
fn complaint(dashboard: &Value) -> Option<String> {
    let Some(peers) = std::env::var_os("SERVICE_ONLY_PEERS_DIR") else {
        eprintln!("skipped: SERVICE_ONLY_PEERS_DIR does not say where packages of npm are installed");
        return None;
    };
    let packages = Path::new(&peers).join("node_modules");
    if !["typescript", "@grafana/schema"].into_iter().all(|name| packages.join(name).exists()) {
        eprintln!("skipped: there is no typescript or no @grafana/schema in {packages:?}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&packages, folder.path().join("node_modules")).unwrap();
    let text = format!("{TYPES}\nexport const dashboard: Whole = {dashboard:#};\n");
    std::fs::write(folder.path().join("dashboard.ts"), text).unwrap();
    let mut tsc = Command::new("node");
    tsc.arg(packages.join("typescript/bin/tsc")).current_dir(folder.path());
    // Errors in third-party types are not checked.
    tsc.args(["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext"]);
    let output = tsc.args(["--moduleResolution", "bundler", "dashboard.ts"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        output.status.success(),
        said.is_empty(),
        "{said} {:?}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(said)
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/dashboard.json")).unwrap()
}

#[test]
fn dashboard_matches_the_types_of_grafana() {
    assert_eq!(complaint(&dashboard()).unwrap_or_default(), "");
}

/// A compiler that accepts the dashboard must refuse these mistakes.
#[test]
fn types_of_grafana_reject_an_invalid_panel() {
    let spoiled: [(&str, &str, Value); 5] = [
        ("", "schemaVersion", json!("39")),
        ("/templating/list/0", "refersh", json!(1)),
        ("/panels/1", "type", json!("statistic")),
        ("/panels/1/options", "colorMode", json!("purple")),
        ("/panels/1/targets/0", "legend", json!("{{job}}")),
    ];
    for (place, key, value) in spoiled {
        let mut dashboard = dashboard();
        dashboard.pointer_mut(place).unwrap()[key] = value;
        let Some(said) = complaint(&dashboard) else { return };
        assert!(said.contains("error TS"), "{place}/{key} may be so");
    }
}
