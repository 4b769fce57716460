//! Records that are written before the handler runs.

use std::{
    sync::{LazyLock, atomic::AtomicUsize},
    time::Instant,
};

use super::{super::output::Unwritten, *};
use crate::denial::{Code, Denial};

fn before_handler() -> JsonLinesBuilder {
    // Longer than any test takes, unless the test is about the limit.
    JsonLinesAudit::builder().write_before_handler().write_timeout(Duration::from_secs(60))
}

fn denial(path: &str) -> AuditEvent<'_> {
    static DENIAL: LazyLock<Denial> = LazyLock::new(|| Denial::new(Code::Expired, "expired"));
    AuditEvent { denial: Some(&DENIAL), ..event(path) }
}

#[test]
fn a_record_is_written_when_it_was_taken_without_a_flush() {
    let out = Shared::default();
    let audit = before_handler().to_writer(out.clone()).unwrap();
    assert!(audit.is_required());
    for number in 1..=50 {
        audit.record(&event("/")).unwrap();
        assert_eq!(out.lines().len(), number);
    }
    assert!(!JsonLinesAudit::to_writer(out).unwrap().is_required());
}

#[test]
fn a_record_that_cannot_be_written_is_an_error_at_once_and_the_sink_is_not_ready() {
    let audit = before_handler().to_writer(Broken).unwrap();
    let error = audit.record(&event("/")).unwrap_err();
    assert!(error.to_string().contains("no space left"), "{error}");
    assert!(audit.ready().unwrap_err().to_string().contains("no space left"));
    assert_eq!(audit.dropped(), 1);
    assert!(audit.failure().is_some());
    // The records of refusals are queued too, and no request waits for them.
    audit.record(&denial("/refused")).unwrap();
    let _ = audit.flush();
    assert_eq!(audit.dropped(), 2);
}

/// The sink may be ready when the verifier asks, and fail only afterwards.
#[test]
fn no_caller_is_admitted_by_a_record_that_comes_while_none_can_be_written() {
    let audit = before_handler().to_writer(Broken).unwrap();
    for lost in 1..=20 {
        assert!(audit.record(&event("/")).is_err());
        assert_eq!(audit.dropped(), lost);
    }
}

/// Counts writes. The first write waits until the test releases it.
#[derive(Clone, Default)]
struct Gate {
    stuck: Stuck,
    begun: Arc<AtomicUsize>,
    written: Shared,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.stuck.write_all(bytes)?;
        self.written.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Gate {
    fn await_writes(&self, writes: usize) {
        let started = Instant::now();
        while self.begun.load(Ordering::SeqCst) < writes {
            assert!(started.elapsed() < Duration::from_secs(20), "no write began");
            std::thread::yield_now();
        }
    }
}

#[test]
fn requests_that_come_while_the_disk_is_busy_share_the_next_write() {
    let gate = Gate::default();
    let audit = before_handler().to_writer(gate.clone()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| audit.record(&event("/first")).unwrap());
        gate.await_writes(1);
        for _ in 0..16 {
            scope.spawn(|| audit.record(&event("/other")).unwrap());
        }
        while audit.0.queue.waiting() < 17 {
            std::thread::yield_now();
        }
        // All places are taken. The lines follow a moment later.
        std::thread::sleep(Duration::from_millis(50));
        gate.stuck.release();
    });
    assert_eq!(gate.written.lines().len(), 17);
    assert!(gate.begun.load(Ordering::SeqCst) <= 3, "{}", gate.begun.load(Ordering::SeqCst));
}

