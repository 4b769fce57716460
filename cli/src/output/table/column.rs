//! One column with its long and its short form. A short id is a unique beginning, which every command accepts.

use std::collections::BTreeSet;

use service_only::clock::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use super::Cell;
use crate::output::moment;
use crate::{escape, members};

/// The least length of a short id: 32 bits of a UUID.
const SHORT_ID: usize = 8;

/// A name up to this length is a word that its owner chose, and is not shortened.
const WHOLE_NAME: usize = 20;

/// One column, in each of its forms.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// The cells of each form, the longest form first.
    pub(super) forms: Vec<Vec<String>>,
    name_width: usize,
    pub(super) wraps: bool,
    pub(super) is_id: bool,
    pub(super) is_state: bool,
    pub(super) is_empty: bool,
}

impl Column {
    pub(super) fn new<'a>(
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

    pub(super) fn cell(&self, form: usize, row: usize) -> &str {
        self.forms.get(form).and_then(|cells| cells.get(row)).map_or("", String::as_str)
    }

    pub(super) fn width(&self, form: usize) -> usize {
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
