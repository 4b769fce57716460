//! Which caller calls which program: a matrix of callers and programs, and the pairs with their counts. The report is `usage`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;
use service_only_evidence::survey::PairUsage;

use super::super::charts;
use super::super::html::{self, brief, card, compact, figure, micros, number, rows, shown, table};
use super::super::{App, View};
use super::{files, respond};

/// How many callers and programs a matrix has at most: those with the most calls.
const MAX_SIDE: usize = 30;

/// A cell has a frame if more than one of so many calls was refused.
const MANY: u64 = 20;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    caller: String,
    #[serde(default)]
    program: String,
}

pub(super) async fn page(
    State(app): State<Arc<App>>,
    view: View,
    Query(Asked { caller, program }): Query<Asked>,
) -> Response {
    let snapshot = app.log.snapshot();
    let is_wanted = |pair: &&PairUsage| {
        (caller.is_empty() || pair.service == caller)
            && (program.is_empty() || program_of(&pair.endpoint) == program)
    };
    let pairs: Vec<&PairUsage> = snapshot.usage.iter().filter(is_wanted).collect();
    let data = json!({ "read": snapshot.read, "omitted": snapshot.omitted, "usage": pairs });
    let is_filtered = !(caller.is_empty() && program.is_empty());
    respond(&app, &view, "Calls", &data, || {
        html! {
            h1 { "Who calls whom" }
            @if is_filtered {
                p { "Only calls "
                    @if !caller.is_empty() { "of " strong { (shown(&caller)) } " " }
                    @if !program.is_empty() { "to " strong { (shown(&program)) } " " }
                    a href="/calls" { "Show all" } }
            } @else {
                (card("Callers and programs", matrix(&snapshot.usage)))
            }
            (card("Calls by caller and endpoint", list(&pairs)))
            (html::same(&format!("service-token usage {}", files(&app))))
        }
    })
}

/// The program of a handler: the first part of its path.
fn program_of(endpoint: &str) -> &str {
    endpoint.split("::").next().unwrap_or(endpoint)
}

/// The calls of a caller to a program.
#[derive(Clone, Copy, Default)]
struct Cell {
    allowed: u64,
    refused: u64,
}

fn matrix(usage: &[PairUsage]) -> Markup {
    let mut cells: BTreeMap<(&str, &str), Cell> = BTreeMap::new();
    for pair in usage {
        let cell = cells.entry((&pair.service, program_of(&pair.endpoint))).or_default();
        cell.allowed += pair.calls.allowed;
        cell.refused += pair.calls.refused;
    }
    if cells.is_empty() {
        return html! { p.nothing { "No calls yet." } };
    }
    let callers = busiest(cells.iter().map(|((caller, _), cell)| (*caller, *cell)));
    let programs = busiest(cells.iter().map(|((_, program), cell)| (*program, *cell)));
    let most = cells.values().map(|cell| cell.allowed).max().unwrap_or_default();
    let (all_callers, all_programs): (BTreeSet<_>, BTreeSet<_>) = cells.keys().copied().unzip();
    let row = |caller: &&str| {
        html! { tr {
            th scope="row" { (html::service(caller)) }
            @for program in &programs {
                @match cells.get(&(*caller, *program)) {
                    Some(cell) => (cell_of(caller, program, *cell, most)),
                    None => td.none {},
                }
            }
        } }
    };
    let rows = rows(24_000, callers.iter().map(row));
    let left = all_callers.len() - callers.len() + rows.left + all_programs.len() - programs.len();
    html! {
        div.scroll role="region" aria-label="Callers and programs" tabindex="0" {
            table.matrix {
                thead { tr {
                    td { span.hidden { "caller" } }
                    @for program in &programs {
                        th scope="col" { span { (brief(program)) } }
                    }
                } }
                tbody { (rows.markup) }
            }
        }
        p.legend { "A row is a caller, and a column is a called program. A stronger colour means more admitted calls. ✕ counts refusals. A cell with a frame has more than 5 % refusals." }
        @if left > 0 { p.note { (left) " callers and programs with fewer calls are not in the matrix." } }
    }
}

