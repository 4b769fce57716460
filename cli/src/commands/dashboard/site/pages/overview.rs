//! The first page: decisions over time, refusals by code, what expires, and whether the logs are intact.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};
use service_only::keys::KeyState;
use service_only_evidence::tree::Verdict;

use super::super::charts;
use super::super::html::{self, Kind, badge, card, compact, figure, instant, number, rows, shown, table};
use super::super::integrity::Seal;
use super::super::log::{Entry, Range, Snapshot};
use super::super::registry::{SOON, State as Stored};
use super::super::{App, View};
use super::{files, recent, respond};
use crate::commands::audit::tree::verify::in_words;
use crate::store;

/// How many recent decisions are listed.
const RECENT: usize = 12;

/// How many tokens and keys that expire are listed.
const EXPIRING: usize = 7;

/// How many recent refusals are listed.
const REFUSED: usize = 8;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    range: String,
}

pub(super) async fn page(
    State(app): State<Arc<App>>,
    view: View,
    Query(Asked { range }): Query<Asked>,
) -> Response {
    let range = Range::of(&range).unwrap_or_default();
    let snapshot = app.log.snapshot();
    let stored = app.registry.as_ref().map(|registry| registry.state());
    let data = data(&app, &view, &snapshot, stored.as_ref(), range);
    respond(&app, &view, "Overview", &data, || body(&app, &view, &snapshot, stored.as_ref(), range))
}

fn data(app: &App, view: &View, snapshot: &Snapshot, stored: Option<&Stored>, range: Range) -> Value {
    let store = stored.map(|Stored { content, problem }| {
        json!({
            "problem": problem,
            "read_at": content.as_ref().map(|content| crate::members::instant(content.at)),
            "active_tokens": content.as_ref().map(|content| content.active),
            "expiring_within_s": SOON.as_secs(),
            "expiring": content.as_ref().map(|content| {
                content.expiring.iter().map(|listed| store::json(listed, view.now)).collect::<Vec<_>>()
            }),
            "keys": content.as_ref().map(|content| {
                content.keys.iter().map(|key| key.json(view.now)).collect::<Vec<_>>()
            }),
        })
    });
    json!({
        "read": snapshot.read, "complete": snapshot.is_complete, "omitted": snapshot.omitted,
        "range": range.as_str(), "decisions": snapshot.decisions_of(range), "refusals": snapshot.refusals,
        "findings": snapshot.anomalies.as_ref().map_or(0, |found| found.findings.len())
            + snapshot.unused.as_ref().map_or(0, |found| found.findings.len()),
        "integrity": app.integrity.json(), "store": store,
        "recent": recent(snapshot, RECENT, |_| true), "refused": refused(snapshot), "trouble": snapshot.trouble,
    })
}

fn body(app: &App, view: &View, snapshot: &Snapshot, stored: Option<&Stored>, range: Range) -> Markup {
    html! {
        h1 { "Overview" }
        (figures(app, snapshot, stored, range))
        section.card {
            div.heading {
                h2 { "Decisions over time" }
                ul.ranges aria-label="Time" {
                    @for one in Range::ALL {
                        li { a href=(html::url("/", &[("range", one.as_str())]))
                            aria-current=[(one == range).then_some("true")] { (one.as_str()) } }
                    }
                }
            }
            (charts::decisions(snapshot.decisions_of(range), &summary(snapshot, range)))
        }
        div.columns {
            (card("Refusals by code", refusals(snapshot)))
            (card("Expiring tokens and keys", expiring(view, stored)))
        }
        (card("Latest decisions", html::decisions("Latest decisions", &recent(snapshot, RECENT, |_| true), 7_000, &[])))
        (card("Latest refusals", html::refusals("Latest refusals", &refused(snapshot), 5_000)))
        (card("Logs", logs(app, view, snapshot)))
        (html::same(&format!("service-token usage --by code {}", files(app))))
    }
}

fn refused(snapshot: &Snapshot) -> Vec<&Entry> {
    snapshot.refused.iter().take(REFUSED).map(AsRef::as_ref).collect()
}

/// The sums of a range.
fn sums(snapshot: &Snapshot, range: Range) -> (u64, u64) {
    let spans = snapshot.decisions_of(range).iter();
    spans.fold((0, 0), |(allowed, refused), span| (allowed + span.allowed, refused + span.refused))
}

fn summary(snapshot: &Snapshot, range: Range) -> String {
    let (allowed, refused) = sums(snapshot, range);
    format!("Decisions of {}: {allowed} admitted, {refused} refused", range.as_str())
}

fn figures(app: &App, snapshot: &Snapshot, stored: Option<&Stored>, range: Range) -> Markup {
    let (allowed, refused) = sums(snapshot, range);
    let all = allowed + refused;
    let anomalies = snapshot.anomalies.as_ref().map_or(0, |found| found.findings.len());
    let unused = snapshot.unused.as_ref().map_or(0, |found| found.findings.len());
    html! {
        dl.figures {
            (figure("Admitted", compact(allowed), format!("in {}", range.as_str())))
            (figure("Refused", compact(refused), match all {
                0 => "no decision".to_owned(),
                all => format!("{:.1} % of {}", refused as f64 * 100.0 / all as f64, compact(all)),
            }))
            (figure("Findings", html! { a href="/findings" { (anomalies + unused) } },
                format!("{anomalies} unusual, {unused} unused")))
            @if let Some(Stored { content, .. }) = stored {
                @match content {
                    Some(content) => (figure("Valid tokens", html! { a href="/tokens" { (compact(content.active as u64)) } },
                        format!("{} expire within 30 d", content.expiring.len()))),
                    None => (figure("Valid tokens", "?", "the store was not read")),
                }
            }
            (figure("Log integrity", integrity(app), ""))
        }
    }
}

