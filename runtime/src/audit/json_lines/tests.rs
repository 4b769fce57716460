use std::{
    fs::File,
    sync::{
        Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use uuid::Uuid;

use super::{slot::QUIET, *};
use crate::{
    audit::{Line, RequestContext, Subject},
    clock::Timestamp,
};

mod commits;
mod files;
mod overload;

pub(crate) fn event(path: &str) -> AuditEvent<'_> {
    AuditEvent {
        id: Uuid::nil(),
        time: Timestamp::from_unix(1_767_225_600),
        took: Duration::from_micros(7),
        denial: None,
        subject: Subject::default(),
        request: RequestContext { path: Some(path), ..RequestContext::default() },
        line: Line::default(),
    }
}

/// Serializes the tests that fill a queue. While one thread logs an event for the first time without a subscriber,
/// `tracing` may miss that another thread installs one.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Memory that a test can read while the writer owns it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn lines(&self) -> Vec<String> {
        let bytes: MutexGuard<'_, Vec<u8>> = self.0.lock().unwrap();
        String::from_utf8(bytes.clone()).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk that does not answer until the test releases it.
#[derive(Clone, Default)]
struct Stuck(Arc<(Mutex<bool>, Condvar)>);

impl Stuck {
    fn release(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut free = self.0.0.lock().unwrap();
        while !*free {
            free = self.0.1.wait(free).unwrap();
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("no space left on device"))
    }
    fn flush(&mut self) -> io::Result<()> {
        Err(io::Error::other("no space left on device"))
    }
}

#[test]
fn a_record_is_one_line_of_json_with_the_names_of_the_contract() {
    let out = Shared::default();
    let audit = JsonLinesAudit::to_writer(out.clone()).unwrap();
    audit.record(&event("/a\n\u{1b}b")).unwrap();
    audit.flush().unwrap();
    let expected = concat!(
        r#"{"id":"00000000-0000-0000-0000-000000000000","time":"2026-01-01T00:00:00.000000Z","#,
        r#""decision":"allow","status":200,"url.path":"/a\\u{a}\\u{1b}b","duration_us":7}"#
    );
    assert_eq!(out.lines(), [expected]);
}

#[test]
fn accepted_records_are_written_when_the_last_clone_is_dropped() {
    let out = Shared::default();
    let audit = JsonLinesAudit::to_writer(out.clone()).unwrap();
    let clone = audit.clone();
    for _ in 0..100 {
        audit.record(&event("/")).unwrap();
    }
    drop(audit);
    clone.record(&event("/")).unwrap();
    drop(clone);
    assert_eq!(out.lines().len(), 101);
}

#[test]
fn a_stuck_disk_blocks_no_request_and_lost_records_are_counted() {
    let _alone = alone();
    let disk = Stuck::default();
    let audit = JsonLinesAudit::to_writer_with_queue(disk.clone(), 2).unwrap();
    let results: Vec<_> = (0..10).map(|_| audit.record(&event("/"))).collect();
    let lost = results.iter().filter(|result| result.is_err()).count();
    // Two records may wait, whether or not the writer has taken them.
    assert_eq!((lost, audit.dropped()), (8, 8));
    disk.release();
}

/// A disk that is full until the test frees space.
#[derive(Clone, Default)]
struct Full {
    room: Arc<AtomicBool>,
    written: Shared,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room.load(Ordering::SeqCst) { self.written.write(bytes) } else { Broken.write(bytes) }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failing_disk_is_counted_and_reported_by_flush() {
    let audit = JsonLinesAudit::to_writer(Broken).unwrap();
    for _ in 0..5 {
        audit.record(&event("/")).unwrap();
    }
    // Some records were written as they arrived, and the flush found the others.
    let _ = audit.flush();
    assert_eq!(audit.dropped(), 5);
    assert!(audit.ready().is_err());
}

/// The writer found the failure before the flush, which then has nothing to write.
#[test]
fn a_flush_after_a_lost_record_is_an_error_although_nothing_is_queued() {
    let audit = JsonLinesAudit::to_writer(Broken).unwrap();
    audit.record(&event("/")).unwrap();
    while audit.dropped() == 0 {
        std::thread::yield_now();
    }
    for _ in 0..2 {
        let error = audit.flush().unwrap_err().to_string();
        assert_eq!(Some(error), audit.failure());
    }
}

#[test]
fn a_disk_that_has_room_again_makes_the_audit_ready_again() {
    let disk = Full::default();
    let audit = JsonLinesAudit::to_writer(disk.clone()).unwrap();
    assert!(audit.ready().is_ok());
    audit.record(&event("/lost")).unwrap();
    let _ = audit.flush();
    assert!(audit.ready().is_err());
    disk.room.store(true, Ordering::SeqCst);
    // Only a record can show that there is room.
    assert!(audit.flush().is_err());
    assert!(audit.ready().is_err());
    audit.record(&event("/kept")).unwrap();
    audit.flush().unwrap();
    assert!(audit.ready().is_ok());
    assert_eq!((audit.dropped(), disk.written.lines().len()), (1, 2), "a line end, and the record");
}

#[test]
fn records_are_written_without_a_flush() {
    let out = Shared::default();
    let audit = JsonLinesAudit::to_writer(out.clone()).unwrap();
    audit.record(&event("/")).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while out.lines().is_empty() {
        assert!(std::time::Instant::now() < deadline, "the record was not written");
        std::thread::yield_now();
    }
}

#[cfg(unix)]
#[test]
fn a_new_file_is_readable_by_its_owner_only_and_is_appended_to() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for _ in 0..2 {
        let audit = JsonLinesAudit::to_file(&path).unwrap();
        audit.record(&event("/")).unwrap();
        drop(audit);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_record_does_not_continue_the_line_that_a_killed_process_began() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for before in ["", "{\"id\":1}\n", "{\"id\":1}\n{\"id\":\"2", "{"] {
        std::fs::write(&path, before).unwrap();
        let audit = JsonLinesAudit::to_file(&path).unwrap();
        audit.record(&event("/")).unwrap();
        drop(audit);
        let after = std::fs::read_to_string(&path).unwrap();
        let own = after.strip_prefix(before).unwrap();
        assert_eq!(own.starts_with('\n'), !before.is_empty() && !before.ends_with('\n'), "{after:?}");
        let lines: Vec<_> = own.lines().filter(|line| !line.is_empty()).collect();
        assert!(
            matches!(*lines, [line] if serde_json::from_str::<serde_json::Value>(line).is_ok()),
            "{after:?}"
        );
    }
}

#[cfg(unix)]
#[expect(clippy::print_stderr, reason = "says what it skips")]
#[test]
fn a_record_does_not_continue_a_line_that_the_process_must_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    std::fs::write(&path, "{\"id\":\"2").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o200)).unwrap();
    if std::fs::read(&path).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let audit = JsonLinesAudit::to_file(&path).unwrap();
    audit.record(&event("/")).unwrap();
    drop(audit);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let lines = std::fs::read_to_string(&path).unwrap();
    let last = lines.lines().last().unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(last).is_ok(), "{lines:?}");
}

