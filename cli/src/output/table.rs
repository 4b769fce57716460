//! The table of every command: plain columns that fit the terminal.
//!
//! An id and an instant have a long and a short form (`column`). A table that is too wide takes the short form of the
//! column that saves most, again and again, and then wraps texts (`layout`). If the words still do not fit, each row
//! becomes a record with one line per column. So nothing is cut: a short id is accepted by every command, and a short
//! instant is relative to now.

mod column;
mod layout;
mod tally;

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use service_only::clock::Timestamp;
use textwrap::{Options, WordSplitter};
use unicode_width::UnicodeWidthStr as _;

use self::column::Column;
use self::layout::{GAP, Grid, layout};
pub(crate) use self::tally::Tally;
use super::{Stream, room};
use crate::problem::Outcome;

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
    pub(crate) fn new(header: impl Into<Vec<&'static str>>) -> Self {
        Self { header: header.into(), rows: Vec::new(), has_header: true }
    }

    /// The same table, as the continuation of one with a header.
    pub(crate) fn without_header(mut self) -> Self {
        self.has_header = false;
        self
    }

    /// Adds a row, which has as many cells as the header.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        debug_assert_eq!(cells.len(), self.header.len());
        self.rows.push(cells);
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

#[cfg(test)]
mod tests;
