//! The table of every command: plain columns that fit the terminal.
//!
//! An id and an instant have a long and a short form. A table that is too wide takes the short form of the column that
//! saves most, again and again, and then wraps texts. If the words still do not fit, each row becomes a record with one
//! line per column. So nothing is cut: a short id is accepted by every command, and a short instant is relative to now.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use anstyle::{AnsiColor, Style};
use service_only::clock::Timestamp;
use textwrap::{Options, WordSplitter};
use unicode_width::UnicodeWidthStr as _;

use super::{Stream, moment, room};
use crate::problem::Outcome;
use crate::{escape, members};

/// The gap between two columns.
const GAP: usize = 2;

/// The least width of a text that wraps.
const LEAST_TEXT: usize = 10;

/// The least length of a short id: 32 bits of a UUID.
const SHORT_ID: usize = 8;

/// A name up to this length is a word that its owner chose, and is not shortened.
const WHOLE_NAME: usize = 20;

const HEADER: Style = Style::new().bold();

/// The content of one cell. It is escaped when it is written.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// A word or a name, which is never broken.
    Word(String),
    /// A text, which may wrap.
    Text(String),
    /// The id of a token or a key. A unique beginning of it names it too.
    Id(String),
    /// An instant, if there is one.
    Instant(Option<Timestamp>),
    /// The state of a token, a key, a revocation or a check, which has a colour.
    State(String),
}

impl Cell {
    pub(crate) fn word(text: impl Into<String>) -> Self {
        Self::Word(text.into())
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn id(text: impl Into<String>) -> Self {
        Self::Id(text.into())
    }

    pub(crate) fn state(text: impl Into<String>) -> Self {
        Self::State(text.into())
    }
}

/// The colour of a state, the same in all commands.
pub(crate) fn state_style(state: &str) -> Style {
    match state {
        "active" | "ok" | "fixed" | "allow" | "running" | "current" => AnsiColor::Green.on_default(),
        "prepared" | "undone" | "replaced" | "note" => AnsiColor::Cyan.on_default(),
        "retiring" | "warning" | "lagging" | "overdue" | "silent" | "due" => AnsiColor::Yellow.on_default(),
        "revoked" | "problem" | "error" | "failed" | "deny" | "wrong" => AnsiColor::Red.on_default(),
        "expired" | "retired" | "stopped" | "skipped" => Style::new().dimmed(),
        _ => Style::new(),
    }
}

/// Rows of cells under a header.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    has_header: bool,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&'static str; N]) -> Self {
        Self { header: header.to_vec(), rows: Vec::new(), has_header: true }
    }

    /// The same table, as the continuation of one with a header.
    pub(crate) fn without_header(mut self) -> Self {
        self.has_header = false;
        self
    }

    /// Adds a row, which has as many cells as the header.
    pub(crate) fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.header.len());
        self.rows.push(cells.into());
    }

    /// Writes the table as a result.
    pub(crate) fn print(&self, now: Timestamp) -> Outcome<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        super::coloured(&self.render(room::columns(Stream::Result), now))
    }

    /// Writes the table on standard error.
    pub(crate) fn print_aside(&self, now: Timestamp) {
        if !self.rows.is_empty() {
            super::styled(&self.render(room::columns(Stream::Aside), now));
        }
    }

    /// Whether the table that [`print`](Self::print) writes has short ids.
    pub(crate) fn shortens_ids(&self, now: Timestamp) -> bool {
        let columns = self.columns(now);
        let Some(grid) = layout(&columns, room::columns(Stream::Result)) else { return false };
        let is_id = |place: usize| columns.get(place).is_some_and(|column| column.is_id);
        grid.columns.iter().any(|(place, form, _)| *form > 0 && is_id(*place))
    }

    /// The table in `room` columns, with the program's colours.
    fn render(&self, room: Option<usize>, now: Timestamp) -> String {
        let columns = self.columns(now);
        match layout(&columns, room) {
            Some(grid) => self.grid(&columns, &grid),
            None => records(&columns, self.rows.len(), room),
        }
    }

    fn columns(&self, now: Timestamp) -> Vec<Column> {
        let columns = self.header.iter().enumerate();
        columns
            .map(|(place, name)| {
                Column::new(name, self.has_header, self.rows.iter().filter_map(|row| row.get(place)), now)
            })
            .collect()
    }

    fn grid(&self, columns: &[Column], grid: &Grid) -> String {
        let mut lines = Vec::new();
        if self.has_header {
            let names = grid.columns.iter().filter_map(|(place, _, _)| columns.get(*place));
            let cells = names.map(|column| (vec![column.name.into()], HEADER));
            lines.push(grid.line(&cells.collect::<Vec<_>>(), 0));
        }
        for row in 0..self.rows.len() {
            let mut cells: Vec<(Vec<Cow<'_, str>>, Style)> = Vec::new();
            for (place, form, width) in &grid.columns {
                let Some(column) = columns.get(*place) else { continue };
                let content = column.cell(*form, row);
                let style = if column.is_state { state_style(content) } else { Style::new() };
                cells.push((if column.wraps { wrap(content, *width) } else { vec![content.into()] }, style));
            }
            let height = cells.iter().map(|(lines, _)| lines.len()).max().unwrap_or_default();
            lines.extend((0..height).map(|number| grid.line(&cells, number)));
        }
        lines.join("\n")
    }
}

