//! What the pages share: the frame, cards, and in `text` and `tables` what is in them.

mod tables;
mod text;

use maud::{DOCTYPE, Markup, Render, html};

pub(super) use self::tables::{decisions, refusals, rows, table};
pub(super) use self::text::{
    Kind, badge, brief, compact, endpoint, instant, long, micros, number, prose, sentence, service, short_id,
    short_token, shown, time, token, url,
};
use super::{App, View};

pub(super) const NAVIGATION: [(&str, &str); 6] = [
    ("/", "Overview"),
    ("/calls", "Calls"),
    ("/tokens", "Tokens"),
    ("/findings", "Findings"),
    ("/rotation", "Keys"),
    ("/attacks", "Attacks"),
];

/// A card with a heading.
pub(super) fn card(heading: &str, body: impl Render) -> Markup {
    html! { section.card { h2 { (heading) } (body) } }
}

/// A figure with its name.
pub(super) fn figure(name: &str, value: impl Render, note: impl Render) -> Markup {
    html! { div.figure { dt { (name) } dd { strong { (value) } span.note { (note) } } } }
}

/// The command that prints the same report.
pub(super) fn same(command: &str) -> Markup {
    html! { p.same { "On the command line: " code { (shown(command)) } } }
}

/// A whole page.
pub(super) fn page(app: &App, view: &View, title: &str, body: &Markup) -> Markup {
    let snapshot = app.log.snapshot();
    let store = app.registry.as_ref().and_then(|registry| registry.state().problem);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · service-token" }
                link rel="icon" href="/static/icon.svg";
                link rel="stylesheet" href="/static/dashboard.css";
                script src="/static/live.js" defer {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.brand href="/" { span.mark aria-hidden="true" {} "service-token" }
                    nav aria-label="Pages" { ul {
                        @for (path, name) in NAVIGATION {
                            li { a href=(path) aria-current=[(view.path == path).then_some("page")] { (name) } }
                        }
                    } }
                    form.find role="search" action="/find" {
                        label.hidden for="find" { "Find a decision, token, service or endpoint" }
                        input #find name="q" type="search" placeholder="Id, token or name" maxlength="300";
                        button { "Find" }
                    }
                }
                main #main {
                    @if !snapshot.is_complete {
                        p.banner role="status" {
                            "The log is still being read: " (snapshot.percent) " %. The numbers grow until then."
                        }
                    }
                    @if let Some(problem) = &store {
                        p.banner.bad role="alert" {
                            strong { "The store cannot be read. " }
                            "Tokens and keys are as they were when it was last read. " (long(problem))
                        }
                    }
                    (body)
                }
                footer {
                    p {
                        (number(snapshot.records)) " records, as of " (instant(view.now, view.now)) ". "
                        span #live data-state="off" { "Reload for new records." }
                        " " a href=(view.json_url()) { "This page as JSON" }
                    }
                    p { "Signed in as " strong { (shown(&view.who.name)) } ", " (view.who.how) "." }
                }
            }
        }
    }
}
