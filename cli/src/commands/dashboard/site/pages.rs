//! The pages. Each one has the data of a report of the command line, by the same code, as HTML or as JSON.

mod attacks;
mod calls;
mod decision;
mod endpoint;
mod findings;
mod overview;
mod rotation;
mod service;
mod token;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Query, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::get;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{StatusCode, Uri};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Who;
use super::html;
use super::log::{Entry, Snapshot};
use super::{App, View};
use crate::escape;
use crate::store;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(overview::page))
        .route("/calls", get(calls::page))
        .route("/service", get(service::page))
        .route("/endpoint", get(endpoint::page))
        .route("/tokens", get(tokens::page))
        .route("/token", get(token::page))
        .route("/decision", get(decision::page))
        .route("/findings", get(findings::page))
        .route("/rotation", get(rotation::page))
        .route("/attacks", get(attacks::page))
        .route("/find", get(find))
        .fallback(absent)
}

impl FromRequestParts<Arc<App>> for View {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        let who = parts.extensions.get::<Who>().cloned().unwrap_or_else(|| app.access.operator());
        let accepts = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let asks = parts.uri.query().unwrap_or_default().split('&').any(|pair| pair == "format=json");
        let is_json = asks || (accepts.contains("application/json") && !accepts.contains("text/html"));
        Ok(Self {
            is_json,
            path: parts.uri.path().to_owned(),
            uri: parts.uri.clone(),
            who,
            now: store::now(),
        })
    }
}

impl View {
    /// The address of the same page as JSON.
    pub(super) fn json_url(&self) -> String {
        let uri: &Uri = &self.uri;
        match uri.query() {
            Some(query) => format!("{}?{query}&format=json", uri.path()),
            None => format!("{}?format=json", uri.path()),
        }
    }
}

/// The response: the data, or the page that shows it.
pub(super) fn respond(
    app: &App,
    view: &View,
    title: &str,
    data: &Value,
    body: impl FnOnce() -> Markup,
) -> Response {
    respond_with(StatusCode::OK, app, view, title, data, body)
}

pub(super) fn respond_with(
    status: StatusCode,
    app: &App,
    view: &View,
    title: &str,
    data: &Value,
    body: impl FnOnce() -> Markup,
) -> Response {
    if !view.is_json {
        return (status, Html(html::page(app, view, title, &body()).into_string())).into_response();
    }
    match escape::json(data) {
        Ok(text) => (status, [(CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A page for what is not there.
pub(super) fn not_found(app: &App, view: &View, what: &str) -> Response {
    let data = json!({ "error": { "code": "not_found", "reason": what } });
    respond_with(StatusCode::NOT_FOUND, app, view, "Not found", &data, || {
        html! { h1 { "Not found" } p { (html::long(what)) } p { a href="/" { "To the overview" } } }
    })
}

async fn absent(State(app): State<Arc<App>>, view: View) -> Response {
    not_found(&app, &view, "There is no page at this address.")
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    q: String,
}

/// Leads to the page of a service, an endpoint, a token or a decision.
async fn find(State(app): State<Arc<App>>, view: View, Query(Found { q }): Query<Found>) -> Response {
    let wanted = q.trim();
    let snapshot = app.log.snapshot();
    let to = |path: &str, query: &[(&str, &str)]| Redirect::to(&html::url(path, query)).into_response();
    if wanted.is_empty() {
        return Redirect::to("/").into_response();
    }
    if snapshot.usage.iter().any(|pair| pair.service == wanted) {
        return to("/service", &[("name", wanted)]);
    }
    let is_end = |name: &str| {
        name.strip_suffix(wanted).is_some_and(|before| before.is_empty() || before.ends_with("::"))
    };
    if let Some(pair) = snapshot.usage.iter().find(|pair| is_end(&pair.endpoint)) {
        return to("/endpoint", &[("name", &pair.endpoint)]);
    }
    if let Some(token) = snapshot.tokens.iter().find(|token| token.jti.starts_with(wanted)) {
        return to("/token", &[("issuer", &token.issuer), ("jti", &token.jti)]);
    }
    let id = wanted.trim_start_matches("urn:uuid:").to_ascii_lowercase();
    if !app.log.index().parts(&id).is_empty() {
        return to("/decision", &[("id", &id)]);
    }
    if let Some(registry) = &app.registry {
        match registry.token(None, wanted).await {
            Ok(tokens) => {
                if let Some(listed) = tokens.first() {
                    return to("/token", &[("issuer", &listed.token.issuer), ("jti", &listed.token.jti)]);
                }
            }
            Err(problem) => {
                return not_found(&app, &view, &format!("The store cannot be asked: {}", problem.reason()));
            }
        }
    }
    to("/decision", &[("id", &id)])
}

/// The query of a page about one service or one endpoint.
#[derive(Deserialize)]
struct Named {
    name: String,
}

/// How many decisions a page about one service, endpoint or token shows.
const RECENT: usize = 20;

/// The recent decisions that meet a condition.
pub(super) fn recent(snapshot: &Snapshot, most: usize, is_wanted: impl Fn(&Entry) -> bool) -> Vec<&Entry> {
    snapshot.recent.iter().map(AsRef::as_ref).filter(|entry| is_wanted(entry)).take(most).collect()
}

/// The names of the log files, for a command.
pub(super) fn files(app: &App) -> String {
    let names: Vec<_> = app.log.paths().iter().map(|path| path.display().to_string()).collect();
    names.join(" ")
}
