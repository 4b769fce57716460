//! Compares the lines of a log with its tree, and names the first bad record and the kind of change.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use tlog_tiles::{Hash, Tile, record_hash};

use super::{
    checkpoint::{Checkpoint, CheckpointError},
    edge::{Edge, HEIGHT, WIDTH},
    folder::{Folder, Leaves},
    key::LogPublicKey,
    lines::{RawLine, RawLines, files_of},
};
use crate::read::Record;

/// How many lines at the start of a file are looked for in the tree, to find out where the file belongs.
const PROBES: usize = 16;

/// How far a line is looked for, to tell a removed line from a changed one.
const LOOK_AHEAD: usize = 4096;

/// How often a log is read that is rotated meanwhile.
const MAX_ATTEMPTS: usize = 5;

/// The time that the records after the last checkpoint may span, in microseconds. A checkpoint is signed each second.
const UNSEALED_SPAN: i64 = 10_000_000;

/// What is verified, and with which knowledge.
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct VerifyOptions {
    /// The public key of the log. Without it, the key in the tree's folder is used, which an attacker of the log can
    /// replace.
    pub key: Option<LogPublicKey>,
    /// Checkpoints from elsewhere. The log must still contain everything that they have.
    pub since: Vec<String>,
    /// The folder of the tree. The default is beside the log.
    pub folder: Option<PathBuf>,
    /// Whether the files must begin with the first record. Otherwise, deleted old files are only reported.
    pub complete: bool,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "these are the three answers")]
pub enum Verdict {
    /// Every line is the one that was written.
    Intact(Intact),
    /// The log, its tree or its checkpoints were changed.
    Tampered(Tampering),
    /// The files that are needed cannot be read, or they leave the question open.
    Undecided(String),
}

/// What an intact log contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Intact {
    /// The name of the log.
    pub origin: String,
    /// The number of lines in the tree.
    pub size: u64,
    /// The root of the tree, in base64.
    pub root: String,
    /// How many lines were compared.
    pub compared: u64,
    /// The number of the first compared line. Older files are not there.
    pub from: u64,
    /// How many lines were added after the last checkpoint. They are not covered.
    pub unsealed: u64,
    /// How many records were lost, because the queue or the disk was full.
    pub lost: u64,
    /// Whether the program ended after the last checkpoint.
    pub closed: bool,
    /// How many checkpoints were compared, with those of the history.
    pub checkpoints: usize,
}

/// How the log was changed.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// A line has other bytes.
    Changed,
    /// Lines are missing.
    Removed,
    /// A line was added.
    Added,
    /// Lines are in another order.
    Moved,
    /// The end is missing.
    Truncated,
    /// Lines and tiles agree with each other, and not with the signed checkpoint.
    Rewritten,
    /// The lines are intact, and tiles were changed or removed.
    TilesChanged,
    /// The checkpoint is older than one that was signed.
    RolledBack,
    /// The checkpoint was changed after it was signed.
    CheckpointForged,
    /// The checkpoint is that of another log.
    OtherLog,
}

impl Change {
    /// The change as reports print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Moved => "moved",
            Self::Truncated => "truncated",
            Self::Rewritten => "rewritten",
            Self::TilesChanged => "tiles_changed",
            Self::RolledBack => "rolled_back",
            Self::CheckpointForged => "checkpoint_forged",
            Self::OtherLog => "other_log",
        }
    }
}

/// The first bad record, and the kind of change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tampering {
    /// The kind of change.
    pub change: Change,
    /// The number of the first bad record in the tree, from 0, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// The file of the first bad record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The line of the first bad record, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The change in words.
    pub text: String,
}

impl fmt::Display for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some(line)) = (&self.file, self.line) {
            write!(f, "{}:{line}: ", file.display())?;
        }
        f.write_str(&self.text)
    }
}

/// Why a check ended early.
#[derive(Debug)]
pub(super) enum Stop {
    Tampered(Tampering),
    Undecided(String),
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Undecided(format!("the files cannot be read: {error}"))
    }
}

fn tampered<T>(change: Change, record: Option<u64>, text: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Tampered(Tampering { change, record, file: None, line: None, text: text.into() }))
}

