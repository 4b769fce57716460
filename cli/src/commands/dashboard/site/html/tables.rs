//! Tables within a limit. A list ends when its page has no room left, so that no name makes a page large.

use maud::{Markup, PreEscaped, html};

use super::super::log::Entry;
use super::text::{Kind, badge, endpoint, number, sentence, service, shown, time, url};

/// Rows of a table that has no room for all.
pub(in crate::commands::dashboard::site) struct Rows {
    pub(in crate::commands::dashboard::site) markup: Markup,
    pub(in crate::commands::dashboard::site) left: usize,
}

/// As many rows as there is room for, in bytes.
pub(in crate::commands::dashboard::site) fn rows(
    room: usize,
    rows: impl IntoIterator<Item = Markup>,
) -> Rows {
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
pub(in crate::commands::dashboard::site) fn table(
    name: &str,
    columns: &[&str],
    rows: &Rows,
    nothing: &str,
) -> Markup {
    live_table(name, columns, rows, nothing, None)
}

/// A table whose body receives new decisions.
pub(in crate::commands::dashboard::site) fn live_table(
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

/// A list of refusals, with their reasons.
pub(in crate::commands::dashboard::site) fn refusals(name: &str, entries: &[&Entry], room: usize) -> Markup {
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
pub(in crate::commands::dashboard::site) fn decisions(
    name: &str,
    entries: &[&Entry],
    room: usize,
    filter: &[(&str, &str)],
) -> Markup {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_where_there_is_no_room() {
        let row = || html! { tr { td { "0123456789" } } };
        let length = row().0.len();
        let few = rows(3 * length, (0..10).map(|_| row()));
        assert_eq!((few.markup.0.len(), few.left), (3 * length, 7));
    }
}