#[cfg(unix)]
#[test]
fn a_device_or_pipe_is_written_without_reading_its_end() {
    let audit = JsonLinesAudit::to_file("/dev/null").unwrap();
    audit.record(&event("/")).unwrap();
    audit.flush().unwrap();
    assert_eq!(audit.dropped(), 0);
}

#[test]
fn no_accepted_record_is_lost_when_the_sink_is_dropped_while_threads_record() {
    let _alone = alone();
    for _ in 0..50 {
        let out = Shared::default();
        let audit = JsonLinesAudit::to_writer_with_queue(out.clone(), 64).unwrap();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let audit = audit.clone();
                std::thread::spawn(move || (0..100).filter(|_| audit.record(&event("/")).is_ok()).count())
            })
            .collect();
        drop(audit);
        let accepted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(out.lines().len(), accepted);
    }
}

#[test]
fn a_flush_finds_what_other_threads_have_recorded_before() {
    let out = Shared::default();
    let audit = JsonLinesAudit::to_writer(out.clone()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    audit.record(&event("/")).unwrap();
                    audit.flush().unwrap();
                }
            });
        }
    });
    assert_eq!((out.lines().len(), audit.dropped()), (200, 0));
}

#[test]
fn a_request_that_may_wait_waits_for_room() {
    let out = Shared::default();
    let forever = Duration::from_secs(600);
    let builder = JsonLinesAudit::builder().queue(1).when_full(WhenFull::Wait(forever));
    let audit = builder.to_writer(out.clone()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..200).for_each(|_| audit.record(&event("/")).unwrap()));
        }
    });
    audit.flush().unwrap();
    assert_eq!((out.lines().len(), audit.dropped()), (800, 0));
}