#[test]
fn a_request_waits_no_longer_than_the_limit_and_its_record_is_withdrawn() {
    let gate = Gate::default();
    let builder = JsonLinesAudit::builder().write_before_handler().write_timeout(Duration::from_millis(200));
    let audit = builder.to_writer(gate.clone()).unwrap();
    std::thread::scope(|scope| {
        let in_hand = scope.spawn(|| audit.record(&event("/in hand")));
        gate.await_writes(1);
        let error = audit.record(&event("/withdrawn")).unwrap_err().to_string();
        assert_eq!(error, "the disk did not write a record within 200ms");
        let error = in_hand.join().unwrap().unwrap_err().to_string();
        assert!(error.ends_with("it is being written and may still arrive"), "{error}");
    });
    // From now on callers are refused without waiting.
    assert!(audit.ready().unwrap_err().to_string().contains("within 200ms"));
    let started = Instant::now();
    audit.record(&denial("/refused")).unwrap();
    assert!(started.elapsed() < Duration::from_millis(200));
    gate.stuck.release();
    audit.flush().unwrap();
    let lines = gate.written.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("/in hand") && lines[1].contains("/refused"));
    assert_eq!((audit.ready().is_ok(), audit.dropped()), (true, 1));
}

/// A disk that takes only a limited number of bytes of each write.
struct Small {
    takes: usize,
    written: Shared,
}

impl Output for Small {
    fn append(&mut self, lines: &[u8], _: &mut dyn FnMut() -> bool) -> Result<(), Unwritten> {
        let takes = self.takes.min(lines.len());
        self.written.write_all(&lines[..takes]).unwrap();
        if takes == lines.len() {
            return Ok(());
        }
        Err(Unwritten { written: takes, error: io::ErrorKind::StorageFull.into() })
    }
}

#[test]
fn complete_lines_of_an_interrupted_write_count_as_written_and_others_as_lost() {
    let written = Shared::default();
    let queue = Arc::new(Queue::new(16, WhenFull::Drop, None));
    let mut line = Vec::new();
    super::super::line::Lines::default().add(&mut line, &event("/")).unwrap();
    // Two lines and a half.
    let disk = Small { takes: line.len() * 5 / 2, written: written.clone() };
    let writer = Writer::new(disk, Arc::clone(&queue));
    for _ in 0..4 {
        queue.push(true, |lines, line| lines.add(line, &event("/")), || ()).unwrap();
    }
    queue.close(JsonLinesAudit::DEFAULT_FLUSH_TIMEOUT);
    writer.run();
    assert_eq!((queue.lost(), written.lines().len()), (2, 3), "the third line is torn");
}

#[test]
fn a_request_whose_line_was_written_before_the_cut_is_not_refused() {
    let written = Shared::default();
    let queue = Arc::new(Queue::new(16, WhenFull::Drop, Some(Duration::from_secs(60))));
    let mut line = Vec::new();
    super::super::line::Lines::default().add(&mut line, &event("/")).unwrap();
    let disk = Small { takes: line.len() * 3 / 2, written: written.clone() };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let requests: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| queue.push(true, |lines, line| lines.add(line, &event("/")), || ())))
            .collect();
        while queue.waiting() < 2 || queue.commits_len() < 2 {
            std::thread::yield_now();
        }
        queue.close(JsonLinesAudit::DEFAULT_FLUSH_TIMEOUT);
        Writer::new(disk, Arc::clone(&queue)).run();
        requests.into_iter().map(|request| request.join().unwrap().is_ok()).collect()
    });
    assert_eq!(outcomes.iter().filter(|is_ok| **is_ok).count(), 1);
    assert_eq!(queue.lost(), 1);
}

#[test]
fn a_writer_that_panics_refuses_the_requests_that_wait() {
    let audit = before_handler().to_writer(Panicking).unwrap();
    assert!(audit.record(&event("/")).is_err());
    while audit.record(&event("/")).is_ok() {
        std::thread::yield_now();
    }
    assert!(audit.record(&event("/")).is_err());
}

#[test]
fn many_threads_find_each_of_their_records_written_once() {
    let out = Shared::default();
    let audit = before_handler().queue(64).when_full(WhenFull::Wait(Duration::from_secs(60)));
    let audit = audit.to_writer(out.clone()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let audit = &audit;
            scope.spawn(move || {
                for number in 0..200 {
                    audit.record(&event(&format!("/{thread}/{number}"))).unwrap();
                }
            });
        }
    });
    let mut lines = out.lines();
    assert_eq!(lines.len(), 1600);
    lines.sort();
    lines.dedup();
    assert_eq!((lines.len(), audit.0.queue.waiting()), (1600, 0));
}
