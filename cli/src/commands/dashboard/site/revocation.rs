//! Revokes a token, or the tokens of a service: the only change that a page makes.
//!
//! The first page tries the revocation and shows its effect. Its form carries a token that other sites cannot know, which
//! belongs to one person and one target. The revocation is the one of `service-token revoke --by`.

use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode};
use maud::html;
use serde::Deserialize;
use serde_json::json;
use service_only::clock::Timestamp;

use super::access::Who;
use super::html::{self, long, sentence, shown, url};
use super::pages::{not_found, respond, respond_with};
use super::registry::Registry;
use super::{App, View};
use crate::change::{By, DryRun};
use crate::commands::revoke::{RevokeOptions, Target};
use crate::exit::Exit;
use crate::members;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, StoreAndConfig};

/// The longest reason, in characters.
const MAX_REASON: usize = 500;

/// What the operator allowed.
pub(crate) struct Revoker {
    store: StoreAndConfig,
    /// Signs the tokens of forms. It lives as long as the program.
    key: hmac::Key,
}

impl Revoker {
    pub(crate) fn new(store: StoreAndConfig) -> Outcome<Self> {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random)
            .map_err(|_| Problem::new(ProblemCode::Io, "the operating system has no random numbers"))?;
        Ok(Self { store, key })
    }

    fn form_token(&self, who: &Who, asked: &Asked) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.key, &bound(who, asked)))
    }

    fn is_own_form(&self, who: &Who, asked: &Asked, token: &str) -> bool {
        let tag = URL_SAFE_NO_PAD.decode(token).unwrap_or_default();
        hmac::verify(&self.key, &bound(who, asked), &tag).is_ok()
    }
}

/// What a form is for. Each part has its length before it, so that no two targets have the same bytes.
fn bound(who: &Who, asked: &Asked) -> Vec<u8> {
    let before = asked.before.map(|unix| unix.to_string());
    let parts =
        [Some(&who.name), asked.jti.as_ref(), asked.service.as_ref(), asked.issuer.as_ref(), before.as_ref()];
    let mut bytes = Vec::new();
    for part in parts {
        let part = part.map_or(&[][..], |part| part.as_bytes());
        bytes.extend((part.len() as u64).to_be_bytes());
        bytes.extend(part);
    }
    bytes
}

pub(super) fn router() -> Router<Arc<App>> {
    Router::new().route("/revoke", get(confirm).post(revoke))
}

/// What a person wants to revoke.
#[derive(Deserialize)]
struct Asked {
    jti: Option<String>,
    service: Option<String>,
    issuer: Option<String>,
    /// The last second of issue that is revoked, for a service.
    before: Option<i64>,
}

/// The form of the confirmation.
#[derive(Deserialize)]
struct Confirmed {
    jti: Option<String>,
    service: Option<String>,
    issuer: Option<String>,
    before: Option<i64>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    csrf: String,
}

impl Asked {
    fn target(&self) -> Option<Target> {
        match (&self.jti, &self.service) {
            (Some(jti), None) => Some(Target::Token(jti.clone())),
            (None, Some(service)) => {
                let before = Timestamp::from_unix(self.before.unwrap_or_else(|| store::now().unix()));
                Some(Target::Service(service.clone(), before))
            }
            _ => None,
        }
    }

    /// The issuer of the target: the one of the token, or the one of the configuration.
    fn issuer<'a>(&'a self, registry: &'a Registry) -> Option<&'a str> {
        let configured = registry.config.as_ref().map(|config| config.issuer.as_str());
        self.issuer.as_deref().filter(|issuer| !issuer.is_empty()).or(configured)
    }

    /// The page to return to.
    fn back(&self, number: Option<i64>) -> String {
        let Some(jti) = &self.jti else { return "/tokens".to_owned() };
        let page = url("/token", &[("issuer", self.issuer.as_deref().unwrap_or_default()), ("jti", jti)]);
        match number {
            Some(number) => format!("{page}&revoked={number}"),
            None => page,
        }
    }
}

/// Tries the revocation, and asks for a confirmation.
async fn confirm(State(app): State<Arc<App>>, view: View, Query(mut asked): Query<Asked>) -> Response {
    let (Some(revoker), Some(registry)) = (&app.revoker, &app.registry) else { return disabled(&app, &view) };
    if asked.service.is_some() && asked.before.is_none() {
        // The person confirms the instant that the page shows.
        asked.before = Some(view.now.unix());
    }
    let Some((target, issuer)) = asked.target().zip(asked.issuer(registry)) else {
        return not_found(&app, &view, "The address names neither a token nor a service with its issuer.");
    };
    let options = RevokeOptions::of(
        &revoker.store,
        &target,
        issuer,
        By::person(&view.who.name),
        DryRun { dry_run: true },
    );
    let tried = match options.apply(&registry.url, registry.config.as_ref(), issuer).await {
        Ok(made) => made,
        Err(problem) => return refused(&app, &view, &problem),
    };
    let csrf = revoker.form_token(&view.who, &asked);
    respond(&app, &view, "Revoke", &tried.json(), || {
        html! {
            h1 { "Revoke" }
            p.lead { (sentence(&tried.sentence())) ". Verifiers that follow the store refuse it within a second." }
            dl.facts {
                @if let Some(jti) = &asked.jti { dt { "token" } dd { code { (shown(jti)) } } }
                @if let Some(service) = &asked.service { dt { "service" } dd { (shown(service)) } }
                dt { "issuer" } dd { (shown(issuer)) }
                @if let Some(before) = asked.before {
                    dt { "issued up to" } dd { (members::instant(Timestamp::from_unix(before))) }
                }
                dt { "valid tokens" } dd { (tried.counted.valid) " of " (tried.counted.tokens)
                    @if !tried.counted.complete { ", and probably more" } }
                dt { "recorded as" } dd { (shown(&view.who.name)) }
            }
            form.confirm method="post" action="/revoke" {
                input type="hidden" name="csrf" value=(csrf);
                @for (name, value) in [("jti", &asked.jti), ("service", &asked.service), ("issuer", &asked.issuer)] {
                    @if let Some(value) = value { input type="hidden" name=(name) value=(value); }
                }
                @if let Some(before) = asked.before { input type="hidden" name="before" value=(before); }
                label for="reason" { "Reason, for those who read the list of revocations later" }
                input #reason name="reason" required maxlength=(MAX_REASON) autocomplete="off";
                p { button.danger { "Revoke" } " " a.button href=(asked.back(None)) { "Cancel" } }
            }
        }
    })
}

