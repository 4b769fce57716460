//! One decision in sentences: `service-token explain`.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use service_only_evidence::explain::{Advice, PolicyChange, WhatIf};

use super::super::html::{self, Kind, badge, card, long, prose, rows, sentence, shown};
use super::super::lookup::{self, MAX_SEARCHED, NotFound};
use super::super::{App, View};
use super::{files, not_found, respond, respond_with};
use crate::commands::audit::explain::{Found, is_registered, token_now};

#[derive(Deserialize)]
pub(super) struct Asked {
    id: String,
}

pub(super) async fn page(
    State(app): State<Arc<App>>,
    view: View,
    Query(Asked { id }): Query<Asked>,
) -> Response {
    let id = id.trim().trim_start_matches("urn:uuid:").to_ascii_lowercase();
    let found = match find(&app, &id).await {
        Ok(found) => found,
        Err(NotFound::Absent) => return not_found(&app, &view, &format!("No record has the id `{id}`.")),
        Err(error) => return unsearched(&app, &view, &id, &error),
    };
    let found = &found;
    let (token, problem) = match &app.registry {
        Some(registry) => match registry.ask(|store| async move { token_now(&store, found).await }).await {
            Ok(token) => (token, None),
            Err(problem) => (None, Some(problem)),
        },
        None => (None, None),
    };
    let policies = found.policies(app.log.tables());
    let mut data = found.json(token.as_ref(), &policies);
    if let (Some(problem), Some(members)) = (&problem, data.as_object_mut()) {
        members.insert("problem".to_owned(), json!(problem.reason()));
    }
    respond(&app, &view, "Decision", &data, || {
        html! {
            p.crumb { a href="/" { "Overview" } " / decision" }
            (explained(found))
            div.columns {
                @if let Some(token) = &token { (card("The token now", token_facts(found, token))) }
                @for policy in policies.iter().take(4) { (card("The policy now", requirements(found, policy))) }
            }
            @if let Some(problem) = &problem {
                p.banner.bad role="alert" { strong { "The store cannot be asked. " } (long(problem.reason())) }
            }
            (html::same(&format!("service-token explain {id} --audit {}", files(&app))))
        }
    })
}

/// Finds a record. Only a few requests search at a time, because a search reads files.
async fn find(app: &Arc<App>, id: &str) -> Result<Found, NotFound> {
    let stopped = || NotFound::Io(std::io::Error::other("the program ends"));
    let place = Arc::clone(&app.searches).acquire_owned().await.map_err(|_| stopped())?;
    let (app, id) = (Arc::clone(app), id.to_owned());
    let search = move || {
        let parts = app.log.index().parts(&id);
        let found = lookup::find(app.log.paths(), &parts, &id);
        drop(place);
        found
    };
    tokio::task::spawn_blocking(search).await.unwrap_or_else(|_| Err(stopped()))
}

fn unsearched(app: &App, view: &View, id: &str, error: &NotFound) -> Response {
    let why = match error {
        NotFound::Io(error) => format!("The files cannot be read: {error}."),
        _ => format!(
            "The index does not contain this id. The files are larger than {} MiB, so this page does not search them.",
            MAX_SEARCHED / (1024 * 1024)
        ),
    };
    let data = json!({ "error": { "code": "unavailable", "reason": why } });
    respond_with(StatusCode::SERVICE_UNAVAILABLE, app, view, "Decision", &data, || {
        html! {
            h1 { "Decision" }
            p { (long(&why)) }
            (html::same(&format!("service-token explain {id} --audit {}", files(app))))
        }
    })
}

fn explained(found: &Found) -> Markup {
    let explanation = &found.explanation;
    let is_refused = explanation.code.is_some() || explanation.refused_by.is_some();
    html! {
        h1 { "Decision " @if is_refused { (badge(Kind::Bad, "deny")) } @else { (badge(Kind::Good, "allow")) } }
        p.lead { (sentence(&explanation.summary)) "." }
        dl.facts {
            dt { "id" } dd { code { (shown(&explanation.id)) } }
            dt { "time" } dd { (html::time(&explanation.time)) " UTC" }
            @if let Some(service) = &found.service { dt { "service" } dd { (html::service(service)) } }
            @if let Some(endpoint) = &found.endpoint { dt { "endpoint" } dd { (html::endpoint(endpoint)) } }
            @if let Some(jti) = &found.jti {
                dt { "token" } dd { (html::token(found.issuer.as_deref().unwrap_or_default(), jti)) }
            }
            @if let Some(code) = &explanation.code { dt { "code" } dd { code { (shown(code)) } } }
        }
        @if found.records > 1 {
            p.note { (found.records) " records have this id: the handler changed the outcome, and this is the last." }
        }
        @if let Some(compared) = &explanation.compared {
            (card("The two values that differ", html! { dl.facts {
                dt { "found" } dd { code { (long(&compared.found)) } }
                dt { "expected" } dd { code { (long(&compared.expected)) } }
            } }))
        } @else if let Some(reason) = &explanation.reason {
            (card("Reason", html! { p { (sentence(reason)) } }))
        }
        @if let Some(advice) = &explanation.advice { (card("To admit this caller", advised(advice))) }
        (card("Stages", html! { ol.stages {
            @for stage in &explanation.passed {
                li.passed { strong { (stage.stage) } " " span { (prose(stage.proves)) } }
            }
            @if let Some(stage) = &explanation.refused_by {
                li.stopped { strong { (shown(stage)) } " " span { "refused the call" } }
            }
        } }))
    }
}

fn advised(advice: &Advice) -> Markup {
    html! { dl.facts {
        dt { "check" } dd { (prose(advice.setting)) }
        dt { "change" } dd { (prose(advice.change)) }
        dt { "risk" } dd { (prose(advice.risk)) }
    } }
}

fn token_facts(found: &Found, token: &Value) -> Markup {
    let member = |name: &str| token.get(name).and_then(Value::as_str).map(shown);
    html! {
        @if !is_registered(token) { p.note { "The registry of the store does not have this token." } }
        dl.facts {
        @if let Some(jti) = &found.jti { dt { "token" } dd { (html::token(found.issuer.as_deref().unwrap_or_default(), jti)) } }
        @for name in ["state_then", "state", "revoked", "minted_at", "minted_by", "expires_at"] {
            @if let Some(value) = member(name) { dt { (name.replace('_', " ")) } dd { (value) } }
        }
        }
    }
}

fn requirements(found: &Found, policy: &WhatIf) -> Markup {
    let change = match found.compared(policy) {
        PolicyChange::Same => "It is the policy that decided.",
        PolicyChange::Changed => "It has changed since the decision.",
        _ => "Whether it has changed since the decision is not known.",
    };
    html! {
        p.note { (change) }
        p { code { (shown(&policy.endpoint)) } " of " (shown(&policy.program)) }
        ul.checks {
            (rows(3_000, policy.requirements.iter().map(|required| html! {
                li { @match required.is_met {
                    Some(true) => (badge(Kind::Good, "met")),
                    Some(false) => (badge(Kind::Bad, "not met")),
                    None => (badge(Kind::Plain, "depends")),
                } " " (prose(&required.text)) }
            })).markup)
        }
    }
}
