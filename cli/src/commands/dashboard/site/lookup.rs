//! Finds a record by its id without reading the whole log: the ids of records are UUIDs of version 7, which grow with time.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use service_only_evidence::read::{self, Place, Record};
use service_only_evidence::tree;
use uuid::Uuid;

use crate::commands::audit::explain::Found;

/// The length of a block, in bytes.
const BLOCK: u64 = 1024 * 1024;

/// How many blocks are indexed. With 1 MiB each, that is a terabyte; records of further blocks are searched for.
const MAX_BLOCKS: usize = 1_000_000;

/// How much is searched for a record that the index does not find, as after a rotation.
pub(crate) const MAX_SEARCHED: u64 = 1024 * 1024 * 1024;

/// How much the time of a file may differ from those of its records.
const CLOCKS: Duration = Duration::from_secs(60);

/// Which ids are in which part of which file.
#[derive(Debug, Default)]
pub(crate) struct Index {
    blocks: Vec<Block>,
    /// The last block of each file.
    last: Vec<Option<usize>>,
}

#[derive(Clone, Debug)]
struct Block {
    file: usize,
    start: u64,
    end: u64,
    first: u128,
    last: u128,
}

/// A part of a file that may have a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    file: usize,
    start: u64,
    end: u64,
}

impl Index {
    pub(crate) fn add(&mut self, place: Place<'_>, id: &str) {
        let Ok(id) = Uuid::try_parse(id) else { return };
        let (id, end) = (id.as_u128(), place.offset + place.bytes.len() as u64 + 1);
        if self.last.len() <= place.file_number {
            self.last.resize(place.file_number + 1, None);
        }
        let Some(last) = self.last.get_mut(place.file_number) else { return };
        let block = last.and_then(|last| self.blocks.get_mut(last));
        // After a rotation, the offsets begin at 0 again.
        if let Some(block) = block.filter(|block| (block.end..block.start + BLOCK).contains(&place.offset)) {
            block.end = end;
            block.first = block.first.min(id);
            block.last = block.last.max(id);
            return;
        }
        *last = None;
        if self.blocks.len() < MAX_BLOCKS {
            *last = Some(self.blocks.len());
            let (file, start) = (place.file_number, place.offset);
            self.blocks.push(Block { file, start, end, first: id, last: id });
        }
    }

    /// The parts that may have an id.
    pub(crate) fn parts(&self, id: &str) -> Vec<Part> {
        let Ok(id) = Uuid::try_parse(id) else { return Vec::new() };
        let id = id.as_u128();
        let of = |block: &Block| Part { file: block.file, start: block.start, end: block.end };
        self.blocks.iter().filter(|block| (block.first..=block.last).contains(&id)).map(of).collect()
    }
}

/// Why a record was not found.
#[derive(Debug)]
pub(crate) enum NotFound {
    /// No file has it.
    Absent,
    /// The files are too large to be searched for a page.
    TooLarge,
    Io(io::Error),
}

impl From<io::Error> for NotFound {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Finds a record in the parts of the index. If it is not there, it searches the files that were written after the record:
/// the log may have been rotated.
pub(crate) fn find(paths: &[PathBuf], parts: &[Part], id: &str) -> Result<Found, NotFound> {
    let mut found: Option<Found> = None;
    let mut visitor = |_: Place<'_>, record: &Record<'_>| {
        if record.id == id {
            found = Some(Found::then(found.as_ref(), record));
        }
    };
    for part in parts {
        if let Some(path) = paths.get(part.file) {
            // The part may be in a renamed file now.
            let _ = read_part(path, part, &mut visitor);
        }
    }
    if let Some(found) = found {
        return Ok(found);
    }
    let mut searched = 0;
    let mut found: Option<Found> = None;
    for file in written_after(paths, id) {
        searched += std::fs::metadata(&file).map_or(0, |file| file.len());
        if searched > MAX_SEARCHED {
            return Err(NotFound::TooLarge);
        }
        read::files([&file], &mut |_: Place<'_>, record: &Record<'_>| {
            if record.id == id {
                found = Some(Found::then(found.as_ref(), record));
            }
        })?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Err(NotFound::Absent)
}

fn read_part(path: &Path, part: &Part, visitor: &mut impl FnMut(Place<'_>, &Record<'_>)) -> io::Result<()> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(part.start))?;
    let part = BufReader::new(file.take(part.end - part.start));
    read::stream(path, part, visitor);
    Ok(())
}

