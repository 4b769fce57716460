#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use service_only::__satellite::LogObserver as _;
use tempfile::TempDir;

use super::{
    lines::files_of,
    seal::Observer,
    verify::{settled, verified},
    *,
};

/// A log in its own folder, with its key.
struct Log {
    folder: TempDir,
    private: String,
}

/// A record with a number. Ten are written each second.
fn line(number: u64) -> String {
    paced(number, 100)
}

fn paced(number: u64, milliseconds: i64) -> String {
    let since = i64::try_from(number).unwrap() * milliseconds;
    let time = jiff::Timestamp::from_millisecond(1_767_225_600_000 + since).unwrap();
    format!(
        r#"{{"id":"019b76da-0000-7000-8000-{number:012}","time":"{time}","decision":"allow","status":200,"endpoint":"stock::reserve","service":"orders","duration_us":{}}}"#,
        number % 90
    ) + "\n"
}

struct Open {
    observer: Observer,
    path: PathBuf,
    file: File,
}

impl Log {
    fn new() -> Self {
        let (_, private) = LogKey::generate("bakery.example/orders").unwrap();
        Self { folder: tempfile::tempdir().unwrap(), private: private.to_string() }
    }

    /// Three files with 300, 700 and 1,000 records, and a program that ended.
    fn closed() -> Self {
        let log = Self::new();
        let mut open = log.open();
        open.write(0..300);
        open.rotate("2026-01-01T00-00-30.000000Z");
        open.write(300..650);
        open.observer.seal();
        open.write(650..1000);
        open.rotate("2026-01-01T00-01-40.000000Z");
        open.write(1000..2000);
        open.close();
        log
    }

