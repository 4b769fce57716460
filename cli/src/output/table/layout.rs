//! Which form of each column fits the terminal, and how wide it is.

use std::borrow::Cow;

use anstyle::Style;
use unicode_width::UnicodeWidthStr as _;

use super::column::Column;

/// The gap between two columns.
pub(super) const GAP: usize = 2;

/// The least width of a text that wraps.
const LEAST_TEXT: usize = 10;

/// The columns to show: place, form and width.
#[derive(Debug, Default)]
pub(super) struct Grid {
    pub(super) columns: Vec<(usize, usize, usize)>,
}

impl Grid {
    pub(super) fn of(columns: &[Column]) -> Self {
        let columns = columns.iter().enumerate();
        Self { columns: columns.map(|(place, column)| (place, 0, column.width(0))).collect() }
    }

    fn width(&self) -> usize {
        let words: usize = self.columns.iter().map(|(_, _, width)| width).sum();
        words + GAP * self.columns.len().saturating_sub(1)
    }

    /// One line of the terminal: that line of each cell, without white space at its end.
    pub(super) fn line(&self, cells: &[(Vec<Cow<'_, str>>, Style)], number: usize) -> String {
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

/// The grid that fits, or `None` if only records do.
pub(super) fn layout(columns: &[Column], room: Option<usize>) -> Option<Grid> {
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