/// Verifies a log with all its rotated files. A process may write it meanwhile.
pub fn verify(log: &Path, options: &VerifyOptions) -> Verdict {
    settled(|| files_of(log), |files| verified(log, files, options))
}

/// Repeats an attempt that has failed while the log was rotated: it has read another file than the list had.
pub(super) fn settled(
    mut list: impl FnMut() -> std::io::Result<Vec<PathBuf>>,
    mut attempt: impl FnMut(&[PathBuf]) -> Result<Intact, Stop>,
) -> Verdict {
    let verdict = |stop| match stop {
        Stop::Tampered(tampering) => Verdict::Tampered(tampering),
        Stop::Undecided(text) => Verdict::Undecided(text),
    };
    let mut files = match list() {
        Ok(files) => files,
        Err(error) => return verdict(error.into()),
    };
    for _ in 0..MAX_ATTEMPTS {
        let stop = match attempt(&files) {
            Ok(intact) => return Verdict::Intact(intact),
            Err(stop) => stop,
        };
        match list() {
            Ok(now) if now == files => return verdict(stop),
            Ok(now) => files = now,
            Err(error) => return verdict(error.into()),
        }
    }
    Verdict::Undecided(format!("the log was rotated during each of {MAX_ATTEMPTS} attempts to read it"))
}

pub(super) fn verified(log: &Path, files: &[PathBuf], options: &VerifyOptions) -> Result<Intact, Stop> {
    let folder = options.folder.clone().map_or_else(|| Folder::beside(log), Folder);
    let key = key(&folder, options)?;
    // Before the checkpoint, which is the newer one while a process writes the log.
    let history = folder.history()?;
    let text = std::fs::read_to_string(folder.path("checkpoint")).map_err(|error| {
        Stop::Undecided(format!("`{}` cannot be read: {error}", folder.path("checkpoint").display()))
    })?;
    let checkpoint = read_checkpoint(&text, &key, "the checkpoint")?;
    let earlier = earlier_checkpoints(&history, &key, options, &checkpoint)?;

    let placed = tree(&folder, &checkpoint, &earlier, files)?;
    let (compared, from, rest) = lines(&folder, &checkpoint, &earlier, placed, options)?;
    if checkpoint.foreign > 0 {
        let text = format!(
            "{} lines were added by another program while no process had the log; `history` shows between which records",
            checkpoint.foreign
        );
        return tampered(Change::Added, None, text);
    }
    let unsealed = unsealed(&folder, &checkpoint, &rest)?;
    Ok(Intact {
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        root: checkpoint.root(),
        compared,
        from,
        unsealed,
        lost: checkpoint.lost,
        closed: checkpoint.closed,
        checkpoints: earlier.len() + 1,
    })
}

fn key(folder: &Folder, options: &VerifyOptions) -> Result<LogPublicKey, Stop> {
    if let Some(key) = &options.key {
        return Ok(key.clone());
    }
    let text = std::fs::read_to_string(folder.path("key"))
        .map_err(|error| Stop::Undecided(format!("the tree `{}` has no key: {error}", folder.0.display())))?;
    LogPublicKey::from_text(&text).map_err(|error| Stop::Undecided(format!("the key of the tree: {error}")))
}

fn read_checkpoint(text: &str, key: &LogPublicKey, which: &str) -> Result<Checkpoint, Stop> {
    match Checkpoint::read(text, key) {
        Ok(checkpoint) if checkpoint.origin == key.name() => Ok(checkpoint),
        Ok(checkpoint) => {
            let text =
                format!("{which} is that of the log `{}`, expected `{}`", checkpoint.origin, key.name());
            tampered(Change::OtherLog, None, text)
        }
        Err(CheckpointError::BadSignature) => tampered(
            Change::CheckpointForged,
            None,
            format!("the signature of {which} is not valid: it was changed"),
        ),
        Err(CheckpointError::Malformed(error)) => {
            tampered(Change::CheckpointForged, None, format!("{which} is damaged: {error}"))
        }
        Err(CheckpointError::OtherKey(error)) => Err(Stop::Undecided(format!("{which}: {error}"))),
    }
}

