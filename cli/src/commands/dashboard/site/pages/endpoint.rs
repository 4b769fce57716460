//! One handler: who calls it, who may call it, and what is remarkable about it.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;
use service_only::routes::{Requirements, Route};
use service_only_evidence::survey::PairUsage;

use super::super::html::{self, card, figure, long, rows, shown};
use super::super::{App, View};
use super::{Named, RECENT, calls, files, findings, not_found, recent, respond};
use crate::commands::endpoints::text;

pub(super) async fn page(
    State(app): State<Arc<App>>,
    view: View,
    Query(Named { name }): Query<Named>,
) -> Response {
    let snapshot = app.log.snapshot();
    let pairs: Vec<&PairUsage> = snapshot.usage.iter().filter(|pair| pair.endpoint == name).collect();
    let routes = app.log.tables().iter().flat_map(|table| table.routes());
    let routes: Vec<&Route> = routes.filter(|route| route.endpoint() == Some(&name)).collect();
    if pairs.is_empty() && routes.is_empty() {
        return not_found(&app, &view, &format!("Neither the log nor a table has an endpoint `{name}`."));
    }
    let found = findings::about(&snapshot, |found| found.endpoint.as_ref() == Some(&name));
    let entries = recent(&snapshot, RECENT, |entry| entry.endpoint == name);
    let data = json!({
        "endpoint": name, "usage": pairs, "routes": routes, "findings": found, "recent": entries,
    });
    respond(&app, &view, &shown(&name), &data, || {
        html! {
            p.crumb { a href="/calls" { "Calls" } " / endpoint" }
            h1 { (shown(&name)) }
            dl.figures {
                (calls::figures(&pairs))
                (figure("Callers", pairs.len(), "seen"))
            }
            @if !found.is_empty() { (card("Findings", findings::list("Findings", &found, 6_000))) }
            (card("Who may call it", policy(&routes)))
            (card("Who calls it", calls::list(&pairs)))
            (card("Latest decisions", html::decisions("Latest decisions", &entries, 9_000, &[("endpoint", &name)])))
            (html::same(&format!("service-token audit search --endpoint '{name}' {}", files(&app))))
        }
    })
}

fn policy(routes: &[&Route]) -> Markup {
    if routes.is_empty() {
        return html! {
            p.nothing { "No table has this handler. Start with " code { "--endpoints TABLE" } " to see its policy." }
        };
    }
    let row = |route: &&Route| {
        let access = route.access();
        let mut lines: Vec<String> =
            access.for_services().iter().flat_map(|asked| required("service", asked)).collect();
        lines.extend(access.for_users().iter().flat_map(|asked| required("user", asked)));
        if lines.is_empty() {
            lines.push(text::who(access));
        }
        html! {
            p { code { (shown(&route.methods().join(" "))) " " (shown(route.path())) } }
            ul { @for line in lines { li { (long(&line)) } } }
        }
    };
    rows(5_000, routes.iter().map(row)).markup
}

/// What is required, one line for each requirement, in the words of `endpoints`.
fn required(kind: &str, asked: &Requirements) -> Vec<String> {
    let callers = format!("{kind}s: {}", text::callers(kind, asked));
    std::iter::once(callers).chain(text::conditions(asked)).collect()
}
