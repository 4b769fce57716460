//! One handler: who calls it, who may call it, and what is remarkable about it.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;
use service_only::routes::{Requirements, Route};
use service_only_evidence::survey::PairUsage;

use super::super::html::{self, card, compact, figure, long, rows, shown};
use super::super::{App, View};
use super::{calls, files, findings, not_found, recent, respond};

const RECENT: usize = 20;

#[derive(Deserialize)]
pub(super) struct Asked {
    name: String,
}

pub(super) async fn page(
    State(app): State<Arc<App>>,
    view: View,
    Query(Asked { name }): Query<Asked>,
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
        let allowed: u64 = pairs.iter().map(|pair| pair.calls.allowed).sum();
        let refused: u64 = pairs.iter().map(|pair| pair.calls.refused).sum();
        html! {
            p.crumb { a href="/calls" { "Calls" } " / endpoint" }
            h1 { (shown(&name)) }
            dl.figures {
                (figure("Admitted", compact(allowed), "calls"))
                (figure("Refused", compact(refused), "calls"))
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
            access.for_services().iter().flat_map(|of| required("services", of)).collect();
        lines.extend(access.for_users().iter().flat_map(|of| required("users", of)));
        if lines.is_empty() {
            lines.push("public: no caller is needed".to_owned());
        }
        html! {
            p { code { (shown(&route.methods().join(" "))) " " (shown(route.path())) } }
            ul { @for line in lines { li { (long(&line)) } } }
        }
    };
    rows(5_000, routes.iter().map(row)).markup
}

/// What is required, one line for each requirement. An empty list refuses every caller.
fn required(who: &str, requirements: &Requirements) -> Vec<String> {
    let Requirements { issuers, services, actors, scopes, any_scope, roles, claims, max_age, proof, .. } =
        requirements;
    let names = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let services = services.as_deref().map_or_else(|| "any".to_owned(), names);
    let mut lines = vec![format!("{who}: {services}")];
    let lists = [("issuer", issuers), ("actor", actors), ("role", roles), ("one scope of", any_scope)];
    lines
        .extend(lists.iter().filter_map(|(name, list)| Some(format!("{name}: {}", names(list.as_deref()?)))));
    if !scopes.is_empty() {
        lines.push(format!("all scopes of: {}", scopes.join(", ")));
    }
    lines.extend(claims.iter().map(|(claim, value)| format!("claim {claim}: {value}")));
    lines.extend(max_age.map(|seconds| format!("token at most {seconds} s old")));
    lines.extend(proof.map(|proof| format!("proof of possession: {}", proof.as_str())));
    lines
}