/// The worst verdict of the logs.
fn integrity(app: &App) -> Markup {
    let rank = |seal: &Seal| match seal {
        Seal::Verified { verdict: Verdict::Tampered(_), .. } => 0,
        Seal::Verified { verdict: Verdict::Undecided(_), .. } => 1,
        Seal::Reading => 2,
        Seal::None => 3,
        Seal::Verified { verdict: Verdict::Intact(_), .. } => 4,
    };
    match app.integrity.logs().iter().map(|(_, seal)| seal).min_by_key(|seal| rank(seal)) {
        Some(seal) => seal_badge(seal),
        None => html! {},
    }
}

fn seal_badge(seal: &Seal) -> Markup {
    match seal {
        Seal::None => badge(Kind::Plain, "not sealed"),
        Seal::Reading => badge(Kind::Plain, "verifying"),
        Seal::Verified { verdict, .. } => {
            let kind = match verdict {
                Verdict::Intact(_) => Kind::Good,
                Verdict::Tampered(_) => Kind::Bad,
                Verdict::Undecided(_) => Kind::Warning,
            };
            badge(kind, in_words(verdict).0)
        }
    }
}

fn refusals(snapshot: &Snapshot) -> Markup {
    let most = snapshot.refusals.first().map_or(0, |code| code.refused);
    let row = |code: &service_only_evidence::survey::CodeUsage| {
        html! { tr {
            td { code { (shown(&code.code)) } }
            td.bar { (charts::share(code.refused, most, "deny")) }
            td.number { (number(code.refused)) }
            td.number { (number(code.callers as u64)) }
            td { (html::time(&code.last)) }
        } }
    };
    let rows = rows(4_000, snapshot.refusals.iter().map(row));
    table(
        "Refusals by code",
        &["code", "", "#refused", "#callers", "last (UTC)"],
        &rows,
        "No call was refused.",
    )
}

fn expiring(view: &View, stored: Option<&Stored>) -> Markup {
    let Some(Stored { content, .. }) = stored else {
        return html! { p.nothing { "No store is named. Start with " code { "--store URL" } " to see tokens and keys." } };
    };
    let Some(content) = content else {
        return html! { p.nothing { "The store was not read yet." } };
    };
    let keys = content.keys.iter().filter(|listed| listed.key.state == KeyState::Active);
    let key_rows = keys.map(|listed| {
        html! { tr {
            td { "key" }
            td { code { a href="/rotation" { (html::short_id(&listed.key.kid)) } } }
            td { (shown(&listed.key.issuer)) }
            td { @match listed.ends { Some(ends) => (instant(ends, view.now)), None => "no planned end" } }
        } }
    });
    let token_rows = content.expiring.iter().map(|listed| {
        let token = &listed.token;
        html! { tr {
            td { "token" }
            td { (html::short_token(&token.issuer, &token.jti)) }
            td { (html::service(&token.service)) }
            td { (instant(token.expires_at, view.now)) }
        } }
    });
    let all = key_rows.clone().count() + content.expiring.len();
    let mut rows = rows(4_500, key_rows.chain(token_rows).take(EXPIRING));
    rows.left += all.saturating_sub(EXPIRING);
    table(
        "Expiring tokens and keys",
        &["kind", "id", "of", "ends"],
        &rows,
        "No token expires within 30 days.",
    )
}

fn logs(app: &App, view: &View, snapshot: &Snapshot) -> Markup {
    let row = |(path, seal): (std::path::PathBuf, Seal)| {
        let (text, at) = match &seal {
            Seal::None => ("no tree beside it reveals changes".to_owned(), None),
            Seal::Reading => ("the first verification reads the log".to_owned(), None),
            Seal::Verified { verdict, stored, at } => {
                let mut text = in_words(verdict).1;
                if let Some(count) = stored {
                    text.push_str(&match count {
                        1 => "; 1 checkpoint of the store was compared".to_owned(),
                        count => format!("; {count} checkpoints of the store were compared"),
                    });
                }
                (text, Some(*at))
            }
        };
        html! { tr {
            td { code { (shown(&path.display().to_string())) } }
            td { (seal_badge(&seal)) }
            td.wide { (html::long(&text)) }
            td { @if let Some(at) = at { (instant(at, view.now)) } }
        } }
    };
    let logs = app.integrity.logs();
    let is_sealed = logs.iter().any(|(_, seal)| !matches!(seal, Seal::None));
    let is_alone = is_sealed && app.registry.is_none();
    let trouble = rows(2_000, snapshot.trouble.iter().map(|text| html! { li { (html::long(text)) } }));
    html! {
        (table("Logs", &["file", "integrity", "", "verified"], &rows(3_000, logs.into_iter().map(row)), ""))
        @if is_sealed && !app.integrity.has_key {
            p.note { "The key is the one beside the log, which a person who can write the log can replace. Pass "
                code { "--key" } "." }
        }
        @if is_alone {
            p.note { "No store is named, so nothing reveals a log that was set back together with its tree. Start with "
                code { "--store URL" } " to compare the checkpoints of the store." }
        }
        @if snapshot.omitted > 0 {
            p.note { (number(snapshot.omitted)) " records are not in every report, because there are too many different names." }
        }
        @if !snapshot.trouble.is_empty() {
            details { summary { (number(snapshot.trouble.len() as u64)) " lines have a problem" } ul { (trouble.markup) } }
        }
    }
}