/// The checkpoints of the history and of the caller, by size. Each is signed, and none may be newer than the last one.
fn earlier_checkpoints(
    history: &[String],
    key: &LogPublicKey,
    options: &VerifyOptions,
    last: &Checkpoint,
) -> Result<Vec<Checkpoint>, Stop> {
    let mut earlier = Vec::new();
    let history = history.iter().map(|text| (text, "a checkpoint of the history"));
    for (text, which) in options.since.iter().map(|text| (text, "the given checkpoint")).chain(history) {
        let checkpoint = read_checkpoint(text, key, which)?;
        if checkpoint.size > last.size {
            let text = format!(
                "{which} has {} records, and the last one only {}: the log was set back",
                checkpoint.size, last.size
            );
            return tampered(Change::RolledBack, Some(last.size), text);
        }
        if checkpoint.lost > last.lost || checkpoint.foreign > last.foreign {
            return tampered(
                Change::RolledBack,
                None,
                format!("{which} counts more losses than the last one"),
            );
        }
        earlier.push(checkpoint);
    }
    earlier.sort_by_key(|checkpoint| checkpoint.size);
    Ok(earlier)
}

/// A file, and the number of its first line in the tree.
struct Placed {
    file: PathBuf,
    start: u64,
}

/// Checks that the tiles have the roots of all checkpoints, and finds where each file belongs.
fn tree(
    folder: &Folder,
    last: &Checkpoint,
    earlier: &[Checkpoint],
    files: &[PathBuf],
) -> Result<Vec<Placed>, Stop> {
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
            return damaged_tiles(
                folder,
                last,
                earlier,
                files,
                &format!("the tile of record {number} is missing"),
            );
        };
        for (file, offset) in probes.get(&leaf.0).into_iter().flatten() {
            if let Some(found) = starts.get_mut(*file) {
                found.get_or_insert(number.saturating_sub(*offset));
            }
        }
        edge.push(leaf, |_, _| ());
        while let Some(checkpoint) = earlier_roots.next_if(|checkpoint| checkpoint.size == number + 1) {
            if edge.root().ok() != Some(checkpoint.root) {
                return damaged_tiles(
                    folder,
                    last,
                    earlier,
                    files,
                    "the tiles do not have the root of an earlier checkpoint",
                );
            }
        }
    }
    if edge.root().ok() != Some(last.root) {
        return damaged_tiles(
            folder,
            last,
            earlier,
            files,
            "the tiles do not have the root of the checkpoint",
        );
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
fn damaged_tiles<T>(
    folder: &Folder,
    last: &Checkpoint,
    earlier: &[Checkpoint],
    files: &[PathBuf],
    why: &str,
) -> Result<T, Stop> {
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
    let mut place = None;
    'files: for (number, file) in files.iter().enumerate() {
        let mut lines = RawLines::open(file)?;
        let mut line_number = 0;
        while let Some(line) = lines.next()? {
            if edge.size() == last.size || (!line.is_ended && number + 1 == files.len()) {
                break 'files;
            }
            line_number += 1;
            if edge.size() == intact_until {
                place = Some((file.clone(), line_number));
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
    let (file, line) = place.unzip();
    Err(Stop::Tampered(Tampering { change: Change::Rewritten, record: Some(intact_until), file, line, text }))
}

/// What follows the sealed lines.
#[derive(Default)]
struct Rest {
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
}

/// Compares each line with its leaf. Returns how many were compared, from which one on, and what follows.
fn lines(
    folder: &Folder,
    last: &Checkpoint,
    earlier: &[Checkpoint],
    placed: Vec<Placed>,
    options: &VerifyOptions,
) -> Result<(u64, u64, Rest), Stop> {
    let starts: BTreeSet<u64> =
        earlier.iter().map(|checkpoint| checkpoint.file_start).chain([0, last.file_start]).collect();
    let mut leaves = Leaves::new(folder, last.size);
    let mut rest = Rest::default();
    let from = placed.first().map_or(0, |placed| placed.start).min(last.size);
    if from > 0 && (options.complete || !starts.contains(&from)) {
        let file = placed.first().map(|placed| placed.file.clone());
        let text = format!(
            "the first {from} records are missing: lines at the start of a file, or an old file, were removed"
        );
        return Err(Stop::Tampered(Tampering {
            change: Change::Removed,
            record: Some(0),
            file,
            line: Some(1),
            text,
        }));
    }
    let mut next = from;
    let count = placed.len();
    for (position, Placed { file, start }) in placed.iter().enumerate() {
        if *start > next && next < last.size {
            let text = format!(
                "the records {next} to {} are missing: the end of a file, or a file, was removed",
                start - 1
            );
            let line = Some(1);
            return Err(Stop::Tampered(Tampering {
                change: Change::Removed,
                record: Some(next),
                file: Some(file.clone()),
                line,
                text,
            }));
        }
        let mut lines = RawLines::open(file)?;
        let mut number = 0;
        while let Some(line) = lines.next()? {
            number += 1;
            // A process is writing this line, or was killed while it did.
            if !line.is_ended && position + 1 == count {
                if next < last.size {
                    let text =
                        format!("line {number} is cut off, and the records from {next} on are missing");
                    let (file, line) = (Some(file.clone()), Some(number));
                    return Err(Stop::Tampered(Tampering {
                        change: Change::Truncated,
                        record: Some(next),
                        file,
                        line,
                        text,
                    }));
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
                let mut tampering = classify(folder, last, next, &line, &mut lines)?;
                tampering.file = Some(file.clone());
                tampering.line = Some(number);
                return Err(Stop::Tampered(tampering));
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
        return Err(Stop::Tampered(Tampering {
            change: Change::Truncated,
            record: Some(next),
            file,
            line: None,
            text,
        }));
    }
    Ok((next - from, from, rest))
}

/// Which kind of change explains that a line is not the expected one.
fn classify(
    folder: &Folder,
    last: &Checkpoint,
    record: u64,
    line: &RawLine,
    following: &mut RawLines,
) -> Result<Tampering, Stop> {
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
    let tampering =
        |change, text| Ok(Tampering { change, record: Some(record), file: None, line: None, text });
    match (expected_is_later, original) {
        (true, Some(original)) if original > record => tampering(
            Change::Moved,
            format!("record {original} is in the place of record {record}: lines were moved"),
        ),
        (true, Some(original)) => {
            tampering(Change::Added, format!("a copy of record {original} was added before record {record}"))
        }
        (true, None) => tampering(Change::Added, format!("a line was added before record {record}")),
        (false, Some(original)) if original > record => {
            tampering(Change::Removed, format!("the records {record} to {} were removed", original - 1))
        }
        (false, Some(original)) => {
            tampering(Change::Changed, format!("record {record} was replaced by a copy of record {original}"))
        }
        (false, None) => tampering(Change::Changed, format!("record {record} was changed")),
    }
}

/// Whether the lines after the last checkpoint are those of a process that runs or was killed.
fn unsealed(folder: &Folder, last: &Checkpoint, rest: &Rest) -> Result<u64, Stop> {
    let Some((file, line)) = &rest.place else { return Ok(0) };
    let (file, line) = (Some(file.clone()), Some(*line));
    if last.closed {
        let text = format!("{} lines were added after the program had ended", rest.lines);
        return Err(Stop::Tampered(Tampering {
            change: Change::Added,
            record: Some(last.size),
            file,
            line,
            text,
        }));
    }
    let is_long = rest.span.is_some_and(|(first, last)| last - first > UNSEALED_SPAN);
    if !is_long {
        return Ok(rest.lines);
    }
    // The tiles of the lines were written, so a checkpoint was signed for them soon after.
    let first = rest.leaves.first().copied();
    let is_ahead = first.is_some() && Leaves::new(folder, last.size + 1).get(last.size) == first;
    if is_ahead {
        let text = format!(
            "the tiles have records after the checkpoint of {} records: the checkpoint was set back",
            last.size
        );
        return Err(Stop::Tampered(Tampering {
            change: Change::RolledBack,
            record: Some(last.size),
            file,
            line,
            text,
        }));
    }
    Err(Stop::Undecided(format!(
        "{} lines after the last checkpoint span more than 10 s, so the checkpoint is older than it should be. Either its \
         disk was full, or it was set back: pass a newer checkpoint with `--since`, or start the service, which adds the lines",
        rest.lines
    )))
}

/// The leaf of a line, for tests and proofs.
pub(super) fn leaf(line: &[u8]) -> Hash {
    record_hash(line)
}