    fn key(&self) -> LogKey {
        LogKey::from_text(&self.private).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn rotated(&self) -> [PathBuf; 2] {
        ["2026-01-01T00-00-30.000000Z", "2026-01-01T00-01-40.000000Z"]
            .map(|stamp| self.folder.path().join(format!("audit.jsonl.{stamp}")))
    }

    fn tree(&self, name: &str) -> PathBuf {
        self.folder.path().join("audit.jsonl.tree").join(name)
    }

    fn try_open(&self) -> std::io::Result<Open> {
        let path = self.path();
        let mut observer = Sealing::with_key(self.key()).observer(&path)?;
        let is_torn = fs::read(&path).is_ok_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n'));
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        observer.opened(&file);
        if is_torn {
            file.write_all(b"\n")?;
            observer.written(b"\n");
        }
        Ok(Open { observer, path, file })
    }

    fn open(&self) -> Open {
        self.try_open().unwrap()
    }

    fn options(&self) -> VerifyOptions {
        VerifyOptions { key: Some(self.key().public().clone()), ..VerifyOptions::default() }
    }

    fn verify(&self) -> Verdict {
        verify(&self.path(), &self.options())
    }

    #[track_caller]
    fn intact(&self) -> Intact {
        match self.verify() {
            Verdict::Intact(intact) => intact,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn tampered(&self) -> Tampering {
        tampered(self.verify())
    }

    fn checkpoint(&self) -> String {
        fs::read_to_string(self.tree("checkpoint")).unwrap()
    }

    /// Changes the lines of a file.
    fn edit(&self, file: &Path, edit: impl FnOnce(&mut Vec<String>)) {
        let text = fs::read_to_string(file).unwrap();
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        edit(&mut lines);
        fs::write(file, lines.concat()).unwrap();
    }

    /// A copy of all files at this moment.
    fn snapshot(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_all(self.folder.path(), copy.path());
        copy
    }

    fn restore(&self, snapshot: &TempDir, name: &str) {
        let (from, to) = (snapshot.path().join(name), self.folder.path().join(name));
        if from.is_dir() {
            let _ = fs::remove_dir_all(&to);
            copy_all(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}

#[track_caller]
fn tampered(verdict: Verdict) -> Tampering {
    match verdict {
        Verdict::Tampered(tampering) => tampering,
        other => panic!("{other:?}"),
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to)
        } else {
            assert!(fs::copy(entry.path(), to).is_ok())
        }
    }
}

impl Open {
    fn write(&mut self, numbers: std::ops::Range<u64>) {
        let text: String = numbers.map(line).collect();
        self.add(&text);
    }

    /// A thousand records each second.
    fn write_fast(&mut self, numbers: std::ops::Range<u64>) {
        let text: String = numbers.map(|number| paced(number, 1)).collect();
        self.add(&text);
    }

    fn add(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
        self.observer.written(text.as_bytes());
    }

    fn rotate(&mut self, stamp: &str) {
        fs::rename(&self.path, format!("{}.{stamp}", self.path.display())).unwrap();
        self.file = OpenOptions::new().create(true).append(true).open(&self.path).unwrap();
        self.observer.opened(&self.file);
    }

    fn close(mut self) {
        self.observer.finish(0);
    }
}

#[test]
fn honest_log_is_intact_over_restarts_and_rotations() {
    let log = Log::closed();
    let intact = log.intact();
    assert_eq!(
        (intact.size, intact.compared, intact.from, intact.unsealed, intact.closed),
        (2000, 2000, 0, 0, true)
    );
    let mut open = log.open();
    open.write(2000..2010);
    open.observer.seal();
    open.write(2010..2020);
    let intact = log.intact();
    assert_eq!((intact.size, intact.unsealed, intact.closed), (2010, 10, false));
    open.close();
    assert_eq!(log.intact().size, 2020);
}

#[test]
fn old_files_that_rotation_deleted_are_reported_and_required_on_demand() {
    let log = Log::closed();
    fs::remove_file(&log.rotated()[0]).unwrap();
    assert_eq!((log.intact().from, log.intact().compared), (300, 1700));
    let complete = VerifyOptions { complete: true, ..log.options() };
    assert_eq!(tampered(verify(&log.path(), &complete)).change, Change::Removed);
}

#[test]
fn compressed_files_are_the_same_lines() {
    let log = Log::closed();
    for file in log.rotated() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&fs::read(&file).unwrap()).unwrap();
        fs::write(format!("{}.gz", file.display()), packed.finish().unwrap()).unwrap();
        fs::remove_file(file).unwrap();
    }
    assert_eq!(log.intact().compared, 2000);
}

#[test]
fn losses_are_in_the_checkpoint() {
    let log = Log::new();
    let mut open = log.open();
    open.write(0..3);
    open.observer.finish(17);
    assert_eq!(log.intact().lost, 17);
    let mut open = log.open();
    open.observer.finish(2);
    assert_eq!(log.intact().lost, 19);
}

/// A change of the lines of a file: its name, the number of the file, what is done, and what is found at which record.
type Edit = (&'static str, usize, fn(&mut Vec<String>), Change, u64);

const EDITS: &[Edit] = &[
    (
        "a byte of the first record",
        0,
        |lines| lines[0] = lines[0].replace("orders", "orderz"),
        Change::Changed,
        0,
    ),
    (
        "a byte in the middle",
        1,
        |lines| lines[350] = lines[350].replace("allow", "a11ow"),
        Change::Changed,
        650,
    ),
    (
        "a byte of the last record",
        2,
        |lines| lines[999] = lines[999].replace("200", "201"),
        Change::Changed,
        1999,
    ),
    (
        "line ends of another system",
        1,
        |lines| lines[5] = lines[5].replace('\n', "\r\n"),
        Change::Changed,
        305,
    ),
    (
        "a space at the end of a line",
        1,
        |lines| lines[5] = lines[5].replace('\n', " \n"),
        Change::Changed,
        305,
    ),
    ("two lines joined", 1, |lines| lines[7] = lines[7].replace('\n', ""), Change::Changed, 307),
    (
        "a line split",
        1,
        |lines| lines[7] = lines[7].replace(",\"status", ",\n\"status"),
        Change::Changed,
        307,
    ),
    ("the first line removed", 0, |lines| drop(lines.remove(0)), Change::Removed, 0),
    ("a line removed", 1, |lines| drop(lines.remove(100)), Change::Removed, 400),
    ("many lines removed", 1, |lines| drop(lines.drain(100..500)), Change::Removed, 400),
    ("the first line of a later file removed", 1, |lines| drop(lines.remove(0)), Change::Removed, 300),
    ("the last line of an old file removed", 0, |lines| drop(lines.pop()), Change::Removed, 299),
    ("the last line removed", 2, |lines| drop(lines.pop()), Change::Truncated, 1999),
    ("half of the last file removed", 2, |lines| lines.truncate(500), Change::Truncated, 1500),
    ("the last line cut", 2, |lines| lines[999].truncate(50), Change::Truncated, 1999),
    ("a line added", 1, |lines| lines.insert(100, line(7_000)), Change::Added, 400),
    ("a copy added", 1, |lines| lines.insert(100, lines[3].clone()), Change::Added, 400),
    ("a blank line added", 1, |lines| lines.insert(100, "\n".to_owned()), Change::Added, 400),
    ("a line added before the first", 0, |lines| lines.insert(0, line(7_000)), Change::Added, 0),
    ("a line added at the end", 2, |lines| lines.push(line(7_000)), Change::Added, 2000),
    ("two lines swapped", 1, |lines| lines.swap(100, 101), Change::Moved, 400),
    (
        "a line moved far",
        1,
        |lines| {
            let line = lines.remove(600);
            lines.insert(10, line)
        },
        Change::Moved,
        310,
    ),
    ("a line replaced by a copy", 1, |lines| lines[100] = lines[50].clone(), Change::Changed, 400),
    ("all lines replaced", 1, |lines| *lines = (7_000..7_700).map(line).collect(), Change::Removed, 300),
    ("the file emptied", 2, Vec::clear, Change::Removed, 1000),
];

#[test]
fn every_change_of_lines_is_found_at_its_first_record() {
    for (name, file, edit, change, record) in EDITS {
        let log = Log::closed();
        let [first, second] = log.rotated();
        log.edit(&[first, second, log.path()][*file], edit);
        let tampering = log.tampered();
        assert_eq!((tampering.change, tampering.record), (*change, Some(*record)), "{name}: {tampering}");
    }
}

#[test]
fn missing_files_are_found() {
    let log = Log::closed();
    fs::remove_file(&log.rotated()[1]).unwrap();
    let tampering = log.tampered();
    assert_eq!((tampering.change, tampering.record), (Change::Removed, Some(300)));
    let log = Log::closed();
    fs::remove_file(log.path()).unwrap();
    let tampering = log.tampered();
    assert_eq!((tampering.change, tampering.record), (Change::Truncated, Some(1000)));
}

#[test]
fn lines_and_tiles_that_were_rewritten_together_do_not_have_the_signed_root() {
    let log = Log::closed();
    // The attacker builds a consistent tree of changed lines, and cannot sign it.
    let forged = Log::new();
    let mut open = forged.open();
    let changed = |number| if number == 700 { line(7_000) } else { line(number) };
    open.add(&(0..2000).map(changed).collect::<String>());
    open.close();
    fs::remove_dir_all(log.tree("tile")).unwrap();
    copy_all(&forged.tree("tile"), &log.tree("tile"));
    log.edit(&log.rotated()[1], |lines| lines[400] = line(7_000));
    let tampering = log.tampered();
    // The history has a checkpoint of 650 records, which are intact.
    assert_eq!((tampering.change, tampering.record), (Change::Rewritten, Some(650)));
    assert_eq!(tampering.file, Some(log.rotated()[1].clone()));
}

#[test]
fn file_of_another_instance_is_not_accepted() {
    let (log, other) = (Log::closed(), Log::new());
    let mut open = other.open();
    open.write(5_000..7_000);
    open.close();
    fs::copy(other.path(), log.path()).unwrap();
    assert_eq!(log.tampered().record, Some(1000));
    // With its whole tree, the other log is signed by another key.
    fs::remove_dir_all(log.tree("")).unwrap();
    copy_all(&other.tree(""), &log.tree(""));
    assert!(matches!(log.verify(), Verdict::Undecided(text) if text.contains("not signed by")));
}

#[test]
fn checkpoint_of_another_log_with_the_same_key_is_not_accepted() {
    let log = Log::closed();
    let mut other = Checkpoint::read(&log.checkpoint(), log.key().public()).unwrap();
    other.origin = "bakery.example/stock".to_owned();
    fs::write(log.tree("checkpoint"), other.sign(&log.key()).unwrap()).unwrap();
    assert_eq!(log.tampered().change, Change::OtherLog);
}

#[test]
fn changed_checkpoint_is_found() {
    for (from, to) in [("\n2000\n", "\n1999\n"), ("service-only-closed\n", ""), ("\n\n", "\n")] {
        let log = Log::closed();
        fs::write(log.tree("checkpoint"), log.checkpoint().replacen(from, to, 1)).unwrap();
        assert_eq!(log.tampered().change, Change::CheckpointForged, "{from:?}");
    }
    let log = Log::closed();
    let note = log.checkpoint();
    let end = note.trim_end().len() - 10;
    let byte = if &note[end..=end] == "A" { "B" } else { "A" };
    fs::write(log.tree("checkpoint"), format!("{}{byte}{}", &note[..end], &note[end + 1..])).unwrap();
    assert_eq!(log.tampered().change, Change::CheckpointForged);
}

/// A log with a checkpoint of 500 records, and then 500 more.
fn grown() -> (Log, TempDir) {
    let log = Log::new();
    let mut open = log.open();
    open.write(0..250);
    open.observer.seal();
    open.write(250..500);
    open.observer.seal();
    let before = log.snapshot();
    open.write(500..1000);
    open.close();
    (log, before)
}

#[test]
fn older_checkpoint_is_found() {
    let (log, before) = grown();
    log.restore(&before, "audit.jsonl.tree/checkpoint");
    assert_eq!(log.tampered().change, Change::RolledBack);
    // Without the history, the tiles are ahead.
    fs::remove_dir_all(log.tree("history")).unwrap();
    assert_eq!((log.tampered().change, log.tampered().record), (Change::RolledBack, Some(500)));
    // With the old tiles too, the lines after the checkpoint are too many.
    log.restore(&before, "audit.jsonl.tree");
    assert!(matches!(log.verify(), Verdict::Undecided(text) if text.contains("--since")));
}

#[test]
fn smaller_tree_is_found_with_a_checkpoint_from_elsewhere() {
    let (log, before) = grown();
    let newest = log.checkpoint();
    log.restore(&before, "audit.jsonl");
    log.restore(&before, "audit.jsonl.tree");
    // Everything was set back to an honest earlier state, which only a copy elsewhere reveals.
    assert_eq!(log.intact().size, 500);
    let since = VerifyOptions { since: vec![newest], ..log.options() };
    let tampering = tampered(verify(&log.path(), &since));
    assert_eq!((tampering.change, tampering.record), (Change::RolledBack, Some(500)));
}

#[test]
fn tree_that_was_signed_again_with_other_lines_is_found_with_a_checkpoint_from_elsewhere() {
    let (log, before) = grown();
    let honest = log.checkpoint();
    // The attacker has the key.
    log.restore(&before, "audit.jsonl");
    log.restore(&before, "audit.jsonl.tree");
    let mut open = log.open();
    open.write(3_000..4_000);
    open.close();
    assert_eq!(log.intact().size, 1500);
    let since = VerifyOptions { since: vec![honest], ..log.options() };
    let tampering = tampered(verify(&log.path(), &since));
    assert_eq!((tampering.change, tampering.record), (Change::Rewritten, Some(500)));
}

#[test]
fn changed_and_missing_tiles_are_found_and_the_lines_are_intact() {
    let damages: [fn(&Log); 3] = [
        |log| {
            let path = log.tree("tile/0/001");
            let mut bytes = fs::read(&path).unwrap();
            bytes[40] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        |log| fs::remove_file(log.tree("tile/0/001")).unwrap(),
        |log| fs::write(log.tree("tile/0/001"), b"short").unwrap(),
    ];
    for damage in damages {
        let log = Log::closed();
        damage(&log);
        assert_eq!((log.tampered().change, log.tampered().record), (Change::TilesChanged, Some(256)));
    }
}

#[test]
fn lines_that_another_program_added_after_the_end_stay_visible() {
    let log = Log::closed();
    fs::OpenOptions::new().append(true).open(log.path()).unwrap().write_all(line(7_000).as_bytes()).unwrap();
    let mut open = log.open();
    open.write(2000..2010);
    open.close();
    let tampering = log.tampered();
    assert_eq!(tampering.change, Change::Added);
    assert!(tampering.text.starts_with("1 lines"), "{tampering}");
}

#[test]
fn smaller_or_different_tree_is_never_signed() {
    let edits: [fn(&mut Vec<String>); 3] =
        [|lines| drop(lines.pop()), |lines| lines[999] = lines[999].replace("orders", "orderz"), Vec::clear];
    for edit in edits {
        let log = Log::closed();
        let before = log.checkpoint();
        log.edit(&log.path(), edit);
        let error = log.try_open().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("does not continue its last checkpoint"), "{error}");
        assert_eq!(log.checkpoint(), before);
    }
    // The lines are intact, or cut to those of the older checkpoint. The history still has the newer one.
    for cut in [false, true] {
        let log = Log::closed();
        fs::remove_file(log.tree("checkpoint")).unwrap();
        if cut {
            log.edit(&log.path(), |lines| lines.truncate(10));
        }
        let error = log.try_open().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("the checkpoint is missing"), "{error}");
        assert!(!log.tree("checkpoint").exists());
    }
    let log = Log::new();
    let mut open = log.open();
    open.write(0..100);
    open.observer.seal();
    let older = log.checkpoint();
    open.write(100..200);
    open.close();
    fs::write(log.tree("checkpoint"), &older).unwrap();
    for lines in [200, 100] {
        log.edit(&log.path(), |all| all.truncate(lines));
        let error = log.try_open().map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("the checkpoint has 100 records, and one of the history has 200"), "{error}");
        assert_eq!(log.checkpoint(), older);
    }
}

#[test]
fn kill_at_the_first_start_is_no_alarm() {
    let log = Log::new();
    log.open().observer.kill();
    // Killed between the first checkpoint and its history, before the first checkpoint, and before its tiles.
    for removed in [&["history"][..], &["history", "checkpoint"], &["history", "checkpoint", "tile"]] {
        for name in removed {
            let path = log.tree(name);
            fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap_or_default();
        }
        log.open().observer.kill();
        log.intact();
    }
}

#[test]
fn second_process_is_refused() {
    let log = Log::new();
    let open = log.open();
    let error = log.try_open().map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
    open.close();
}

#[test]
fn tiles_are_repaired_from_the_lines() {
    let log = Log::new();
    let mut open = log.open();
    open.write(0..1000);
    open.close();
    fs::remove_dir_all(log.tree("tile")).unwrap();
    let open = log.open();
    open.close();
    assert_eq!(log.intact().compared, 1000);
}

/// Keeps the events with the target of checkpoints.
#[derive(Clone, Default)]
struct Checkpoints(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl tracing::Subscriber for Checkpoints {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        if event.metadata().target() == "service_only::audit::checkpoint" {
            event.record(&mut Note(&mut self.0.lock().unwrap()));
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

/// Takes the field `note`.
struct Note<'a>(&'a mut Vec<String>);

impl tracing::field::Visit for Note<'_> {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "note" {
            self.0.push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
}

#[test]
fn each_checkpoint_is_an_event_with_the_signed_note() {
    let log = Log::closed();
    fs::write(log.path(), fs::read_to_string(log.path()).unwrap() + &line(2000)).unwrap();
    let events = Checkpoints::default();
    // The first checkpoint is signed on the thread that opens the log.
    let open = tracing::subscriber::with_default(events.clone(), || {
        // The first time, a test on another thread may have hidden the event.
        Log::closed();
        tracing::callsite::rebuild_interest_cache();
        events.0.lock().unwrap().clear();
        log.open()
    });
    let notes = events.0.lock().unwrap().clone();
    assert_eq!(notes, [log.checkpoint()]);
    let checkpoint = Checkpoint::read(&notes[0], log.key().public()).unwrap();
    assert_eq!((checkpoint.size, checkpoint.closed), (2001, false));
    open.close();
}

/// Kills at each moment: between lines, tiles and checkpoint, and within a line.
#[test]
fn kill_at_any_moment_is_no_alarm() {
    let log = Log::new();
    let mut number = 0;
    for round in 0_u64..42 {
        let mut open = log.open();
        let before = log.snapshot();
        let count = [1, 3, 255, 256, 257, 40][round as usize % 6];
        open.write_fast(number..number + count);
        if round % 3 != 0 {
            open.observer.seal();
        }
        number += count;
        open.write_fast(number..number + round % 5);
        number += round % 5;
        if round % 4 == 1 {
            open.rotate(&format!("2026-01-01T00-00-{round:02}.000000Z"));
            open.write_fast(number..number + round % 2);
            number += round % 2;
        }
        if round % 7 == 2 {
            // The process was killed within a line.
            let torn = &paced(number, 1)[..40];
            open.add(torn);
        }
        open.observer.kill();
        match round % 5 {
            // Killed before the checkpoint was replaced.
            1 => {
                log.restore(&before, "audit.jsonl.tree/checkpoint");
                log.restore(&before, "audit.jsonl.tree/history");
            }
            // Killed before anything of the tree was written.
            2 => log.restore(&before, "audit.jsonl.tree"),
            _ => {}
        }
        log.intact();
    }
    log.open().close();
    let intact = log.intact();
    assert!(intact.size >= number, "{} of {number}", intact.size);
    assert_eq!((intact.compared, intact.unsealed), (intact.size, 0));
}

/// Rotates three times between the last checkpoint and a kill.
fn rotated_and_killed() -> (Log, Vec<PathBuf>) {
    let log = Log::new();
    let mut open = log.open();
    open.write_fast(0..100);
    open.observer.seal();
    let before = log.snapshot();
    let stamps =
        ["2026-01-01T00-00-01.000000Z", "2026-01-01T00-00-02.000000Z", "2026-01-01T00-00-03.000000Z"];
    for (number, stamp) in (1..).zip(stamps) {
        open.rotate(stamp);
        open.write_fast(number * 100..(number + 1) * 100);
    }
    open.observer.kill();
    log.restore(&before, "audit.jsonl.tree/checkpoint");
    log.restore(&before, "audit.jsonl.tree/history");
    let rotated = stamps.map(|stamp| log.folder.path().join(format!("audit.jsonl.{stamp}"))).to_vec();
    (log, rotated)
}

#[test]
fn files_that_were_rotated_between_the_checkpoint_and_a_kill_can_be_deleted_later() {
    let (log, rotated) = rotated_and_killed();
    assert_eq!((log.intact().size, log.intact().unsealed), (100, 300));
    log.open().close();
    for (file, from) in rotated.iter().zip([100, 200, 300]) {
        fs::remove_file(file).unwrap();
        let intact = log.intact();
        assert_eq!((intact.from, intact.compared), (from, 400 - from));
    }
    // An attacker who removes lines at the start of a file is still found.
    log.edit(&log.path(), |lines| drop(lines.remove(0)));
    assert_eq!(log.tampered().change, Change::Removed);
}

#[test]
fn kill_between_the_two_steps_of_a_rotation_is_no_alarm() {
    for torn in ["", "{\"id\":"] {
        let log = Log::new();
        let mut open = log.open();
        open.write_fast(0..100);
        open.observer.seal();
        open.write_fast(100..110);
        open.add(torn);
        open.observer.kill();
        fs::rename(log.path(), &log.rotated()[0]).unwrap();
        log.intact();
        // The new file is another one, so its lines are not counted as bytes of the old file.
        for run in 0..3 {
            let mut open = log.open();
            open.write_fast(200 + run * 10..210 + run * 10);
            open.observer.seal();
            open.observer.kill();
            log.intact();
        }
        log.open().close();
        let size = 140 + u64::from(!torn.is_empty());
        assert_eq!((log.intact().size, log.intact().compared), (size, size));
        fs::remove_file(&log.rotated()[0]).unwrap();
        assert_eq!(log.intact().from, size - 30);
    }
}

#[test]
fn log_continues_after_a_new_file_without_lines_was_removed() {
    let log = Log::new();
    let mut open = log.open();
    open.write_fast(0..100);
    open.rotate("2026-01-01T00-00-01.000000Z");
    open.observer.seal();
    open.observer.kill();
    fs::remove_file(log.path()).unwrap();
    log.intact();
    let mut open = log.open();
    open.write_fast(100..150);
    open.close();
    assert_eq!((log.intact().size, log.intact().compared), (150, 150));
}

#[test]
fn rotation_while_the_log_is_verified_is_no_alarm() {
    let log = Log::new();
    let mut open = log.open();
    open.write(0..100);
    open.observer.seal();
    let mut rotated = false;
    let verdict = settled(
        || files_of(&log.path()),
        |files| {
            if !std::mem::replace(&mut rotated, true) {
                open.rotate("2026-01-01T00-00-30.000000Z");
                open.write(100..110);
                open.observer.seal();
            }
            verified(&log.path(), files, &log.options())
        },
    );
    assert!(matches!(&verdict, Verdict::Intact(intact) if intact.size == 110), "{verdict:?}");
    let mut number = 0;
    let verdict = settled(
        || {
            number += 1;
            Ok(vec![PathBuf::from(format!("audit.jsonl.{number}"))])
        },
        |files| verified(&log.path(), files, &log.options()),
    );
    assert!(
        matches!(&verdict, Verdict::Undecided(text) if text.contains("rotated during each")),
        "{verdict:?}"
    );
}

#[test]
fn many_records_are_intact() {
    let log = Log::new();
    let mut open = log.open();
    for part in 0..20 {
        open.write(part * 10_000..(part + 1) * 10_000);
    }
    open.close();
    assert_eq!(log.intact().compared, 200_000);
}

#[test]
fn record_is_proven_without_the_log() {
    let log = Log::closed();
    let key = log.key().public().clone();
    for number in [0, 255, 256, 700, 1999] {
        let id = format!("019b76da-0000-7000-8000-{number:012}");
        let proof = prove(&log.path(), None, &key, &id).unwrap();
        assert_eq!((proof.record, proof.line.as_slice()), (number, line(number).trim_end().as_bytes()));
        let checked = check(&proof.text, &proof.line, &key).unwrap();
        assert_eq!((checked.record, checked.checkpoint.size), (number, 2000));
        let other = line(number + 1);
        assert!(matches!(check(&proof.text, other.trim_end().as_bytes(), &key), Err(ProofError::Invalid)));
        let moved = proof.text.replacen(&format!("index {number}"), &format!("index {}", number + 1), 1);
        assert!(check(&moved, &proof.line, &key).is_err());
        let forged = proof.text.replacen("\n2000\n", "\n2001\n", 1);
        let refused = check(&forged, &proof.line, &key);
        assert!(matches!(refused, Err(ProofError::Checkpoint(CheckpointError::BadSignature))), "{refused:?}");
    }
    assert!(matches!(prove(&log.path(), None, &key, "absent"), Err(ProofError::NotFound(_))));
}

/// immudb's CVE-2022-36111: a proof whose length or shape the verifier did not check.
#[test]
fn proof_with_more_fewer_or_other_hashes_is_invalid() {
    let log = Log::closed();
    let key = log.key().public().clone();
    let proof = prove(&log.path(), None, &key, "019b76da-0000-7000-8000-000000000700").unwrap();
    let (head, note) = proof.text.split_once("\n\n").unwrap();
    let lines: Vec<&str> = head.lines().collect();
    let hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let mut variants =
        vec![lines[..lines.len() - 1].to_vec(), lines[..2].to_vec(), [&lines[..], &[hash]].concat()];
    variants.push([&lines[..2], &[hash], &lines[2..]].concat());
    variants.push([&lines[..], &[hash; 70]].concat());
    let mut swapped = lines.clone();
    swapped.swap(2, 3);
    variants.push(swapped);
    for variant in variants {
        let text = format!("{}\n\n{note}", variant.join("\n"));
        assert!(check(&text, &proof.line, &key).is_err(), "{text}");
    }
    let huge = proof.text.replacen("index 700", "index 18446744073709551615", 1);
    assert!(check(&huge, &proof.line, &key).is_err());
    assert!(check(&proof.text.replacen("index 700", "index 0700", 1), &proof.line, &key).is_err());
}

#[test]
fn export_is_a_static_log_with_its_entries() {
    let log = Log::closed();
    let to = log.folder.path().join("export");
    let key = log.key().public().clone();
    assert_eq!(export(&log.path(), None, &key, &to).unwrap(), 2000);
    for name in ["checkpoint", "tile/0/000", "tile/0/007.p/208", "tile/1/000.p/7", "tile/entries/007.p/208"] {
        assert!(to.join(name).exists(), "{name}");
    }
    let bundle = fs::read(to.join("tile/entries/001")).unwrap();
    let length = usize::from(u16::from_be_bytes([bundle[0], bundle[1]]));
    assert_eq!(&bundle[2..2 + length], line(256).trim_end().as_bytes());
    assert!(export(&log.path(), None, &key, &to).is_err());
}

#[test]
fn keys_have_the_text_of_signed_notes() {
    let (key, private) = LogKey::generate("bakery.example/orders").unwrap();
    assert!(private.starts_with("PRIVATE+KEY+bakery.example/orders+"));
    assert_eq!(LogPublicKey::from_text(&key.public().to_string()).unwrap().name(), "bakery.example/orders");
    // The key is the last of five parts, and may contain a `+`.
    assert!(!format!("{key:?}").contains(private.splitn(5, '+').last().unwrap()));
    let mistaken = LogPublicKey::from_text(&private).unwrap_err().to_string();
    assert!(mistaken.contains("private key") && !mistaken.contains(&private[30..]), "{mistaken}");
    for name in ["", "a b", "a+b", "a\nb"] {
        assert!(LogKey::generate(name).is_err(), "{name:?}");
    }
}