async fn revoke(
    State(app): State<Arc<App>>,
    view: View,
    headers: HeaderMap,
    form: Result<Form<Confirmed>, FormRejection>,
) -> Response {
    let (Some(revoker), Some(registry)) = (&app.revoker, &app.registry) else { return disabled(&app, &view) };
    let Ok(Form(Confirmed { jti, service, issuer, before, reason, csrf })) = form else {
        return forged(&app, &view);
    };
    let asked = Asked { jti, service, issuer, before };
    if is_of_another_site(&headers) || !revoker.is_own_form(&view.who, &asked, &csrf) {
        return forged(&app, &view);
    }
    let Some((target, issuer)) = asked.target().zip(asked.issuer(registry)) else {
        return forged(&app, &view);
    };
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON {
        let problem = Problem::usage(format!("the reason has to have 1 to {MAX_REASON} characters"));
        return refused(&app, &view, &problem.and("nothing was revoked"));
    }
    let by = By::person(&view.who.name);
    let options =
        RevokeOptions::of(&revoker.store, &target, issuer, by, DryRun { dry_run: false }).because(reason);
    match options.apply(&registry.url, registry.config.as_ref(), issuer).await {
        Ok(made) => {
            registry.refresh_soon();
            if view.is_json {
                return respond(&app, &view, "Revoked", &made.json(), || html! {});
            }
            Redirect::to(&asked.back(made.number)).into_response()
        }
        Err(problem) => refused(&app, &view, &problem),
    }
}

/// A second check beside the token of the form: browsers tell from which site a form comes.
fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers
        .get("sec-fetch-site")
        .is_some_and(|site| !["same-origin", "none"].contains(&site.to_str().unwrap_or("")))
}

fn forged(app: &App, view: &View) -> Response {
    let reason =
        "The form is not one of this dashboard, or the dashboard was started again. Nothing was revoked.";
    let data = json!({ "error": { "code": "forged_form", "reason": reason } });
    respond_with(StatusCode::FORBIDDEN, app, view, "Not revoked", &data, || {
        html! { h1 { "Not revoked" } p { (reason) } p { a href="/tokens" { "To the tokens" } } }
    })
}

fn disabled(app: &App, view: &View) -> Response {
    let reason = "This dashboard only reads. Start it with `--allow-revoke` and a store to revoke here.";
    let data = json!({ "error": { "code": "read_only", "reason": reason } });
    respond_with(StatusCode::FORBIDDEN, app, view, "Not revoked", &data, || {
        html! { h1 { "Not revoked" } p { (reason.replace('`', "")) } (html::same("service-token revoke JTI --reason TEXT")) }
    })
}

fn refused(app: &App, view: &View, problem: &Problem) -> Response {
    let status = match problem.code().exit() {
        Exit::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Exit::NotFound => StatusCode::NOT_FOUND,
        _ => StatusCode::CONFLICT,
    };
    let data = json!({ "error": { "code": problem.code().as_str(), "reason": problem.reason() } });
    respond_with(status, app, view, "Not revoked", &data, || {
        html! {
            h1 { "Not revoked" }
            p.banner.bad role="alert" { (long(problem.reason())) }
            @if let Some(remedy) = problem.remedy() { p { (long(remedy)) } }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(jti: &str) -> Asked {
        Asked { jti: Some(jti.to_owned()), service: None, issuer: Some("auth".to_owned()), before: None }
    }

    fn who(name: &str) -> Who {
        Who { name: name.to_owned(), how: "" }
    }

    fn revoker() -> Revoker {
        use clap::Parser;
        #[derive(Parser)]
        struct Command {
            #[command(flatten)]
            store: StoreAndConfig,
        }
        Revoker::new(Command::parse_from(["test"]).store).unwrap()
    }

    #[test]
    fn token_of_a_form_is_for_one_person_one_target_and_one_run() {
        let revoker_ = revoker();
        let token = revoker_.form_token(&who("ann"), &asked("j1"));
        assert!(revoker_.is_own_form(&who("ann"), &asked("j1"), &token));
        assert!(!revoker_.is_own_form(&who("bob"), &asked("j1"), &token));
        assert!(!revoker_.is_own_form(&who("ann"), &asked("j2"), &token));
        assert!(!revoker().is_own_form(&who("ann"), &asked("j1"), &token));
        for forged in ["", "AA", &token[1..], "not base64!"] {
            assert!(!revoker_.is_own_form(&who("ann"), &asked("j1"), forged), "{forged}");
        }
        let service = Asked { jti: None, service: Some("j1".to_owned()), ..asked("") };
        assert!(!revoker_.is_own_form(&who("ann"), &service, &token));
    }
}
