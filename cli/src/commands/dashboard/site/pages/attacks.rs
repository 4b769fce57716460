//! The reports of `service-token attack --format json`. The files are read for each request, so a new report replaces the
//! old one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};
use service_only::clock::Timestamp;

use super::super::html::{self, Kind, badge, card, figure, instant, long, number, rows, shown, table};
use super::super::{App, View};
use super::respond;
use crate::bounded_file;

/// How many reports a page shows.
const REPORTS: usize = 4;

/// One file, and what is in it.
struct Report {
    path: PathBuf,
    written: Option<Timestamp>,
    content: Result<Value, String>,
}

pub(super) async fn page(State(app): State<Arc<App>>, view: View) -> Response {
    let paths = app.attacks.clone();
    let reports =
        tokio::task::spawn_blocking(move || paths.iter().map(|path| read(path)).collect::<Vec<_>>());
    let reports = reports.await.unwrap_or_default();
    let data = reports.iter().map(|report| {
        let (report_now, problem) = match &report.content {
            Ok(content) => (Some(content), None),
            Err(why) => (None, Some(why)),
        };
        json!({ "file": report.path.display().to_string(), "report": report_now, "problem": problem })
    });
    let data = json!({ "reports": data.collect::<Vec<_>>() });
    respond(&app, &view, "Attacks", &data, || {
        html! {
            h1 { "Attack reports" }
            @if reports.is_empty() {
                p { "Start with " code { "--attack-report FILE" } " to see the reports of "
                    code { "service-token attack --format json" } "." }
            }
            @for report in reports.iter().take(REPORTS) { (card(&shown(&report.path.display().to_string()), one(report, &view))) }
            @if reports.len() > REPORTS {
                p.note { (reports.len() - REPORTS) " more are in the JSON of this page." }
            }
            (html::same("service-token attack --url URL --service NAME --endpoint 'GET /path' --format json"))
        }
    })
}

fn read(path: &Path) -> Report {
    let written = std::fs::metadata(path).and_then(|file| file.modified()).ok();
    let written = written.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let content = bounded_file::read(path).map_err(|problem| problem.reason().to_owned());
    let content = content.and_then(|bytes| {
        let report: Value =
            serde_json::from_slice(&bytes).map_err(|error| format!("it is not JSON: {error}"))?;
        match report.get("clean").and_then(Value::as_bool).zip(report.get("endpoints")) {
            Some(_) => Ok(report),
            None => Err("it is not a report of `service-token attack --format json`".to_owned()),
        }
    });
    Report {
        path: path.to_owned(),
        written: written
            .map(|since| Timestamp::from_unix(i64::try_from(since.as_secs()).unwrap_or_default())),
        content,
    }
}

fn one(report: &Report, view: &View) -> Markup {
    let content = match &report.content {
        Ok(content) => content,
        Err(why) => return html! { p.banner.bad role="alert" { (long(why)) } },
    };
    let count = |name: &str| content.get(name).and_then(Value::as_u64).unwrap_or_default();
    let is_clean = content.get("clean").and_then(Value::as_bool).unwrap_or_default();
    let (got_in, requests) = (count("got_in"), count("requests"));
    let endpoints = content.get("endpoints").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    html! {
        dl.figures {
            (figure("Verdict", match (is_clean, got_in) {
                (true, _) => badge(Kind::Good, "nothing got in"),
                (false, 0) => badge(Kind::Warning, "not proven"),
                (false, _) => badge(Kind::Bad, "something got in"),
            }, html! { @if let Some(written) = report.written { (instant(written, view.now)) } }))
            (figure("Accepted attacks", number(got_in), format!("of {} requests", number(requests))))
            (figure("Endpoints", endpoints.len(), "attacked"))
        }
        (causes(content))
        (matrix(endpoints))
    }
}

fn causes(content: &Value) -> Markup {
    let causes = content.get("causes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let text = |cause: &Value, name: &str| long(cause.get(name).and_then(Value::as_str).unwrap_or_default());
    let row = |cause: &Value| {
        html! { tr {
            td.wide { (text(cause, "cause")) }
            td.number { (cause.get("attacks").and_then(Value::as_u64).unwrap_or_default()) }
        } }
    };
    html! { @if !causes.is_empty() {
        (table("Causes", &["cause", "#attacks"], &rows(2_000, causes.iter().map(row)), ""))
    } }
}

/// The endpoints with the outcome of each family of attacks.
fn matrix(endpoints: &[Value]) -> Markup {
    let row = |endpoint: &Value| {
        let text = |name: &str| shown(endpoint.get(name).and_then(Value::as_str).unwrap_or_default());
        let findings = endpoint.get("findings").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let outcome = |finding: &&Value| {
            finding
                .get("outcome")
                .and_then(Value::as_str)
                .is_some_and(|found| ["got_in", "broke"].contains(&found))
        };
        let accepted: Vec<&Value> = findings.iter().filter(outcome).collect();
        let classes = accepted.iter().filter_map(|finding| finding.get("class").and_then(Value::as_str));
        let classes: Vec<_> = classes.take(6).map(shown).collect();
        html! { tr {
            td { code { (text("method")) " " (text("target")) } }
            td { @match endpoint.get("control").and_then(Value::as_u64) {
                Some(status) => (badge(Kind::Good, &format!("{status}"))),
                None => (badge(Kind::Warning, &text("proves_nothing"))),
            } }
            td.number { (findings.len()) }
            td.number { (accepted.len()) }
            td.wide { (classes.join(", ")) @if accepted.len() > 6 { " …" } }
        } }
    };
    let columns =
        ["endpoint", "valid token", "#attacks", "#got in", "classes that got in or broke the service"];
    table("Endpoints", &columns, &rows(4_000, endpoints.iter().map(row)), "The report has no endpoint.")
}
