//! One token: its state in the registry, its use in the log, and its revocation.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;
use service_only_evidence::survey::TokenUsage;
use service_only_store::ListedToken;

use super::super::charts;
use super::super::html::{self, Kind, badge, card, instant, long, micros, number, shown};
use super::super::{App, View};
use super::{RECENT, findings, not_found, recent, respond};
use crate::problem::Problem;
use crate::store;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    issuer: String,
    jti: String,
    /// The number of a revocation that was made a moment ago.
    revoked: Option<i64>,
}

pub(super) async fn page(
    State(app): State<Arc<App>>,
    view: View,
    Query(Asked { issuer, jti, revoked }): Query<Asked>,
) -> Response {
    let snapshot = app.log.snapshot();
    let used = snapshot.tokens.iter().find(|token| token.jti == jti && token.issuer == issuer);
    let (listed, problem) = match &app.registry {
        None => (None, None),
        Some(registry) => match registry.token(Some(&issuer), &jti).await {
            Ok(tokens) => (tokens.into_iter().next(), None),
            Err(problem) => (None, Some(problem)),
        },
    };
    if used.is_none() && listed.is_none() && problem.is_none() {
        return not_found(
            &app,
            &view,
            &format!("Neither the log nor the store has a token `{jti}` of `{issuer}`."),
        );
    }
    let found = findings::about(&snapshot, |found| found.subject.as_ref() == Some(&jti));
    let entries = recent(&snapshot, RECENT, |entry| entry.jti.as_ref() == Some(&jti));
    let data = json!({
        "issuer": issuer, "jti": jti, "usage": used, "findings": found, "recent": entries,
        "registry": listed.as_ref().map(|listed| store::json(listed, view.now)),
        "problem": problem.as_ref().map(Problem::reason),
    });
    respond(&app, &view, &format!("Token {}", shown(&jti)), &data, || {
        html! {
            p.crumb { a href="/tokens" { "Tokens" } " / token" }
            h1 { code { (shown(&jti)) } }
            @if let Some(number) = revoked {
                p.banner role="status" { "Revocation " (number) " is recorded. Verifiers refuse the token within a second." }
            }
            @if let Some(problem) = &problem {
                p.banner.bad role="alert" { strong { "The store cannot be asked. " } (long(problem.reason())) }
            }
            @if !found.is_empty() { (card("Findings", findings::list("Findings", &found, 6_000))) }
            div.columns {
                @match &listed {
                    Some(listed) => (card("In the registry", registered(listed, &view))),
                    None => @if app.registry.is_some() && problem.is_none() {
                        (card("In the registry", html! { p.nothing { "The registry has no such token." } }))
                    },
                }
                @if let Some(used) = used { (card("In the log", use_of(used))) }
            }
            (card("Latest decisions", html::decisions("Latest decisions", &entries, 9_000, &[("jti", &jti)])))
            @if app.revoker.is_some() && listed.as_ref().is_some_and(|listed| listed.revoked.is_none()) {
                (card("Revoke", html! {
                    p { "Every verifier that follows the store refuses a revoked token within a second." }
                    p { a.button.danger href=(html::url("/revoke", &[("jti", &jti), ("issuer", &issuer)])) { "Revoke this token…" } }
                }))
            }
            (html::same(&format!("service-token show {jti}")))
        }
    })
}

fn registered(listed: &ListedToken, view: &View) -> Markup {
    let token = &listed.token;
    let state = listed.state(view.now).as_str();
    html! {
        dl.facts {
            dt { "state" } dd { (badge(Kind::of_state(state), state))
                @if let Some(by) = &listed.revoked { " by a revocation of the " (shown(by)) } }
            dt { "service" } dd { (html::service(&token.service)) }
            dt { "issuer" } dd { (shown(&token.issuer)) }
            dt { "key" } dd { code { (shown(&token.kid)) } }
            dt { "expires" } dd { (instant(token.expires_at, view.now)) }
            dt { "minted" } dd { (instant(token.minted_at, view.now))
                @if let Some(by) = &token.minted_by { " by " (shown(by)) } }
            @if let Some(note) = &token.note { dt { "note" } dd { (long(note)) } }
        }
    }
}

fn use_of(used: &TokenUsage) -> Markup {
    let calls = &used.calls;
    html! {
        dl.facts {
            dt { "service" } dd { (html::service(&used.service)) }
            dt { "admitted" } dd { (number(calls.allowed)) }
            dt { "refused" } dd { (number(calls.refused)) }
            dt { "first" } dd { (html::time(&calls.first)) }
            dt { "last" } dd { (html::time(&calls.last)) }
            dt { "keys" } dd { @for kid in used.kids.iter().take(8) { code { (shown(kid)) } " " } }
            dt { "networks" } dd { (number(used.networks as u64)) }
            dt { "p50, p99" } dd { (micros(calls.p50_us)) ", " (micros(calls.p99_us)) }
            dt { "durations" } dd { (charts::durations(calls.durations)) }
        }
    }
}
