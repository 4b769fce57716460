//! The signing keys over time: `keys`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;

use super::super::charts;
use super::super::html::{self, Kind, badge, card, instant, number, rows, shown, table};
use super::super::{App, View};
use super::respond;
use crate::commands::keys::Listed;

/// How many keys a timeline has, the newest first.
const LANES: usize = 24;

pub(super) async fn page(State(app): State<Arc<App>>, view: View) -> Response {
    let snapshot = app.log.snapshot();
    let state = app.registry.as_ref().map(|registry| registry.state()).unwrap_or_default();
    let keys = state.content.iter().flat_map(|content| &content.keys);
    let mut keys: Vec<&Listed> = keys.collect();
    keys.sort_by_key(|listed| std::cmp::Reverse(listed.key.prepared_at));
    let data = json!({
        "problem": state.problem, "usage": snapshot.keys,
        "keys": keys.iter().map(|listed| listed.json(view.now)).collect::<Vec<_>>(),
    });
    respond(&app, &view, "Keys", &data, || {
        let calls: BTreeMap<&str, u64> = snapshot
            .keys
            .iter()
            .map(|key| (key.kid.as_str(), key.calls.allowed + key.calls.refused))
            .collect();
        html! {
            h1 { "Signing keys" }
            @if app.registry.is_none() {
                p { "Start with " code { "--store URL" } " to see the keys of the journal." }
            } @else if keys.is_empty() {
                p.nothing { "The journal has no key. The first " code { "service-token rotate" } " registers the key that signs." }
            } @else {
                (card("Rotation", charts::rotation(keys.get(..LANES).unwrap_or(&keys), view.now)))
                (card("Keys", list(&keys, &calls, &view)))
            }
            (card("Keys in the log", used(&snapshot.keys)))
            (html::same("service-token keys"))
        }
    })
}

fn list(keys: &[&Listed], calls: &BTreeMap<&str, u64>, view: &View) -> Markup {
    let row = |listed: &&Listed| {
        let key = &listed.key;
        html! { tr {
            td { code { (shown(&key.kid)) } }
            td { (badge(Kind::of_state(key.state.as_str()), key.state.as_str()))
                @if listed.is_revoked { " " (badge(Kind::Bad, "revoked")) } }
            td { (shown(&key.algorithm)) }
            td { (shown(&key.issuer)) }
            td { (instant(key.prepared_at, view.now)) }
            td { @if let Some(ends) = listed.ends { (instant(ends, view.now)) } }
            td.number { (number(listed.services.len() as u64)) }
            td { @if let Some(until) = listed.until { (instant(until, view.now)) } }
            td.number { (number(calls.get(key.kid.as_str()).copied().unwrap_or_default())) }
        } }
    };
    let columns =
        ["key", "state", "algorithm", "issuer", "prepared", "ends", "#services", "tokens until", "#calls"];
    table("Keys", &columns, &rows(10_000, keys.iter().map(row)), "No key.")
}

fn used(keys: &[service_only_evidence::survey::KeyUsage]) -> Markup {
    let row = |key: &service_only_evidence::survey::KeyUsage| {
        html! { tr {
            td { code { (shown(&key.kid)) } }
            td.number { (number(key.calls.allowed)) }
            td.number { (number(key.calls.refused)) }
            td { (html::time(&key.calls.first)) }
            td { (html::time(&key.calls.last)) }
        } }
    };
    let columns = ["key", "#admitted", "#refused", "first (UTC)", "last (UTC)"];
    table("Keys in the log", &columns, &rows(6_000, keys.iter().map(row)), "No key verified a token yet.")
}
