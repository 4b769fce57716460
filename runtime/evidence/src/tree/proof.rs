//! Proves that one record is in the tree, with a file that needs neither the log nor its folder.

use std::{
    fmt, fs,
    io::{self, Write as _},
    path::Path,
};

use tlog_tiles::{Hash, Tile, TileHashReader, check_record, prove_record};

use super::{
    checkpoint::{Checkpoint, CheckpointError},
    edge::{HEIGHT, WIDTH},
    folder::{Folder, Leaves},
    key::LogPublicKey,
    lines::{RawLines, files_of},
    verify::leaf,
};
use crate::read::Record;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The longest proof: a tree of 2^64 records has 64 levels.
const MAX_HASHES: usize = 64;

/// A record and the proof that it is in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proof {
    /// The number of the record in the tree, from 0.
    pub record: u64,
    /// The line, without its end.
    pub line: Vec<u8>,
    /// The proof in the format of C2SP tlog-proof, with the checkpoint.
    pub text: String,
}

/// A record whose proof is valid.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Checked {
    /// The number of the record in the tree, from 0.
    pub record: u64,
    /// The checkpoint of the proof.
    pub checkpoint: Checkpoint,
}

/// Why a proof cannot be made or is not accepted.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProofError {
    /// A file cannot be read.
    Io(io::Error),
    /// No record has the id, or it is not in the tree yet.
    NotFound(String),
    /// The tree of the log is damaged.
    BadTree(String),
    /// The text is not a proof.
    Malformed(String),
    /// The checkpoint of the proof is not accepted.
    Checkpoint(CheckpointError),
    /// The record is not the one that the proof is for.
    Invalid,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the files cannot be read: {error}"),
            Self::NotFound(text) => f.write_str(text),
            Self::BadTree(text) => write!(f, "the tree is damaged: {text}"),
            Self::Malformed(text) => write!(f, "this is not a proof: {text}"),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Invalid => f.write_str("the proof is not valid for this record"),
        }
    }
}

impl std::error::Error for ProofError {}

impl From<io::Error> for ProofError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<CheckpointError> for ProofError {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

/// Proves that the last record with an id is in the tree of a log.
///
/// # Errors
/// When no record has the id, when the record has no checkpoint yet, or when the tree is damaged.
pub fn prove(log: &Path, folder: Option<&Path>, key: &LogPublicKey, id: &str) -> Result<Proof, ProofError> {
    let folder = folder.map_or_else(|| Folder::beside(log), |folder| Folder(folder.to_owned()));
    let note = fs::read_to_string(folder.path("checkpoint"))?;
    let checkpoint = Checkpoint::read(&note, key)?;
    let mut line = None;
    for file in files_of(log)? {
        let mut lines = RawLines::open(&file)?;
        while let Some(found) = lines.next()? {
            if memchr::memmem::find(&found.bytes, id.as_bytes()).is_some()
                && Record::parse(&found.bytes).is_ok_and(|record| record.id == id)
            {
                line = Some(found.bytes);
            }
        }
    }
    let line = line.ok_or_else(|| ProofError::NotFound(format!("no record has the id `{id}`")))?;
    let wanted = leaf(&line);
    let mut leaves = Leaves::new(&folder, checkpoint.size);
    let record =
        (0..checkpoint.size).find(|number| leaves.get(*number) == Some(wanted)).ok_or_else(|| {
            ProofError::NotFound(
                "the record is not in the tree: it has no checkpoint yet, or it was changed".to_owned(),
            )
        })?;
    // The reader checks every tile that it uses against the signed root.
    let reader = TileHashReader::new(checkpoint.size, checkpoint.root, &folder);
    let bad = |error: tlog_tiles::Error| ProofError::BadTree(error.to_string());
    let hashes = prove_record(checkpoint.size, record, &reader).map_err(bad)?;
    check_record(&hashes, checkpoint.size, checkpoint.root, record, wanted).map_err(bad)?;
    let mut text = format!("{HEADER}\nindex {record}\n");
    hashes.iter().for_each(|hash| text.push_str(&format!("{hash}\n")));
    text.push_str(&format!("\n{note}"));
    Ok(Proof { record, line, text })
}

/// Checks the proof of a record. It needs the public key of the log, and no other file.
///
/// # Errors
/// When the proof is not valid for this line, or when the key did not sign its checkpoint.
pub fn check(proof: &str, line: &[u8], key: &LogPublicKey) -> Result<Checked, ProofError> {
    let malformed = |text: &str| ProofError::Malformed(text.to_owned());
    let (head, note) = proof.split_once("\n\n").ok_or_else(|| malformed("it has no checkpoint"))?;
    let mut lines = head.lines();
    if lines.next() != Some(HEADER) {
        return Err(malformed("it does not begin with `c2sp.org/tlog-proof@v1`"));
    }
    let mut lines = lines.skip_while(|line| line.starts_with("extra "));
    let record = lines.next().and_then(|line| line.strip_prefix("index ")).unwrap_or_default();
    let number: u64 = record.parse().map_err(|_| malformed("it has no `index`"))?;
    if number.to_string() != record {
        return Err(malformed("its `index` has another form than a number"));
    }
    let hashes = lines.take(MAX_HASHES + 1).map(Hash::parse_hash).collect::<Result<Vec<_>, _>>();
    let hashes = hashes.map_err(|_| malformed("a line is not a hash"))?;
    if hashes.len() > MAX_HASHES {
        return Err(malformed("it has more than 64 hashes"));
    }
    let checkpoint = Checkpoint::read(note, key)?;
    check_record(&hashes, checkpoint.size, checkpoint.root, number, leaf(line))
        .map_err(|_| ProofError::Invalid)?;
    Ok(Checked { record: number, checkpoint })
}

/// Copies the tree to a folder, with the lines as entries: a static log in the layout of C2SP tlog-tiles, which other tools
/// read. Returns how many entries were written; entries of deleted files are left out.
///
/// # Errors
/// When the tree is damaged, or the folder exists and is not empty.
pub fn export(log: &Path, folder: Option<&Path>, key: &LogPublicKey, to: &Path) -> Result<u64, ProofError> {
    let folder = folder.map_or_else(|| Folder::beside(log), |folder| Folder(folder.to_owned()));
    let note = fs::read_to_string(folder.path("checkpoint"))?;
    let checkpoint = Checkpoint::read(&note, key)?;
    if to.exists() && fs::read_dir(to)?.next().is_some() {
        return Err(ProofError::Io(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("`{}` is not empty", to.display()),
        )));
    }
    let target = Folder(to.to_owned());
    fs::create_dir_all(to)?;
    let bad = |error: tlog_tiles::Error| ProofError::BadTree(error.to_string());
    let reader = TileHashReader::new(checkpoint.size, checkpoint.root, &folder);
    for tile in Tile::new_tiles(HEIGHT, 0, checkpoint.size) {
        let bytes = tile.read_data(&reader).map_err(bad)?;
        target.write_tile(tile, &bytes)?;
    }
    let written = entries(log, &folder, &target, &checkpoint)?;
    target.replace("checkpoint", note.as_bytes(), true)?;
    Ok(written)
}