#[test]
fn a_request_waits_no_longer_than_it_may() {
    let disk = Stuck::default();
    let builder = JsonLinesAudit::builder().queue(1).when_full(WhenFull::Wait(Duration::from_millis(1)));
    let audit = builder.to_writer(disk.clone()).unwrap();
    let path = "x".repeat(64 * 1024);
    let lost = (0..5).filter(|_| audit.record(&event(&path)).is_err()).count();
    assert_eq!(audit.dropped(), lost as u64);
    assert!((3..=4).contains(&lost), "one waits in the queue, the writer may have another: {lost}");
    disk.release();
}

#[test]
fn a_sink_that_denies_is_not_ready_while_its_queue_is_nearly_full() {
    let disk = Stuck::default();
    let builder = JsonLinesAudit::builder().queue(16).when_full(WhenFull::Deny);
    let audit = builder.to_writer(disk.clone()).unwrap();
    assert!(audit.is_required() && !JsonLinesAudit::to_writer(Shared::default()).unwrap().is_required());
    let path = "x".repeat(64 * 1024);
    // The writer may have taken one record, and fourteen of sixteen are seven eighths.
    for _ in 0..13 {
        audit.record(&event(&path)).unwrap();
        assert!(audit.ready().is_ok());
    }
    audit.record(&event(&path)).unwrap();
    audit.record(&event(&path)).unwrap();
    assert!(audit.ready().is_err());
    assert!(audit.record(&event("/refused")).is_ok(), "there is room for the record of the refusal");
    disk.release();
    audit.flush().unwrap();
    assert!(audit.ready().is_ok());
    assert_eq!(audit.dropped(), 0);
}

#[test]
fn a_writer_that_is_stuck_blocks_neither_a_flush_nor_the_end() {
    let disk = Stuck::default();
    let audit = JsonLinesAudit::builder().flush_timeout(Duration::from_millis(50));
    let audit = audit.to_writer(disk.clone()).unwrap();
    audit.record(&event("/")).unwrap();
    let error = audit.flush().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "the audit log did not write all records within 50ms: 1 are not written");
    // If the writer were blocked, this would not return.
    drop(audit);
    disk.release();
}

#[test]
fn a_limit_of_zero_that_would_refuse_everything_is_refused() {
    let builder = JsonLinesAudit::builder().write_before_handler().write_timeout(Duration::ZERO);
    assert!(builder.to_writer(Shared::default()).is_err());
    let endless = JsonLinesAudit::builder().flush_timeout(Duration::MAX).write_timeout(Duration::MAX);
    let audit = endless.write_before_handler().to_writer(Shared::default()).unwrap();
    audit.record(&event("/")).unwrap();
    audit.flush().unwrap();
}

struct Panicking;

