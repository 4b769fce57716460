//! Texts of strangers, names with links, numbers and instants.
//!
//! Templates escape every text. [`shown`] also spells out characters that are invisible or change the reading direction,
//! and shortens the text.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use service_only::clock::Timestamp;
use service_only_evidence::survey::UNAUTHENTICATED;

use crate::escape;
use crate::members;
use crate::output;

/// The longest text that is shown, in characters.
const MAX_SHOWN: usize = 96;

/// The longest name that has a page, in bytes. Longer ones come from damaged or hostile files.
const MAX_LINKED: usize = 300;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text that a stranger may have written, for a page.
pub(in crate::commands::dashboard::site) fn shown(text: &str) -> String {
    cut(text, MAX_SHOWN)
}

/// A longer text, such as a reason.
pub(in crate::commands::dashboard::site) fn long(text: &str) -> String {
    cut(text, 4 * MAX_SHOWN)
}

/// A shorter text, such as the heading of a narrow column.
pub(in crate::commands::dashboard::site) fn brief(text: &str) -> String {
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
pub(in crate::commands::dashboard::site) fn prose(text: &str) -> Markup {
    let text = long(text);
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

/// The same with a capital at its start. A name keeps its letters.
pub(in crate::commands::dashboard::site) fn sentence(text: &str) -> Markup {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    prose(&(first + characters.as_str()))
}

/// A path with a query.
pub(in crate::commands::dashboard::site) fn url(path: &str, query: &[(&str, &str)]) -> String {
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

pub(in crate::commands::dashboard::site) fn service(name: &str) -> Markup {
    match name {
        UNAUTHENTICATED => html! { span.faint { "not authenticated" } },
        name => linked(name, "/service", &[("name", name)]),
    }
}

/// A path of a handler may break after each part.
pub(in crate::commands::dashboard::site) fn endpoint(name: &str) -> Markup {
    linked(name, "/endpoint", &[("name", name)])
}

pub(in crate::commands::dashboard::site) fn token(issuer: &str, jti: &str) -> Markup {
    html! { code { (linked(jti, "/token", &[("issuer", issuer), ("jti", jti)])) } }
}

/// The beginning of the id, for a table with several columns.
pub(in crate::commands::dashboard::site) fn short_token(issuer: &str, jti: &str) -> Markup {
    html! { code { (linked(&short_id(jti), "/token", &[("issuer", issuer), ("jti", jti)])) } }
}

/// The beginning of an id: enough to tell ids apart, and to find one.
pub(in crate::commands::dashboard::site) fn short_id(id: &str) -> String {
    cut(id, 13)
}

/// An instant, relative to now, with the instant itself.
pub(in crate::commands::dashboard::site) fn instant(at: Timestamp, now: Timestamp) -> Markup {
    let exact = members::instant(at);
    html! { time datetime=(exact) title=(exact) { (output::relative(at, now)) } }
}

/// An instant of a report, which is text.
pub(in crate::commands::dashboard::site) fn time(text: &str) -> Markup {
    let text = shown(text);
    let seconds = text.split('.').next().unwrap_or_default().trim_end_matches('Z');
    html! { time datetime=(text) { (seconds.replacen('T', " ", 1)) } }
}

/// A number with thin spaces between thousands.
pub(in crate::commands::dashboard::site) fn number(number: impl TryInto<u64>) -> String {
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
pub(in crate::commands::dashboard::site) fn compact(number: u64) -> String {
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

pub(in crate::commands::dashboard::site) fn micros(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => format!("{} s", micros / 1_000_000),
    }
}

/// The state of something, as a word with a colour. The word alone tells the state.
pub(in crate::commands::dashboard::site) fn badge(kind: Kind, text: &str) -> Markup {
    html! { span class={ "badge " (kind.as_str()) } { (shown(text)) } }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(in crate::commands::dashboard::site) enum Kind {
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
    pub(in crate::commands::dashboard::site) fn of_state(state: &str) -> Self {
        match state {
            "active" => Self::Good,
            "prepared" | "retiring" => Self::Warning,
            "revoked" => Self::Bad,
            _ => Self::Plain,
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
}
