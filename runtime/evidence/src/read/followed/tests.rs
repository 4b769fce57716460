#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs::OpenOptions, io::Write as _, path::PathBuf};

use super::*;
use crate::read::{Place, Record};

struct Log {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Log {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, text).unwrap();
        Self { folder, path }
    }

    fn append(&self, text: &str) {
        OpenOptions::new().append(true).open(&self.path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Renames the file, as a rotation does.
    fn rotate(&self) -> PathBuf {
        let to = self.folder.path().join("audit.jsonl.1");
        std::fs::rename(&self.path, &to).unwrap();
        to
    }
}

fn line(service: &str) -> String {
    format!(
        r#"{{"id":"1","time":"2026-01-01T00:00:00Z","decision":"allow","status":200,"service":"{service}"}}"#
    ) + "\n"
}

/// The services of all records that were appended since the last call.
fn read(followed: &mut Followed) -> String {
    let mut services = String::new();
    let mut visitor = |_: Place<'_>, record: &Record<'_>| services += record.service.as_deref().unwrap();
    while followed.read(&mut visitor).unwrap() > 0 {}
    services
}

#[test]
fn appended_records_are_read_once() {
    let log = Log::new(&(line("a") + &line("b")));
    let mut followed = Followed::open(&log.path, 0).unwrap();
    assert_eq!(read(&mut followed), "ab");
    assert_eq!(read(&mut followed), "");
    log.append(&line("c"));
    assert_eq!(read(&mut followed), "c");
    assert_eq!(followed.done().records(), 3);
    let (read, length) = followed.progress();
    assert_eq!((read, length), (length, 3 * line("a").len() as u64));
}

#[test]
fn line_without_an_end_waits_for_it() {
    let log = Log::new(&line("a"));
    let mut followed = Followed::open(&log.path, 0).unwrap();
    let (start, end) = (line("b"), line("c"));
    let (start, end) = (start.split_at(40).0, end.split_at(40).1);
    log.append(start);
    assert_eq!(read(&mut followed), "a");
    log.append(end);
    assert_eq!(read(&mut followed), "c");
    assert!(followed.done().trouble().is_empty(), "{:?}", followed.done().trouble());
}

#[test]
fn rest_of_a_rotated_file_is_read_before_the_new_file() {
    let log = Log::new(&line("a"));
    let mut followed = Followed::open(&log.path, 0).unwrap();
    assert_eq!(read(&mut followed), "a");
    log.append(&line("b"));
    let old = log.rotate();
    assert_eq!(read(&mut followed), "b", "the new file is not there yet");
    std::fs::write(&log.path, "").unwrap();
    let mut late = OpenOptions::new().append(true).open(old).unwrap();
    late.write_all(line("c").as_bytes()).unwrap();
    assert_eq!(read(&mut followed), "c", "the service still writes to the renamed file");
    late.write_all((line("d") + "{\"id\":").as_bytes()).unwrap();
    log.append(&line("e"));
    assert_eq!(read(&mut followed), "de");
    let trouble: Vec<_> = followed.done().trouble().iter().map(|trouble| trouble.kind).collect();
    assert_eq!(trouble, [TroubleKind::Unfinished]);
    assert_eq!(followed.done().files(), 2);
}

#[test]
fn truncated_file_is_reported_and_read_from_its_start() {
    let log = Log::new(&(line("a") + &line("b")));
    let mut followed = Followed::open(&log.path, 0).unwrap();
    assert_eq!(read(&mut followed), "ab");
    std::fs::write(&log.path, line("c")).unwrap();
    assert_eq!(read(&mut followed), "c");
    assert_eq!(followed.done().count(TroubleKind::Truncated), 1);
}

#[test]
fn line_that_grows_beyond_the_limit_is_reported_once_and_the_next_is_read() {
    let log = Log::new(&"x".repeat(MAX_LINE + 2));
    let mut followed = Followed::open(&log.path, 0).unwrap();
    assert_eq!(read(&mut followed), "");
    log.append(&"x".repeat(2 * MAX_LINE));
    assert_eq!(read(&mut followed), "");
    log.append(&("x\n".to_owned() + &line("a")));
    assert_eq!(read(&mut followed), "a");
    assert_eq!(followed.done().count(TroubleKind::TooLong), 1);
    assert_eq!(followed.done().trouble().len(), 1);
}

#[test]
fn rotation_during_a_rotation_loses_nothing() {
    let log = Log::new(&line("a"));
    let mut followed = Followed::open(&log.path, 0).unwrap();
    log.append(&line("b"));
    log.rotate();
    std::fs::write(&log.path, line("c")).unwrap();
    // The rest of the first file is read, and the second one is rotated before it is read.
    let mut services = String::new();
    let mut visitor = |_: Place<'_>, record: &Record<'_>| services += record.service.as_deref().unwrap();
    assert_eq!(followed.read(&mut visitor).unwrap(), 2);
    std::fs::rename(&log.path, log.folder.path().join("audit.jsonl.2")).unwrap();
    std::fs::write(&log.path, line("d")).unwrap();
    assert_eq!(services + &read(&mut followed), "abcd");
}

#[test]
fn only_a_file_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Followed::open(folder.path(), 0).is_err());
    assert!(Followed::open(Path::new("/dev/null"), 0).is_err());
}