/// The files of the logs, with the rotated ones, that were written after the record, in the order of their times.
fn written_after(paths: &[PathBuf], id: &str) -> Vec<PathBuf> {
    let time = Uuid::try_parse(id).ok().and_then(|id| id.get_timestamp()).map(|time| {
        let (seconds, nanos) = time.to_unix();
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    });
    let mut files: Vec<(SystemTime, PathBuf)> = paths
        .iter()
        .flat_map(|path| tree::files_of(path).unwrap_or_default())
        .chain(paths.iter().cloned())
        .filter_map(|path| Some((std::fs::metadata(&path).ok()?.modified().ok()?, path)))
        .filter(|(written, _)| time.is_none_or(|time| *written + CLOCKS >= time))
        .collect();
    files.sort();
    files.dedup();
    files.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use service_only_evidence::read::Followed;

    use super::*;

    fn id(number: u32) -> String {
        format!("019b76da-{:04x}-7000-8000-{number:012}", number / 65_536)
    }

    fn line(number: u32) -> String {
        let id = id(number);
        format!(
            r#"{{"id":"{id}","time":"2026-01-01T00:00:00Z","decision":"allow","status":200,"service":"s{number}"}}"#
        ) + "\n"
    }

    fn index(path: &Path) -> Index {
        let mut index = Index::default();
        let mut visitor = |place: Place<'_>, record: &Record<'_>| index.add(place, &record.id);
        let mut followed = Followed::open(path, 0).unwrap();
        while followed.read(&mut visitor).unwrap() > 0 {}
        index
    }

    fn service(found: Result<Found, NotFound>) -> Option<String> {
        found.ok().and_then(|found| found.service)
    }

    #[test]
    fn record_is_found_in_the_one_block_that_has_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let text: String = (0..30_000).map(line).collect();
        assert!(text.len() as u64 > 2 * BLOCK);
        std::fs::write(&path, &text).unwrap();
        let index = index(&path);
        assert_eq!(index.blocks.len(), text.len().div_ceil(BLOCK as usize));
        for number in [0, 1, 9_999, 15_000, 29_999] {
            let parts = index.parts(&id(number));
            assert_eq!(parts.len(), 1);
            assert!(parts[0].end - parts[0].start < BLOCK + 200);
            let found = service(find(std::slice::from_ref(&path), &parts, &id(number)));
            assert_eq!(found, Some(format!("s{number}")));
        }
        assert!(index.parts(&id(30_000)).is_empty());
        assert!(matches!(find(&[path], &[], &id(30_000)), Err(NotFound::Absent)));
    }

    #[test]
    fn record_of_a_rotated_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, line(1)).unwrap();
        let index = index(&path);
        std::fs::rename(&path, folder.path().join("audit.jsonl.1")).unwrap();
        std::fs::write(&path, line(2)).unwrap();
        let found = find(std::slice::from_ref(&path), &index.parts(&id(1)), &id(1));
        assert_eq!(service(found), Some("s1".to_owned()));
        assert_eq!(service(find(&[path], &[], "no uuid")), None);
    }

    #[test]
    fn last_record_of_an_id_is_the_outcome() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let refused = line(1).replace(r#""allow","status":200"#, r#""deny","status":409,"code":"refused""#);
        std::fs::write(&path, line(1) + &line(2) + &refused).unwrap();
        let found = find(std::slice::from_ref(&path), &index(&path).parts(&id(1)), &id(1)).ok().unwrap();
        assert_eq!((found.records, found.explanation.code.as_deref()), (2, Some("refused")));
    }
}
