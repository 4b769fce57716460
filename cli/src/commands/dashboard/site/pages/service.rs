//! One service: what it calls, with which tokens, and what is remarkable about it.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;
use service_only_evidence::survey::{PairUsage, TokenUsage};

use super::super::html::{self, card, figure, number, rows, shown, table};
use super::super::{App, View};
use super::{Named, RECENT, calls, files, findings, not_found, recent, respond};

pub(super) async fn page(
    State(app): State<Arc<App>>,
    view: View,
    Query(Named { name }): Query<Named>,
) -> Response {
    let snapshot = app.log.snapshot();
    let pairs: Vec<&PairUsage> = snapshot.usage.iter().filter(|pair| pair.service == name).collect();
    let tokens: Vec<&TokenUsage> = snapshot.tokens.iter().filter(|token| token.service == name).collect();
    let state = app.registry.as_ref().map(|registry| registry.state()).unwrap_or_default();
    let expiring = state.content.iter().flat_map(|content| &content.expiring);
    let is_registered = expiring.clone().any(|listed| listed.token.service == name);
    if pairs.is_empty() && tokens.is_empty() && !is_registered {
        return not_found(&app, &view, &format!("Neither the log nor the store has a service `{name}`."));
    }
    let found = findings::about(&snapshot, |found| found.service.as_ref() == Some(&name));
    let entries = recent(&snapshot, RECENT, |entry| entry.service.as_ref() == Some(&name));
    let data = json!({
        "service": name, "usage": pairs, "tokens": tokens, "findings": found, "recent": entries,
    });
    respond(&app, &view, &shown(&name), &data, || {
        html! {
            p.crumb { a href="/calls" { "Calls" } " / service" }
            h1 { (shown(&name)) }
            dl.figures {
                (calls::figures(&pairs))
                (figure("Endpoints", pairs.len(), "called"))
                (figure("Tokens", tokens.len(), "seen"))
            }
            @if !found.is_empty() { (card("Findings", findings::list("Findings", &found, 6_000))) }
            (card("What it calls", calls::list(&pairs)))
            (card("Tokens that it used", used(&tokens)))
            (card("Latest decisions", html::decisions("Latest decisions", &entries, 9_000, &[("service", &name)])))
            @if app.revoker.is_some() {
                (card("Revoke", html! {
                    p { "Revokes every token of this service that was issued until now. Tokens that are issued later are valid." }
                    p { a.button.danger href=(html::url("/revoke", &[("service", &name)])) { "Revoke all tokens…" } }
                }))
            }
            (html::same(&format!("service-token audit search --service {name} {}", files(&app))))
        }
    })
}

/// Tokens with their counts.
pub(super) fn used(tokens: &[&TokenUsage]) -> Markup {
    let row = |token: &&TokenUsage| {
        html! { tr {
            td { (html::short_token(&token.issuer, &token.jti)) }
            td { @for kid in token.kids.iter().take(4) { code { (html::short_id(kid)) } " " } }
            td.number { (number(token.calls.allowed)) }
            td.number { (number(token.calls.refused)) }
            td.number { (number(token.networks as u64)) }
            td { (html::time(&token.calls.first)) }
            td { (html::time(&token.calls.last)) }
        } }
    };
    let columns = ["token", "keys", "#admitted", "#refused", "#networks", "first (UTC)", "last (UTC)"];
    table("Tokens", &columns, &rows(8_000, tokens.iter().map(row)), "No token was seen.")
}
