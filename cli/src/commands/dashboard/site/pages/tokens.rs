//! The tokens that were used, those that expire soon, and the last revocations.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;
use service_only_evidence::survey::TokenUsage;

use super::super::html::{self, Kind, badge, card, instant, long, number, rows, shown, table};
use super::super::registry::Content;
use super::super::{App, View};
use super::{files, respond};
use crate::store;

/// How many of the tokens that were used are listed.
const USED: usize = 100;

pub(super) async fn page(State(app): State<Arc<App>>, view: View) -> Response {
    let snapshot = app.log.snapshot();
    let state = app.registry.as_ref().map(|registry| registry.state()).unwrap_or_default();
    let mut used: Vec<&TokenUsage> = snapshot.tokens.iter().collect();
    used.sort_by(|one, other| other.calls.last.cmp(&one.calls.last));
    let all = used.len();
    used.truncate(USED);
    let content = state.content.as_deref();
    let data = json!({
        "used": used, "used_in_total": all, "problem": state.problem,
        "expiring": content.map(|content| {
            content.expiring.iter().map(|listed| store::json(listed, view.now)).collect::<Vec<_>>()
        }),
        "revocations": content.map(|content| {
            content.revocations.iter().map(|entry| entry.json(view.now)).collect::<Vec<_>>()
        }),
    });
    respond(&app, &view, "Tokens", &data, || {
        html! {
            h1 { "Tokens" }
            @match content {
                Some(content) => {
                    (card("Expire within 30 days", expiring(content, &view)))
                    (card("Last used", last_used(&used, all)))
                    (card("Revocations", revocations(content, &view)))
                }
                None => {
                    @if app.registry.is_none() {
                        p { "Start with " code { "--store URL" } " to see the tokens of the registry." }
                    }
                    (card("Last used", last_used(&used, all)))
                }
            }
            (html::same(&format!("service-token usage --by token {}", files(&app))))
        }
    })
}

fn expiring(content: &Content, view: &View) -> Markup {
    let row = |listed: &service_only_store::ListedToken| {
        let token = &listed.token;
        html! { tr {
            td { (html::token(&token.issuer, &token.jti)) }
            td { (html::service(&token.service)) }
            td { (instant(token.expires_at, view.now)) }
            td { (instant(token.minted_at, view.now)) }
            td { (shown(token.minted_by.as_deref().unwrap_or_default())) }
            td { code { (html::short_id(&token.kid)) } }
        } }
    };
    let rows = rows(12_000, content.expiring.iter().map(row));
    table(
        "Tokens that expire soon",
        &["token", "service", "expires", "minted", "by", "key"],
        &rows,
        "No token expires within 30 days.",
    )
}

fn last_used(used: &[&TokenUsage], all: usize) -> Markup {
    let row = |token: &&TokenUsage| {
        html! { tr {
            td { (html::token(&token.issuer, &token.jti)) }
            td { (html::service(&token.service)) }
            td.number { (number(token.calls.allowed)) }
            td.number { (number(token.calls.refused)) }
            td { (html::time(&token.calls.last)) }
        } }
    };
    let mut rows = rows(14_000, used.iter().map(row));
    rows.left += all - used.len();
    table(
        "Tokens that were used",
        &["token", "service", "#admitted", "#refused", "last (UTC)"],
        &rows,
        "No token was used.",
    )
}

fn revocations(content: &Content, view: &View) -> Markup {
    let row = |entry: &crate::commands::revocations::Entry| {
        let revocation = &entry.revocation;
        let (kind, name, _) = store::columns(&revocation.target);
        html! { tr {
            td.number { (entry.number) }
            td { (badge(Kind::Bad, kind)) }
            td { @match kind {
                "token" => (html::token(&revocation.issuer, name)),
                "service" => (html::service(name)),
                _ => code { (shown(name)) },
            } }
            td { (instant(revocation.revoked_at, view.now)) }
            td { (shown(revocation.revoked_by.as_deref().unwrap_or_default())) }
            td.wide { (long(revocation.reason.as_deref().unwrap_or_default())) }
        } }
    };
    let rows = rows(10_000, content.revocations.iter().map(row));
    table(
        "Revocations",
        &["#number", "kind", "name", "revoked", "by", "reason"],
        &rows,
        "Nothing is revoked.",
    )
}