/// Writes the lines as bundles of up to 256 entries, each with its length in two bytes before it.
fn entries(log: &Path, folder: &Folder, target: &Folder, checkpoint: &Checkpoint) -> Result<u64, ProofError> {
    let mut leaves = Leaves::new(folder, checkpoint.size);
    let mut files = Vec::new();
    for file in files_of(log)? {
        let mut lines = RawLines::open(&file)?;
        let first = lines.next()?.map(|line| line.leaf());
        let start =
            first.and_then(|first| (0..checkpoint.size).find(|number| leaves.get(*number) == Some(first)));
        if let Some(start) = start {
            files.push((start, file));
        }
    }
    files.sort();
    let mut written = 0;
    let mut bundle = Vec::new();
    let mut next = files.first().map_or(checkpoint.size, |(start, _)| start.next_multiple_of(WIDTH as u64));
    for (start, file) in files {
        let mut lines = RawLines::open(&file)?;
        let mut number = start;
        while let Some(line) = lines.next()? {
            if number == next && number < checkpoint.size {
                if leaves.get(number) != Some(line.leaf()) {
                    return Err(ProofError::BadTree(format!(
                        "record {number} was changed; run `audit verify`"
                    )));
                }
                let length = u16::try_from(line.bytes.len()).map_err(|_| {
                    ProofError::BadTree(format!("record {number} is longer than an entry can be"))
                })?;
                bundle.write_all(&length.to_be_bytes())?;
                bundle.write_all(&line.bytes)?;
                next += 1;
                written += 1;
                if next % WIDTH as u64 == 0 || next == checkpoint.size {
                    write_bundle(target, next, &bundle)?;
                    bundle.clear();
                }
            }
            number += 1;
        }
    }
    Ok(written)
}

fn write_bundle(target: &Folder, end: u64, bundle: &[u8]) -> io::Result<()> {
    let number = (end - 1) >> HEIGHT;
    let width = u32::try_from(end - (number << HEIGHT)).unwrap_or(WIDTH as u32);
    let mut tile = Tile::new(HEIGHT, 0, number, width, false);
    tile.set_is_data();
    let name = tile.path().replacen(&format!("tile/{HEIGHT}/data/"), "tile/entries/", 1);
    target.replace(&name, bundle, false)
}