fn wrap(text: &str, width: usize) -> Vec<Cow<'_, str>> {
    textwrap::wrap(text, Options::new(width).word_splitter(WordSplitter::NoHyphenation))
}

/// The columns to show: place, form and width.
#[derive(Debug, Default)]
struct Grid {
    columns: Vec<(usize, usize, usize)>,
}

impl Grid {
    fn of(columns: &[Column]) -> Self {
        let columns = columns.iter().enumerate();
        Self { columns: columns.map(|(place, column)| (place, 0, column.width(0))).collect() }
    }

    fn width(&self) -> usize {
        let words: usize = self.columns.iter().map(|(_, _, width)| width).sum();
        words + GAP * self.columns.len().saturating_sub(1)
    }

    /// One line of the terminal: that line of each cell, without white space at its end.
    fn line(&self, cells: &[(Vec<Cow<'_, str>>, Style)], number: usize) -> String {
        let mut line = String::new();
        let mut gap = 0;
        for ((_, _, width), (lines, style)) in self.columns.iter().zip(cells) {
            let content = lines.get(number).map_or("", AsRef::as_ref);
            if !content.is_empty() {
                line.push_str(&" ".repeat(gap));
                line.push_str(&format!("{style}{content}{style:#}"));
                gap = 0;
            }
            gap += width.saturating_sub(content.width()) + GAP;
        }
        line
    }
}

/// One column, in each of its forms.
#[derive(Debug)]
struct Column {
    name: &'static str,
    /// The cells of each form, the longest form first.
    forms: Vec<Vec<String>>,
    name_width: usize,
    wraps: bool,
    is_id: bool,
    is_state: bool,
    is_empty: bool,
}

impl Column {
    fn new<'a>(
        name: &'static str,
        has_header: bool,
        cells: impl Iterator<Item = &'a Cell>,
        now: Timestamp,
    ) -> Self {
        let cells: Vec<_> = cells.collect();
        let is = |kind: fn(&Cell) -> bool| cells.iter().any(|cell| kind(cell));
        let is_id = is(|cell| matches!(cell, Cell::Id(_)));
        let ids = cells.iter().filter_map(|cell| match cell {
            Cell::Id(id) => Some(id.as_str()),
            _ => None,
        });
        let short = if is_id { short_length(&ids.collect()) } else { 0 };
        let has_instants = is(|cell| matches!(cell, Cell::Instant(Some(_))));
        let mut forms = vec![cells.iter().map(|cell| long(cell, now)).collect::<Vec<_>>()];
        if is_id || has_instants {
            forms.push(cells.iter().map(|cell| brief(cell, short, now)).collect());
        }
        let is_empty = forms.iter().flatten().all(String::is_empty);
        Self {
            name,
            forms,
            name_width: if has_header { name.width() } else { 0 },
            wraps: is(|cell| matches!(cell, Cell::Text(_))),
            is_id,
            is_state: is(|cell| matches!(cell, Cell::State(_))),
            is_empty,
        }
    }

    fn cell(&self, form: usize, row: usize) -> &str {
        self.forms.get(form).and_then(|cells| cells.get(row)).map_or("", String::as_str)
    }

    fn width(&self, form: usize) -> usize {
        let cells = self.forms.get(form).into_iter().flatten();
        cells.map(|cell| cell.width()).max().unwrap_or_default().max(self.name_width)
    }
}

fn long(cell: &Cell, now: Timestamp) -> String {
    match cell {
        Cell::Word(text) | Cell::Text(text) | Cell::Id(text) | Cell::State(text) => escape::one_line(text),
        Cell::Instant(Some(at)) => format!("{} ({})", members::instant(*at), moment::relative(*at, now)),
        Cell::Instant(None) => String::new(),
    }
}

fn brief(cell: &Cell, short: usize, now: Timestamp) -> String {
    match cell {
        Cell::Instant(Some(at)) => moment::relative(*at, now),
        Cell::Id(id) => escape::one_line(shortened(id, short)),
        cell => long(cell, now),
    }
}

/// A unique beginning of an id among others: that many characters, or all of a short name.
fn shortened(id: &str, length: usize) -> &str {
    if id.len() <= WHOLE_NAME {
        return id;
    }
    id.char_indices().nth(length).map_or(id, |(end, _)| id.get(..end).unwrap_or(id))
}

/// The least length of the beginnings at which they differ.
fn short_length(ids: &BTreeSet<&str>) -> usize {
    let common = |one: &str, other: &str| one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let pairs = ids.iter().zip(ids.iter().skip(1));
    let longest = pairs.map(|(one, other)| common(one, other)).max().unwrap_or_default();
    SHORT_ID.max(longest + 1)
}

/// The grid that fits, or `None` if only records do.
fn layout(columns: &[Column], room: Option<usize>) -> Option<Grid> {
    let mut grid = Grid::of(columns);
    let Some(room) = room else { return Some(grid) };
    let is_empty = |place: usize| columns.get(place).is_none_or(|column| column.is_empty);
    grid.columns.retain(|(place, _, _)| !is_empty(*place));
    while grid.width() > room {
        let shorter = |(place, form, width): &(usize, usize, usize)| {
            let column = columns.get(*place).filter(|column| form + 1 < column.forms.len())?;
            width.checked_sub(column.width(form + 1)).filter(|saved| *saved > 0)
        };
        let best = grid
            .columns
            .iter_mut()
            .rev()
            .max_by_key(|column| shorter(column))
            .filter(|column| shorter(column).is_some());
        let Some((place, form, width)) = best else { return wrapped(columns, grid, room) };
        *form += 1;
        *width = columns.get(*place).map_or(0, |column| column.width(*form));
    }
    Some(grid)
}

/// Shares what the words leave among the texts that wrap, in proportion to their lengths.
fn wrapped(columns: &[Column], mut grid: Grid, room: usize) -> Option<Grid> {
    let wraps = |place: usize| columns.get(place).is_some_and(|column| column.wraps);
    let least = |width: usize| width.min(LEAST_TEXT);
    let needed: usize = grid
        .columns
        .iter()
        .map(|(place, _, width)| if wraps(*place) { width - least(*width) } else { 0 })
        .sum();
    let mut extra = (room + needed).checked_sub(grid.width())?;
    let mut wanted = needed;
    for (_, _, width) in grid.columns.iter_mut().filter(|(place, _, _)| wraps(*place)) {
        let own = *width - least(*width);
        let share = (extra * own).checked_div(wanted).unwrap_or_default().min(own);
        (extra, wanted) = (extra - share, wanted - own);
        *width = least(*width) + share;
    }
    Some(grid)
}

/// One record per row: a line for each column that is not empty, and an empty line between the records.
fn records(columns: &[Column], rows: usize, room: Option<usize>) -> String {
    let label = columns.iter().map(|column| column.name.width()).max().unwrap_or_default();
    let room = room.unwrap_or(usize::MAX);
    let mut text = Vec::new();
    for row in 0..rows {
        let mut lines = Vec::new();
        for column in columns {
            let value = column.cell(0, row);
            let is_wide = label + GAP + value.width() > room;
            // A script that reads records can split a line at its first white space.
            let value =
                if is_wide && !column.wraps { column.cell(column.forms.len() - 1, row) } else { value };
            if value.is_empty() {
                continue;
            }
            let style = if column.is_state { state_style(value) } else { Style::new() };
            let pad = " ".repeat(label - column.name.width() + GAP);
            lines.push(format!("{HEADER}{}{HEADER:#}{pad}{style}{value}{style:#}", column.name));
        }
        text.push(lines.join("\n"));
    }
    text.join("\n\n")
}

/// Writes the members of one thing as a result: one line for each that is not empty.
pub(crate) fn record<const N: usize>(members: [(&'static str, Cell); N], now: Timestamp) -> Outcome<()> {
    let columns = members.iter().map(|(name, cell)| Column::new(name, true, std::iter::once(cell), now));
    super::coloured(&records(&columns.collect::<Vec<_>>(), 1, None))
}

/// The numbers of rows, in all and by state, for the line below a table.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    states: BTreeMap<String, u64>,
    shortened: bool,
}

impl Tally {
    pub(crate) fn add(&mut self, state: &str) {
        *self.states.entry(state.to_owned()).or_default() += 1;
    }

    /// Notes that a table had short ids.
    pub(crate) fn shortened(&mut self, shortened: bool) {
        self.shortened |= shortened;
    }

    /// Such as `3 tokens: 2 active, 1 expired`.
    pub(crate) fn words(&self, one: &str, several: &str) -> String {
        let all: u64 = self.states.values().sum();
        let noun = if all == 1 { one } else { several };
        let mut words = match self.states.len() {
            0 => format!("no {one}"),
            1 => {
                let state = self.states.keys().next().map_or("", String::as_str);
                format!("{all} {state} {noun}").replace("  ", " ")
            }
            _ => {
                let parts: Vec<_> =
                    self.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
                format!("{all} {noun}: {}", parts.join(", "))
            }
        };
        if self.shortened {
            words.push_str("; commands accept the short ids");
        }
        words
    }

    /// Writes the line on standard error for a person; a script does not need it.
    pub(crate) fn tell(&self, one: &str, several: &str) {
        if room::columns(Stream::Result).is_some() {
            super::faint(&self.words(one, several));
        }
    }
}

#[cfg(test)]
mod tests;
