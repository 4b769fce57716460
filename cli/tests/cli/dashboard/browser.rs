//! The pages in a headless Chromium: nothing is requested from elsewhere, nothing is wider than the window, the policy is
//! kept, new decisions appear, Tab reaches everything visibly, and axe finds nothing serious.
//!
//! Needs node, Chromium, and `SERVICE_ONLY_PEERS_DIR`, a directory where `npm install puppeteer-core axe-core` was run.
//! Without them the tests print that they were skipped.

use std::process::Command;

use serde_json::{Value, json};

use super::{Dashboard, HOSTILE, PAGES, hostile, hostile_line, hostile_paths, hostile_text, record, sandbox};
use crate::sandbox::Sandbox;
use crate::store::{mint, with_store};

fn is_there() -> bool {
    let chromium = std::env::var("SERVICE_ONLY_CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    let script = "const from = require('node:module').createRequire(process.env.SERVICE_ONLY_PEERS_DIR + '/'); from('puppeteer-core'); from('axe-core')";
    let has_modules =
        Command::new("node").args(["-e", script]).output().is_ok_and(|ran| ran.status.success());
    let is_there = has_modules && std::path::Path::new(&chromium).exists();
    if !is_there {
        eprintln!("skipped: there is no Chromium, or node does not find puppeteer-core and axe-core");
    }
    is_there
}

/// Opens the pages. Those of `missing` are answered with 404.
fn open(dashboard: &Dashboard, paths: &[String], missing: &[String]) {
    let all: Vec<_> = paths
        .iter()
        .map(|path| json!({ "path": path, "status": 200 }))
        .chain(missing.iter().map(|path| json!({ "path": path, "status": 404 })))
        .collect();
    let found = browse(dashboard, &json!(all), &Value::Null);
    assert_eq!(found["pages"], 6 * all.len());
}

/// Opens pages, and what is appended to a log while one of them is open. Nothing may be wrong.
fn browse(dashboard: &Dashboard, pages: &Value, live: &Value) -> Value {
    let ran = Command::new("node")
        .args(["--input-type=module", "-e", include_str!("browser.mjs"), "--"])
        .arg(format!("http://{}", dashboard.address))
        .arg(pages.to_string())
        .arg(live.to_string())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let found: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(found["wrong"], json!([]));
    found
}

#[test]
fn pages_are_accessible_at_each_width_in_light_and_in_dark() {
    if !is_there() {
        return;
    }
    let sandbox = with_store("sqlite:tokens.db");
    let of_log = sandbox_files(&sandbox);
    let (_, jti) = mint(&sandbox, &["orders"]);
    sandbox.run(&["rotate"]).done();
    let dashboard =
        Dashboard::ready(&sandbox, &[&of_log[..], &["--allow-revoke", "--window", "10h"]].concat());
    let more = [
        "/attacks".to_owned(),
        format!("/token?issuer=bakery-auth&jti={jti}"),
        format!("/revoke?issuer=bakery-auth&jti={jti}"),
    ];
    open(&dashboard, &PAGES.map(str::to_owned).into_iter().chain(more).collect::<Vec<_>>(), &[]);
}

/// Writes the files of the other tests into a sandbox.
fn sandbox_files(into: &Sandbox) -> [&'static str; 5] {
    let from = sandbox();
    for name in ["audit.jsonl", "stock.json"] {
        into.write(name, from.read(name));
    }
    into.write(
        "report.json",
        r#"{"clean":false,"got_in":1,"requests":9,"causes":[{"cause":"the signature is not checked","attacks":1}],
            "endpoints":[{"method":"GET","target":"/stock","control":200,"findings":[{"class":"alg_none","outcome":"got_in"}]}]}"#,
    );
    ["audit.jsonl", "--endpoints", "stock.json", "--attack-report", "report.json"]
}

#[test]
fn hostile_texts_run_no_script_and_break_no_layout() {
    if !is_there() {
        return;
    }
    let sandbox = Sandbox::new();
    let dashboard = hostile(&sandbox);
    // Nothing is found under the text alone, and no decision under an id with capital letters.
    let (missing, pages): (Vec<_>, Vec<_>) = hostile_paths(&dashboard)
        .into_iter()
        .partition(|path| path.starts_with("/find?") || dashboard.get(path).status == 404);
    assert_eq!(missing.len(), 3, "{missing:?}");
    open(&dashboard, &pages, &missing);
}

#[test]
fn new_decision_appears_in_an_open_page_as_text() {
    if !is_there() {
        return;
    }
    let sandbox = sandbox();
    let dashboard = Dashboard::ready(&sandbox, &["audit.jsonl"]);
    let file = sandbox.path("audit.jsonl");
    let plain = record(100, 10, r#""allow","status":200"#, "orders");
    for (line, texts) in [
        (plain, ["allow", "orders", "stock::reserve", "10.0.0.7"]),
        (
            hostile_line(7, &hostile_text(7)),
            ["deny", HOSTILE.split('\\').next().unwrap(), "\\u202e", "alert(2)"],
        ),
    ] {
        let live = json!({ "path": "/", "file": file, "line": line, "texts": texts });
        let found = browse(&dashboard, &json!([]), &live);
        assert_eq!(found["rows"], 1);
    }
}
