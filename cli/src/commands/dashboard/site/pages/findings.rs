//! What is unusual, and what is granted and unused: `anomalies` and `unused`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;
use service_only_evidence::findings::Finding;

use super::super::html::{self, Kind, badge, card, rows, sentence, shown, table};
use super::super::log::Snapshot;
use super::super::{App, View};
use super::{files, respond};
use crate::commands::audit::unused::{covered, uncovered};

pub(super) async fn page(State(app): State<Arc<App>>, view: View) -> Response {
    let snapshot = app.log.snapshot();
    let data = json!({ "read": snapshot.read, "anomalies": snapshot.anomalies, "unused": snapshot.unused });
    respond(&app, &view, "Findings", &data, || {
        html! {
            h1 { "Findings" }
            (card("Unusual", unusual(&snapshot)))
            (card("Unused", unused(&snapshot)))
            (html::same(&format!("service-token anomalies {}", files(&app))))
        }
    })
}

fn unusual(snapshot: &Snapshot) -> Markup {
    let Some(anomalies) = &snapshot.anomalies else {
        return html! { p.nothing { "The log is being read." } };
    };
    let findings: Vec<&Finding> = anomalies.findings.iter().collect();
    html! {
        @if anomalies.since != anomalies.compared_from {
            p.note { "Records since " (html::time(&anomalies.since)) " are compared with those from "
                (html::time(&anomalies.compared_from)) " on." }
        }
        (list("Unusual", &findings, 18_000))
    }
}

fn unused(snapshot: &Snapshot) -> Markup {
    let Some(unused) = &snapshot.unused else {
        return html! { p.nothing { "Nothing is known to be granted. Start with " code { "--endpoints TABLE" } ", "
        code { "--store URL" } ", or both." } };
    };
    let findings: Vec<&Finding> = unused.findings.iter().collect();
    let coverage = &unused.coverage;
    html! {
        p.note { (sentence(&covered(coverage))) "." }
        @for table in unused.tables.iter().filter(|table| coverage.is_enough && !table.coverage.is_enough).take(20) {
            p.note { (sentence(&uncovered(table))) "." }
        }
        @if unused.is_conclusive() {
            (list("Unused", &findings, 18_000))
        } @else {
            p.nothing { "The logs cover too little of the window for a conclusion." }
        }
    }
}

/// Findings as a table.
pub(super) fn list(name: &str, findings: &[&Finding], room: usize) -> Markup {
    let row = |found: &&Finding| {
        html! { tr {
            td { (badge(Kind::Warning, found.rule.as_str())) br; code.faint { (shown(&found.id)) } }
            td.wide { (sentence(&found.text)) }
            td { @if let Some(service) = &found.service { (html::service(service)) } }
            td { @if let Some(endpoint) = &found.endpoint { (html::endpoint(endpoint)) } }
            td { @if let Some(since) = &found.since { (html::time(since)) } }
        } }
    };
    let rows = rows(room, findings.iter().map(row));
    table(
        name,
        &["rule and id", "finding", "service", "endpoint", "since (UTC)"],
        &rows,
        "Nothing was found.",
    )
}

/// The findings that meet a condition.
pub(super) fn about(snapshot: &Snapshot, is_wanted: impl Fn(&Finding) -> bool) -> Vec<&Finding> {
    let anomalies = snapshot.anomalies.iter().flat_map(|anomalies| &anomalies.findings);
    let unused = snapshot.unused.iter().flat_map(|unused| &unused.findings);
    anomalies.chain(unused).filter(|found| is_wanted(found)).collect()
}