#[test]
fn log_that_is_opened_near_its_end_begins_with_a_complete_line() {
    let length = line("a").len() as u64;
    for (back, services) in [
        (0, ""),
        (1, ""),
        (length - 1, ""),
        (length, "c"),
        (length + 1, "c"),
        (3 * length, "abc"),
        (u64::MAX, "abc"),
    ] {
        let log = Log::new(&(line("a") + &line("b") + &line("c")));
        let mut followed = Followed::open_near_end(&log.path, 0, back).unwrap();
        assert_eq!(read(&mut followed), services, "{back}");
        log.append(&line("d"));
        assert_eq!(read(&mut followed), "d", "{back}");
    }
}

#[test]
fn problem_of_a_log_that_is_opened_near_its_end_has_the_byte_from_which_lines_are_counted() {
    let log = Log::new(&(line("a") + &line("b") + "other\n"));
    let from = line("a").len() as u64;
    let mut followed = Followed::open_near_end(&log.path, 0, from + 6).unwrap();
    assert_eq!(read(&mut followed), "b");
    let trouble = followed.take_trouble();
    assert_eq!((trouble[0].line, trouble[0].counted_from, trouble.len()), (2, from, 1));
    assert!(trouble[0].to_string().contains(&format!("line 2 after byte {from}: ")), "{}", trouble[0]);
    // Problems that were taken make room for later ones, and stay counted.
    assert_eq!((followed.take_trouble().len(), followed.done().count(TroubleKind::Foreign)), (0, 1));
    log.rotate();
    std::fs::write(&log.path, "other\n").unwrap();
    assert_eq!(read(&mut followed), "");
    assert_eq!(followed.take_trouble()[0].counted_from, 0);
}

#[test]
fn end_of_a_line_that_began_before_the_part_that_is_read_is_skipped() {
    let log = Log::new(&"x".repeat(3 * MAX_LINE));
    let mut followed = Followed::open_near_end(&log.path, 0, 10).unwrap();
    log.append(&("x\n".to_owned() + &line("a")));
    assert_eq!(read(&mut followed), "a");
    assert_eq!(followed.done().trouble().len(), 0);
}

#[test]
fn one_look_reads_a_bounded_number_of_bytes() {
    let long = line(&"s".repeat(40_000));
    let log = Log::new(&long.repeat(2 * BYTES_AT_ONCE as usize / long.len()));
    let mut followed = Followed::open(&log.path, 0).unwrap();
    let mut visitor = |_: Place<'_>, _: &Record<'_>| ();
    assert!(followed.read(&mut visitor).unwrap() > 0);
    let (read, length) = followed.progress();
    assert!(read >= BYTES_AT_ONCE && read < BYTES_AT_ONCE + long.len() as u64 && read < length, "{read}");
}

#[test]
fn places_have_the_offsets_of_their_lines() {
    let log = Log::new(&(line("a") + "\n" + &line("b")));
    let mut offsets = Vec::new();
    let mut followed = Followed::open(&log.path, 7).unwrap();
    let mut visitor = |place: Place<'_>, _: &Record<'_>| {
        offsets.push((place.file_number, place.line, place.offset));
    };
    while followed.read(&mut visitor).unwrap() > 0 {}
    assert_eq!(offsets, [(7, 1, 0), (7, 3, line("a").len() as u64 + 1)]);
}

#[test]
fn compressed_file_is_read_once() {
    let log = Log::new("");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(line("a").as_bytes()).unwrap();
    std::fs::write(&log.path, packed.finish().unwrap()).unwrap();
    let mut followed = Followed::open(&log.path, 0).unwrap();
    assert_eq!(read(&mut followed), "a");
    assert_eq!(read(&mut followed), "");
    assert_eq!(followed.progress(), (1, 1));
}
