//! Compares the lines with the leaves of the tree. If one differs, its neighbours tell which kind of change it is.

use std::{
    collections::{BTreeSet, VecDeque},
    path::{Path, PathBuf},
};

use tlog_tiles::Hash;

use super::{
    Signed,
    change::{Change, Stop, Tampering},
    tiles::Placed,
};
use crate::{
    read::Record,
    tree::{
        edge::WIDTH,
        folder::Leaves,
        lines::{RawLine, RawLines},
    },
};

/// How far a line is looked for, to tell a removed line from a changed one.
const LOOK_AHEAD: usize = 4096;

/// The time that the records after the last checkpoint may span, in microseconds. A checkpoint is signed each second.
const UNSEALED_SPAN: i64 = 10_000_000;

/// What follows the sealed lines.
#[derive(Default)]
pub(super) struct Rest {
    lines: u64,
    /// The times of the first and the last record.
    span: Option<(i64, i64)>,
    place: Option<(PathBuf, u64)>,
    /// The leaves, as far as they are needed to compare them with tiles that are ahead.
    leaves: Vec<Hash>,
}

impl Rest {
    fn add(&mut self, line: &RawLine, file: &Path, number: u64) {
        self.lines += 1;
        self.place.get_or_insert_with(|| (file.to_owned(), number));
        if let Ok(record) = Record::parse(&line.bytes) {
            let at = record.micros();
            self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        }
        if self.leaves.len() < WIDTH {
            self.leaves.push(line.leaf());
        }
    }

    /// How many lines have no checkpoint yet, if they are those of a process that runs or was killed.
    pub(super) fn unsealed(&self, signed: &Signed<'_>) -> Result<u64, Stop> {
        let Signed { folder, last, .. } = signed;
        let Some((file, line)) = &self.place else { return Ok(0) };
        let tampered =
            |change, text| Err(Tampering::new(change, Some(last.size), text).at(file, *line).into());
        if last.closed {
            let text = format!("{} lines were added after the program had ended", self.lines);
            return tampered(Change::Added, text);
        }
        let is_long = self.span.is_some_and(|(first, last)| last - first > UNSEALED_SPAN);
        if !is_long {
            return Ok(self.lines);
        }
        // The tiles of the lines were written, so a checkpoint was signed for them soon after.
        let first = self.leaves.first().copied();
        let is_ahead = first.is_some() && Leaves::new(folder, last.size + 1).get(last.size) == first;
        if is_ahead {
            let text = format!(
                "the tiles have records after the checkpoint of {} records: the checkpoint was set back",
                last.size
            );
            return tampered(Change::RolledBack, text);
        }
        Err(Stop::Undecided(format!(
            "{} lines after the last checkpoint span more than 10 s, so the checkpoint is older than it should be. Either its \
             disk was full, or it was set back: pass a newer checkpoint with `--since`, or start the service, which adds the lines",
            self.lines
        )))
    }
}

/// How many lines were compared, from which one on, and what follows.
pub(super) struct Compared {
    pub(super) compared: u64,
    pub(super) from: u64,
    pub(super) rest: Rest,
}

/// Compares each line with its leaf. If `complete`, the files must begin with the first record.
pub(super) fn compare(signed: &Signed<'_>, placed: &[Placed], complete: bool) -> Result<Compared, Stop> {
    let Signed { folder, last, earlier } = signed;
    let starts: BTreeSet<u64> =
        earlier.iter().map(|checkpoint| checkpoint.file_start).chain([0, last.file_start]).collect();
    let mut leaves = Leaves::new(folder, last.size);
    let mut rest = Rest::default();
    let from = placed.first().map_or(0, |placed| placed.start).min(last.size);
    if let Some(first) = placed.first().filter(|_| from > 0 && (complete || !starts.contains(&from))) {
        let text = format!(
            "the first {from} records are missing: lines at the start of a file, or an old file, were removed"
        );
        return Err(Tampering::new(Change::Removed, Some(0), text).at(&first.file, 1).into());
    }
    let mut next = from;
    for (position, Placed { file, start }) in placed.iter().enumerate() {
        if *start > next && next < last.size {
            let text = format!(
                "the records {next} to {} are missing: the end of a file, or a file, was removed",
                start - 1
            );
            return Err(Tampering::new(Change::Removed, Some(next), text).at(file, 1).into());
        }
        let mut lines = RawLines::open(file)?;
        let mut number = 0;
        while let Some(line) = lines.next()? {
            number += 1;
            // A process is writing this line, or was killed while it did.
            if !line.is_ended && position + 1 == placed.len() {
                if next < last.size {
                    let text =
                        format!("line {number} is cut off, and the records from {next} on are missing");
                    return Err(Tampering::new(Change::Truncated, Some(next), text).at(file, number).into());
                }
                break;
            }
            if next >= last.size {
                rest.add(&line, file, number);
                continue;
            }
            let Some(expected) = leaves.get(next) else {
                return Err(Stop::Undecided(format!("the tile of record {next} vanished while it was read")));
            };
            if line.leaf() != expected {
                return Err(classify(signed, next, &line, &mut lines)?.at(file, number).into());
            }
            next += 1;
        }
    }
    if next < last.size {
        let text = format!(
            "the log ends with record {next}, and the checkpoint has {}: the end was cut off",
            last.size
        );
        let file = placed.last().map(|placed| placed.file.clone());
        return Err(Tampering { file, ..Tampering::new(Change::Truncated, Some(next), text) }.into());
    }
    Ok(Compared { compared: next - from, from, rest })
}

/// Which kind of change explains that a line is not the expected one.
fn classify(
    signed: &Signed<'_>,
    record: u64,
    line: &RawLine,
    following: &mut RawLines,
) -> Result<Tampering, Stop> {
    let Signed { folder, last, .. } = signed;
    let mut leaves = Leaves::new(folder, last.size);
    let expected = leaves.get(record);
    let found = line.leaf();
    let mut ahead = VecDeque::new();
    while ahead.len() < LOOK_AHEAD {
        let Some(line) = following.next()? else { break };
        ahead.push_back(line.leaf());
    }
    let expected_is_later = expected.is_some_and(|expected| ahead.contains(&expected));
    let from = record.saturating_sub(LOOK_AHEAD as u64);
    let until = last.size.min(record + LOOK_AHEAD as u64);
    let original = (from..until).find(|number| leaves.get(*number) == Some(found));
    let (change, text) = match (expected_is_later, original) {
        (true, Some(original)) if original > record => {
            (Change::Moved, format!("record {original} is in the place of record {record}: lines were moved"))
        }
        (true, Some(original)) => {
            (Change::Added, format!("a copy of record {original} was added before record {record}"))
        }
        (true, None) => (Change::Added, format!("a line was added before record {record}")),
        (false, Some(original)) if original > record => {
            (Change::Removed, format!("the records {record} to {} were removed", original - 1))
        }
        (false, Some(original)) => {
            (Change::Changed, format!("record {record} was replaced by a copy of record {original}"))
        }
        (false, None) => (Change::Changed, format!("record {record} was changed")),
    };
    Ok(Tampering::new(change, Some(record), text))
}