impl Write for Panicking {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        panic!("a writer that panics")
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_of_the_writer_is_reported_by_record_and_flush() {
    let audit = JsonLinesAudit::to_writer(Panicking).unwrap();
    let mut accepted = 0;
    while audit.record(&event("/")).is_ok() {
        accepted += 1;
        let _ = audit.flush();
    }
    assert!(audit.flush().is_err());
    assert_eq!(audit.dropped(), accepted + 1, "every record is counted once");
}

#[test]
fn a_queue_of_an_invalid_length_is_refused() {
    for (records, taken) in [(0, false), (1, true), (JsonLinesAudit::MAX_QUEUE + 1, false)] {
        let audit = JsonLinesAudit::builder().queue(records).to_writer(Shared::default());
        assert_eq!(audit.is_ok(), taken, "{records}");
    }
}

/// A disk that fails every third time, and then has taken no data.
#[derive(Clone, Default)]
struct Moody {
    writes: Arc<std::sync::atomic::AtomicUsize>,
    written: Shared,
}

impl Write for Moody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.writes.fetch_add(1, Ordering::Relaxed) % 3 {
            2 => Broken.write(bytes),
            _ => self.written.write(bytes),
        }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn every_record_of_many_threads_is_written_whole_and_in_its_threads_order_or_counted() {
    let _alone = alone();
    const THREADS: usize = 6;
    const RECORDS: usize = 400;
    for when_full in [WhenFull::Drop, WhenFull::Deny, WhenFull::Wait(Duration::from_secs(60))] {
        let disk = Moody::default();
        let audit = JsonLinesAudit::builder().queue(16).when_full(when_full).to_writer(disk.clone()).unwrap();
        let record = |thread: usize| {
            let audit = audit.clone();
            move || {
                for number in 0..RECORDS {
                    let refused = audit.record(&event(&format!("/{thread}/{number}"))).is_err();
                    assert!(!refused || !matches!(when_full, WhenFull::Wait(_)), "it waits");
                    if number % 100 == 0 {
                        // The flush may find the disk failing because of another thread's record.
                        let _ = audit.flush();
                    }
                }
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| std::thread::spawn(record(thread))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let _ = audit.flush();
        let mut last = [None; THREADS];
        let lines = disk.written.lines();
        let lines: Vec<_> = lines.iter().filter(|line| !line.is_empty()).collect();
        for line in &lines {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let mut path =
                line["url.path"].as_str().unwrap().split('/').skip(1).map(|part| part.parse().unwrap());
            let (thread, number): (usize, usize) = (path.next().unwrap(), path.next().unwrap());
            assert!(last[thread] < Some(number), "{line}");
            last[thread] = Some(number);
        }
        assert_eq!(lines.len() as u64 + audit.dropped(), (THREADS * RECORDS) as u64, "{when_full:?}");
    }
}

#[test]
fn lines_that_fill_many_pages_keep_their_order() {
    let out = Shared::default();
    let audit = JsonLinesAudit::to_writer(out.clone()).unwrap();
    for number in 0..4000 {
        // Some records are larger than a page.
        let length = if number % 1000 == 7 { 100_000 } else { 50 };
        audit.record(&event(&format!("/{number}/{}", "x".repeat(length)))).unwrap();
    }
    drop(audit);
    let lines = out.lines();
    assert_eq!(lines.len(), 4000);
    for (number, line) in lines.iter().enumerate() {
        assert!(line.contains(&format!("\"/{number}/")), "{number}: {line}");
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok());
    }
}

/// A disk whose write panics.
struct Panics;

impl Write for Panics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() { Ok(0) } else { panic!("as a writer of the user's may") }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn records_are_refused_and_counted_when_the_writer_has_panicked() {
    let audit = JsonLinesAudit::to_writer(Panics).unwrap();
    audit.record(&event("/")).unwrap();
    assert!(audit.flush().is_err());
    // The flush may fail before the writer is marked as ended.
    while audit.record(&event("/")).is_ok() {
        std::thread::yield_now();
    }
    let before = audit.dropped();
    assert!(audit.record(&event("/")).is_err() && audit.flush().is_err());
    assert_eq!(audit.dropped(), before + 1);
}
