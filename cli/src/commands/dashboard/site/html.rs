//! What the pages share: the frame, links, tables within a limit, and texts of strangers.
//!
//! Templates escape every text. [`shown`] also spells out characters that are invisible or change the reading direction,
//! and shortens the text. A list ends when its page has no room left, so that no name makes a page large.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use service_only::clock::Timestamp;
use service_only_evidence::survey::UNAUTHENTICATED;

use super::log::Entry;
use super::{App, View};
use crate::escape;
use crate::members;
use crate::output;

/// The longest text that is shown, in characters.
const MAX_SHOWN: usize = 96;

/// The longest name that has a page, in bytes. Longer ones come from damaged or hostile files.
const MAX_LINKED: usize = 300;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) const NAVIGATION: [(&str, &str); 6] = [
    ("/", "Overview"),
    ("/calls", "Calls"),
    ("/tokens", "Tokens"),
    ("/findings", "Findings"),
    ("/rotation", "Keys"),
    ("/attacks", "Attacks"),
];

/// A text that a stranger may have written, for a page.
pub(super) fn shown(text: &str) -> String {
    cut(text, MAX_SHOWN)
}

/// A longer text, such as a reason.
pub(super) fn long(text: &str) -> String {
    cut(text, 4 * MAX_SHOWN)
}

/// A shorter text, such as the heading of a narrow column.
pub(super) fn brief(text: &str) -> String {
    cut(text, MAX_SHOWN / 4)
}

fn cut(text: &str, characters: usize) -> String {
    let text = escape::one_line(text);
    match text.char_indices().nth(characters) {
        None => text,
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// A text of a report, in which names are between backticks.
pub(super) fn prose(text: &str) -> Markup {
    let text = long(text);
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

/// The same with a capital at its start. A name keeps its letters.
pub(super) fn sentence(text: &str) -> Markup {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    prose(&(first + characters.as_str()))
}

/// A path with a query.
pub(super) fn url(path: &str, query: &[(&str, &str)]) -> String {
    let mut url = path.to_owned();
    for (number, (name, value)) in query.iter().enumerate() {
        url.push(if number == 0 { '?' } else { '&' });
        url.push_str(name);
        url.push('=');
        url.extend(utf8_percent_encode(value, UNRESERVED));
    }
    url
}

/// A name with a link to its page, if it is one that a service has written.
fn linked(name: &str, path: &str, query: &[(&str, &str)]) -> Markup {
    let is_linked = query.iter().all(|(_, value)| value.len() <= MAX_LINKED);
    html! {
        @if is_linked { a href=(url(path, query)) { (shown(name)) } } @else { (shown(name)) }
    }
}

pub(super) fn service(name: &str) -> Markup {
    match name {
        UNAUTHENTICATED => html! { span.faint { "not authenticated" } },
        name => linked(name, "/service", &[("name", name)]),
    }
}

/// A path of a handler may break after each part.
pub(super) fn endpoint(name: &str) -> Markup {
    linked(name, "/endpoint", &[("name", name)])
}

pub(super) fn token(issuer: &str, jti: &str) -> Markup {
    html! { code { (linked(jti, "/token", &[("issuer", issuer), ("jti", jti)])) } }
}

/// The beginning of the id, for a table with several columns.
pub(super) fn short_token(issuer: &str, jti: &str) -> Markup {
    html! { code { (linked(&short_id(jti), "/token", &[("issuer", issuer), ("jti", jti)])) } }
}

/// The beginning of an id: enough to tell ids apart, and to find one.
pub(super) fn short_id(id: &str) -> String {
    cut(id, 13)
}

/// An instant, relative to now, with the instant itself.
pub(super) fn instant(at: Timestamp, now: Timestamp) -> Markup {
    let exact = members::instant(at);
    html! { time datetime=(exact) title=(exact) { (output::relative(at, now)) } }
}

/// An instant of a report, which is text.
pub(super) fn time(text: &str) -> Markup {
    let text = shown(text);
    let seconds = text.split('.').next().unwrap_or_default().trim_end_matches('Z');
    html! { time datetime=(text) { (seconds.replacen('T', " ", 1)) } }
}

/// A number with thin spaces between thousands.
pub(super) fn number(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or_default().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A number in few characters: `12.3k`.
pub(super) fn compact(number: u64) -> String {
    let scaled = |by: u64, unit: &str| {
        let (whole, tenth) = (number / by, number % by * 10 / by);
        if whole < 10 && tenth > 0 { format!("{whole}.{tenth}{unit}") } else { format!("{whole}{unit}") }
    };
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => scaled(1_000, "k"),
        1_000_000..1_000_000_000 => scaled(1_000_000, "M"),
        _ => scaled(1_000_000_000, "G"),
    }
}

pub(super) fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{} s", micros / 1_000_000),
    }
}

/// The state of something, as a word with a colour. The word alone tells the state.
pub(super) fn badge(kind: Kind, text: &str) -> Markup {
    html! { span class={ "badge " (kind.as_str()) } { (shown(text)) } }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Good,
    Warning,
    Bad,
    Plain,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warning => "warn",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }

    /// That of a token's or a key's state.
    pub(super) fn of_state(state: &str) -> Self {
        match state {
            "active" => Self::Good,
            "prepared" | "retiring" => Self::Warning,
            "revoked" => Self::Bad,
            _ => Self::Plain,
        }
    }
}