/// A link to the calls of the cell. The headings of its row and column name it.
fn cell_of(caller: &str, program: &str, cell: Cell, most: u64) -> Markup {
    let Cell { allowed, refused } = cell;
    let heat = heat(allowed, most);
    let is_remarkable = refused.saturating_mul(MANY) > allowed.saturating_add(refused);
    let class = if is_remarkable { format!("h{heat} refused") } else { format!("h{heat}") };
    html! { td class=(class) {
        a href=(html::url("/calls", &[("caller", caller), ("program", program)])) {
            (compact(allowed))
            @if refused > 0 { small { "✕" (compact(refused)) } }
        }
    } }
}

/// From 0 for no call to 5 for the most, by powers.
fn heat(allowed: u64, most: u64) -> u32 {
    match (allowed, most) {
        (0, _) => 0,
        (_, 0..=1) => 5,
        (allowed, most) => 1 + (allowed.ilog2() * 4) / most.ilog2().max(1),
    }
}

/// The names with the most calls, sorted by name.
fn busiest<'n>(cells: impl Iterator<Item = (&'n str, Cell)>) -> Vec<&'n str> {
    let mut calls: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, Cell { allowed, refused }) in cells {
        *calls.entry(name).or_default() += allowed + refused;
    }
    let mut names: Vec<_> = calls.into_iter().collect();
    names.sort_by(|one, other| (other.1, one.0).cmp(&(one.1, other.0)));
    names.truncate(MAX_SIDE);
    let mut names: Vec<_> = names.into_iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

/// The columns of [`row`].
const COLUMNS: [&str; 8] =
    ["caller", "endpoint", "#admitted", "#refused", "last (UTC)", "#p50", "#p99", "durations"];

fn row(pair: &&PairUsage) -> Markup {
    let calls = &pair.calls;
    html! { tr {
        td { (html::service(&pair.service)) }
        td.wide { (html::endpoint(&pair.endpoint)) }
        td.number { (number(calls.allowed)) }
        td.number { (number(calls.refused)) }
        td { (html::time(&calls.last)) }
        td.number { (micros(calls.p50_us)) }
        td.number { (micros(calls.p99_us)) }
        td { (charts::durations(calls.durations)) }
    } }
}

/// How many calls of these pairs were admitted and refused.
pub(super) fn figures(pairs: &[&PairUsage]) -> Markup {
    let allowed: u64 = pairs.iter().map(|pair| pair.calls.allowed).sum();
    let refused: u64 = pairs.iter().map(|pair| pair.calls.refused).sum();
    html! {
        (figure("Admitted", compact(allowed), "calls"))
        (figure("Refused", compact(refused), "calls"))
    }
}

/// Pairs with their counts, those with the most calls first, as many as there is room for.
pub(super) fn list(pairs: &[&PairUsage]) -> Markup {
    let mut pairs = pairs.to_vec();
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.calls.allowed.saturating_add(pair.calls.refused)));
    table("Calls by caller and endpoint", &COLUMNS, &rows(12_000, pairs.iter().map(row)), "No calls.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_grows_with_powers_from_one_to_five() {
        assert_eq!([0, 1, 10, 100, 1_000, 10_000].map(|calls| heat(calls, 10_000)), [0, 1, 1, 2, 3, 5]);
        assert_eq!(heat(1, 1), 5);
    }

    #[test]
    fn busiest_names_are_kept_and_sorted_by_name() {
        let names: Vec<String> = (0..MAX_SIDE + 5).map(|number| format!("s{number:02}")).collect();
        let cells = names
            .iter()
            .enumerate()
            .map(|(number, name)| (name.as_str(), Cell { allowed: number as u64, refused: 0 }));
        let kept = busiest(cells);
        assert_eq!(kept.len(), MAX_SIDE);
        assert_eq!((kept[0], kept[MAX_SIDE - 1]), ("s05", "s34"));
    }
}
