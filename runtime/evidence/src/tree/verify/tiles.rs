//! Compares the tiles with the signed checkpoints, and finds the place of each file in the tree.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use tlog_tiles::Tile;

use super::{
    Signed,
    change::{Change, Stop, Tampering, tampered},
};
use crate::tree::{
    edge::{Edge, HEIGHT},
    folder::Leaves,
    lines::RawLines,
};

/// How many lines at the start of a file are looked for in the tree, to find out where the file belongs.
const PROBES: usize = 16;

/// A file, and the number of its first line in the tree.
pub(super) struct Placed {
    pub(super) file: PathBuf,
    pub(super) start: u64,
}

/// Checks that the tiles have the roots of all checkpoints, and finds where each file belongs.
pub(super) fn compare(signed: &Signed<'_>, files: &[PathBuf]) -> Result<Vec<Placed>, Stop> {
    let Signed { folder, last, earlier } = signed;
    let mut probes: HashMap<[u8; 32], Vec<(usize, u64)>> = HashMap::new();
    for (number, file) in files.iter().enumerate() {
        let mut lines = RawLines::open(file)?;
        for offset in 0..PROBES {
            let Some(line) = lines.next()? else { break };
            // Blank lines, and lines that were cut off, may be equal and have no place of their own.
            if line.bytes.ends_with(b"}") {
                probes.entry(line.leaf().0).or_default().push((number, offset as u64));
            }
        }
    }
    let mut starts: Vec<Option<u64>> = vec![None; files.len()];
    let mut leaves = Leaves::new(folder, last.size);
    let mut edge = Edge::default();
    let mut earlier_roots = earlier.iter().peekable();
    while earlier_roots.next_if(|checkpoint| checkpoint.size == 0).is_some() {}
    for number in 0..last.size {
        let Some(leaf) = leaves.get(number) else {
            return damaged(signed, files, &format!("the tile of record {number} is missing"));
        };
        for (file, offset) in probes.get(&leaf.0).into_iter().flatten() {
            if let Some(found) = starts.get_mut(*file) {
                found.get_or_insert(number.saturating_sub(*offset));
            }
        }
        edge.push(leaf, |_, _| ());
        while let Some(checkpoint) = earlier_roots.next_if(|checkpoint| checkpoint.size == number + 1) {
            if edge.root().ok() != Some(checkpoint.root) {
                return damaged(signed, files, "the tiles do not have the root of an earlier checkpoint");
            }
        }
    }
    if edge.root().ok() != Some(last.root) {
        return damaged(signed, files, "the tiles do not have the root of the checkpoint");
    }
    let placed = files.iter().zip(starts);
    let mut placed: Vec<Placed> = placed
        // A file without a line of the tree begins after it, or belongs to another log.
        .map(|(file, start)| Placed { file: file.clone(), start: start.unwrap_or(last.size) })
        .collect();
    placed.sort_by_key(|placed| placed.start);
    Ok(placed)
}

/// The tiles are wrong. If the lines have the right root, only the tiles were changed; else both were rewritten.
fn damaged<T>(signed: &Signed<'_>, files: &[PathBuf], why: &str) -> Result<T, Stop> {
    let Signed { folder, last, earlier } = signed;
    let mut edge = Edge::default();
    let mut intact_until = 0;
    let mut first_bad_tile = None;
    // Whether the lines do not have the root of an earlier checkpoint.
    let mut differs = false;
    let mut earlier = earlier.iter().filter(|checkpoint| checkpoint.size > 0).peekable();
    let mut compare = |tile: Tile, bytes: &[u8]| {
        if first_bad_tile.is_none()
            && tile.level() == 0
            && folder.tile(tile).is_none_or(|stored| stored != bytes)
        {
            first_bad_tile = Some(tile.level_index() << HEIGHT);
        }
    };
    let mut place: Option<(&Path, u64)> = None;
    'files: for (number, file) in files.iter().enumerate() {
        let mut lines = RawLines::open(file)?;
        let mut line_number = 0;
        while let Some(line) = lines.next()? {
            if edge.size() == last.size || (!line.is_ended && number + 1 == files.len()) {
                break 'files;
            }
            line_number += 1;
            if edge.size() == intact_until {
                place = Some((file, line_number));
            }
            edge.push(line.leaf(), &mut compare);
            while let Some(checkpoint) = earlier.next_if(|checkpoint| checkpoint.size == edge.size()) {
                if !differs && edge.root().ok() == Some(checkpoint.root) {
                    intact_until = checkpoint.size;
                } else {
                    differs = true;
                }
            }
        }
    }
    if edge.size() == last.size && edge.root().ok() == Some(last.root) && !differs {
        let partial = edge.partial_tiles().find(|(tile, bytes)| {
            tile.level() == 0 && folder.tile(*tile).is_none_or(|stored| stored != *bytes)
        });
        let record = first_bad_tile.or(partial.map(|(tile, _)| tile.level_index() << HEIGHT));
        let text = format!(
            "{why}. The lines have the root of the checkpoint, so they are intact; the next start repairs the tiles of the \
             last file"
        );
        return tampered(Change::TilesChanged, record, text);
    }
    if edge.size() < last.size {
        let text = format!(
            "{why}, and the files have {} of {} records: the end was cut off, or old files were deleted",
            edge.size(),
            last.size
        );
        return tampered(Change::Truncated, Some(edge.size()), text);
    }
    let text = format!(
        "{why}, and the lines do not have it either: lines and tiles were rewritten. The records before {intact_until} are \
         intact"
    );
    let tampering = Tampering::new(Change::Rewritten, Some(intact_until), text);
    Err(match place {
        Some((file, line)) => tampering.at(file, line),
        None => tampering,
    }
    .into())
}