/// Rows of a table that has no room for all.
pub(super) struct Rows {
    pub(super) markup: Markup,
    pub(super) left: usize,
}

/// As many rows as there is room for, in bytes.
pub(super) fn rows(room: usize, rows: impl IntoIterator<Item = Markup>) -> Rows {
    let (mut text, mut left) = (String::new(), 0);
    for row in rows {
        if left > 0 || text.len() + row.0.len() > room {
            left += 1;
        } else {
            text.push_str(&row.0);
        }
    }
    Rows { markup: PreEscaped(text), left }
}

impl Rows {
    fn is_empty(&self) -> bool {
        self.markup.0.is_empty() && self.left == 0
    }
}

/// A table that scrolls on a narrow screen. `nothing` is shown instead of an empty one.
pub(super) fn table(name: &str, columns: &[&str], rows: &Rows, nothing: &str) -> Markup {
    live_table(name, columns, rows, nothing, None)
}

/// A table whose body receives new decisions.
pub(super) fn live_table(
    name: &str,
    columns: &[&str],
    rows: &Rows,
    nothing: &str,
    live: Option<&str>,
) -> Markup {
    html! {
        @if rows.is_empty() && live.is_none() {
            p.nothing { (nothing) }
        } @else {
            div.scroll role="region" aria-label=(name) tabindex="0" {
                table {
                    thead { tr {
                        @for column in columns {
                            @match column.strip_prefix('#') {
                                Some(column) => th.number scope="col" { (column) },
                                None => th scope="col" { (column) },
                            }
                        }
                    } }
                    tbody data-live=[live] { (rows.markup) }
                }
            }
            @if rows.is_empty() { p.nothing { (nothing) } }
            @if rows.left > 0 { p.note { (number(rows.left as u64)) " more are not shown here." } }
        }
    }
}

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

/// A list of refusals, with their reasons.
pub(super) fn refusals(name: &str, entries: &[&Entry], room: usize) -> Markup {
    let row = |entry: &&Entry| {
        html! { tr {
            td { a href=(url("/decision", &[("id", &entry.id)])) { (time(&entry.time)) } }
            td { @if let Some(code) = &entry.code { code { (shown(code)) } } }
            td { (caller(entry)) }
            td { (endpoint(&entry.endpoint)) }
            td.wide { @if let Some(reason) = &entry.reason { (sentence(reason)) } }
        } }
    };
    let columns = ["time (UTC)", "code", "caller", "endpoint", "reason"];
    table(name, &columns, &rows(room, entries.iter().map(row)), "No call was refused.")
}

/// A list of decisions. `filter` is the query of the live stream.
pub(super) fn decisions(name: &str, entries: &[&Entry], room: usize, filter: &[(&str, &str)]) -> Markup {
    let row = |entry: &&Entry| {
        html! { tr {
            td { a href=(url("/decision", &[("id", &entry.id)])) { (time(&entry.time)) } }
            td { @if entry.is_allowed() { (badge(Kind::Good, "allow")) } @else { (badge(Kind::Bad, "deny")) } }
            td { (caller(entry)) }
            td.wide { (endpoint(&entry.endpoint)) }
            td { @if let Some(code) = &entry.code { code { (shown(code)) } } }
            td { (entry.address.as_deref().map(shown).unwrap_or_default()) }
        } }
    };
    let rows = rows(room, entries.iter().map(row));
    let columns = ["time (UTC)", "decision", "caller", "endpoint", "code", "address"];
    live_table(name, &columns, &rows, "No decisions yet.", Some(&url("/live", filter)))
}

fn caller(entry: &Entry) -> Markup {
    match &entry.service {
        Some(name) => service(name),
        None => html! { span.faint { (shown(&entry.caller)) } },
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0, 999, 1_000, 1_250, 12_300, 9_950_000, 2_000_000_000].map(compact);
        assert_eq!(texts, ["0", "999", "1k", "1.2k", "12k", "9.9M", "2G"]);
        assert_eq!(number(1_234_567_u64), "1\u{202f}234\u{202f}567");
        assert_eq!([7, 1_250, 2_000_000].map(micros), ["7 µs", "1.2 ms", "2 s"]);
    }

    #[test]
    fn texts_of_strangers_are_spelled_out_and_short() {
        assert_eq!(shown("a\u{202e}b\n"), "a\\u202eb\\u000a");
        assert_eq!(sentence("the service is `<b>`").0, "The service is <code>&lt;b&gt;</code>");
        assert_eq!(sentence("`orders` called").0, "<code>orders</code> called");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), MAX_SHOWN + 1);
        assert_eq!(service("<b>&\"").0, r#"<a href="/service?name=%3Cb%3E%26%22">&lt;b&gt;&amp;&quot;</a>"#);
        assert_eq!(service(&"x".repeat(MAX_LINKED + 1)).0.matches("<a").count(), 0);
    }

    #[test]
    fn rows_end_where_there_is_no_room() {
        let row = || html! { tr { td { "0123456789" } } };
        let length = row().0.len();
        let few = rows(3 * length, (0..10).map(|_| row()));
        assert_eq!((few.markup.0.len(), few.left), (3 * length, 7));
    }
}
