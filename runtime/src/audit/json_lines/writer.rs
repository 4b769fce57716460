//! The thread that writes the queued records.
//!
//! While records arrive, the thread rests in short naps, so that a request does not have to wake it. Waking would
//! cost more than all other work for a record. When no record has arrived for a second, the thread sleeps, so that
//! an idle service is idle. If requests wait for their records, it does not nap: each request wakes it, or finds it
//! writing. Before it writes, and some times a second while it does not, it checks that its file is still the one
//! of the path.

use std::{io, mem, sync::Arc, thread, time::Duration};

use super::{
    commit::Commit,
    output::{Output, Unwritten},
    queue::Queue,
    slot::{PAGE, Page, QUIET},
};
use crate::{audit::AuditError, clock::Stopwatch};

/// How long a record waits at most, unless the queue fills up earlier. Two hundred wake-ups a second take
/// about a thousandth of a core. At a hundred thousand requests a second, one nap collects five
/// hundred records.
const NAP: Duration = Duration::from_millis(5);

/// How often an idle writer checks its file, so that a file that was renamed is noticed within a second.
const CHECK_INTERVAL: Duration = Duration::from_millis(400);
// The documentation promises one second, and a check takes a moment.
const _: () = assert!(CHECK_INTERVAL.as_millis() * 2 < 1000);

/// How long a reader may take no data before callers are refused.
const STALL: Duration = Duration::from_secs(1);

pub(crate) struct Writer<O: Output> {
    out: O,
    queue: Arc<Queue>,
    /// The records that were taken and will be written together.
    taken: Page,
    /// The requests that wait for records in `taken`, and the end of each record.
    commits: Vec<(usize, Arc<Commit>)>,
    checked: Stopwatch,
    /// The number of naps since the last record.
    idle: u32,
    /// The number of naps since the last loss to a full queue, and the number of losses until then.
    calm: (u32, u64),
}

impl<O: Output> Writer<O> {
    pub(crate) fn new(out: O, queue: Arc<Queue>) -> Self {
        Self {
            out,
            queue,
            taken: Page::default(),
            commits: Vec::new(),
            checked: Stopwatch::start(),
            idle: 0,
            calm: (0, 0),
        }
    }

    // Not inlined, so that an instruction profiler shows its name.
    #[inline(never)]
    pub(crate) fn run(mut self) {
        while self.pass() {
            self.out.tick(self.queue.lost());
            self.look_at_losses();
            if self.queue.unreachable.is_there() {
                // Records cannot be written yet, however many are queued.
                thread::park_timeout(NAP * 10);
            } else if (self.idle >= QUIET || self.queue.commits()) && self.queue.may_sleep() {
                self.queue.shrink();
                self.sleep();
            } else if !self.queue.commits() && (self.queue.may_nap() || self.idle > 0) {
                // A place is taken but no line is found yet: a request is still writing its line.
                thread::park_timeout(NAP);
            }
            self.queue.is_busy();
        }
        // From here on records are refused. A thread that has a place already adds its line soon.
        self.queue.refuse();
        while self.queue.waiting() > 0 && !self.queue.is_out_of_time() {
            thread::yield_now();
            self.pass();
        }
        if self.queue.overflow().is_some() {
            self.queue.overflow_is_over();
        }
        self.out.finish(self.queue.lost());
    }

    fn sleep(&self) {
        let fails = self.queue.failing.is_there();
        if self.out.is_watched() || fails { thread::park_timeout(CHECK_INTERVAL) } else { thread::park() }
    }

    /// Writes the queued records and executes the orders; `false` if the writer must end.
    fn pass(&mut self) -> bool {
        // Take the orders before the records, so that a flush writes every record that was accepted before it.
        let orders = self.queue.orders();
        let is_end = orders.closed.is_some();
        let is_idle = orders.flushes.is_empty() && self.queue.waiting() == 0;
        if let Err(error) = self.check(is_idle, is_end)
            && !is_end
        {
            // The records stay in the queue, which is bounded.
            self.queue.fail_commits(&AuditError::new(error.to_string()).logged());
            orders.flushes.into_iter().for_each(|flush| drop(flush.send(Err(copy(&error)))));
            return true;
        }
        let mut records = 0;
        let mut written = Ok(());
        let queue = Arc::clone(&self.queue);
        if queue.commits() {
            for waiting in queue.take_commits() {
                records += 1;
                self.taken.lines.extend_from_slice(&waiting.line);
                self.taken.records += 1;
                self.commits.extend(waiting.commit.map(|commit| (self.taken.lines.len(), commit)));
            }
        }
        queue.take(|page| {
            records += page.records;
            // Records that fit into one page are written together.
            if self.taken.records > 0 && self.taken.lines.len() + page.lines.len() > PAGE {
                written = mem::replace(&mut written, Ok(())).and(self.write());
            }
            self.add(page);
        });
        if self.taken.records > 0 || !orders.flushes.is_empty() {
            // The failure is reported where it happens, and by `ready`.
            written = written.and(self.write());
        }
        // Records that were accepted before may be lost, although nothing is left to write.
        if let (Ok(()), Some(reason)) = (&written, queue.failing.reason()) {
            written = Err(io::Error::other(reason));
        }
        for flush in orders.flushes {
            // The send fails if the flush has timed out, which is not an error.
            let _ = flush.send(written.as_ref().copied().map_err(copy));
        }
        self.idle = if records > 0 { 0 } else { self.idle.saturating_add(1) };
        !is_end
    }

    /// Makes sure that the output is available, and finds out whether a failed one is usable again.
    fn check(&mut self, is_idle: bool, is_end: bool) -> io::Result<()> {
        let is_due = is_end || self.checked.elapsed() >= CHECK_INTERVAL;
        // Log once while the file cannot be opened, not for each record.
        let is_unreachable = self.queue.unreachable.is_there();
        if !is_due && is_unreachable {
            let reason = self.queue.unreachable.reason().unwrap_or_default();
            return Err(io::Error::other(reason));
        }
        if (is_idle || !self.out.is_watched()) && !is_due {
            return Ok(());
        }
        if is_due {
            self.checked = Stopwatch::start();
        }
        if let Err(error) = self.out.check() {
            if self.queue.unreachable.begin(error.to_string()) {
                tracing::error!(target: "service_only::audit", %error, "the audit log cannot be opened again");
            }
            return Err(error);
        }
        if self.queue.unreachable.end() {
            tracing::error!(target: "service_only::audit", "the audit log is open again");
            self.queue.failing.end();
        }
        if is_due && self.queue.failing.is_there() && self.out.has_recovered() {
            self.recovered();
        }
        Ok(())
    }

    fn recovered(&self) {
        if self.queue.failing.end() {
            tracing::error!(target: "service_only::audit", "the audit log can be written again");
        }
    }

    pub(crate) fn look_at_losses(&mut self) {
        self.calm = match (self.queue.overflow(), self.calm) {
            (None, _) => (0, 0),
            (Some(lost), (naps, before)) if lost == before => (naps + 1, lost),
            (Some(lost), _) => (0, lost),
        };
        if self.calm.0 >= QUIET {
            self.queue.overflow_is_over();
        }
    }

    fn add(&mut self, page: Page) {
        if self.taken.records == 0 {
            self.queue.keep(mem::replace(&mut self.taken, page));
        } else {
            self.taken.lines.extend_from_slice(&page.lines);
            self.taken.records += page.records;
            self.queue.keep(page);
        }
    }

    /// Writes the taken records. Records that cannot be written are lost and counted. If they were kept, memory would
    /// grow for as long as the disk is full.
    fn write(&mut self) -> io::Result<()> {
        let records = mem::take(&mut self.taken.records);
        let queue = Arc::clone(&self.queue);
        let mut stall = None;
        let mut stalled = || {
            if stall.get_or_insert_with(Stopwatch::start).elapsed() >= STALL {
                let reason = "the reader of the audit log does not read";
                if queue.failing.begin(reason.to_owned()) {
                    tracing::error!(target: "service_only::audit", reason, "the audit log cannot be written");
                }
            }
            thread::park_timeout(NAP);
            queue.is_out_of_time()
        };
        let written = self.out.append(&self.taken.lines, &mut stalled);
        let (written, error) = match written {
            Ok(()) => (self.taken.lines.len(), None),
            Err(Unwritten { written, error }) => (written, Some(error)),
        };
        match &error {
            None if records > 0 => self.recovered(),
            None => {}
            Some(error) => {
                let whole = self.taken.lines.iter().take(written).filter(|byte| **byte == b'\n').count();
                self.failed(records.saturating_sub(whole), error);
            }
        }
        // Free the places before requests learn the outcome: a request that is refused has its place freed already.
        self.queue.free(records);
        for (end, commit) in self.commits.drain(..) {
            commit.settle(match &error {
                Some(error) if end > written => Err(AuditError::new(error.to_string()).logged()),
                _ => Ok(()),
            });
        }
        self.taken.lines.clear();
        error.map_or(Ok(()), Err)
    }

    /// Logs a failure once, not for every record.
    fn failed(&self, lost: usize, error: &io::Error) {
        self.queue.count_lost(lost);
        if self.queue.failing.begin(error.to_string()) {
            tracing::error!(target: "service_only::audit", %error, records = lost, "the audit log cannot be written");
        }
    }
}

fn copy(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

/// Also runs after a custom writer has panicked: the records that it was writing still occupy their places.
impl<O: Output> Drop for Writer<O> {
    fn drop(&mut self) {
        for (_, commit) in self.commits.drain(..) {
            commit.settle(Err(AuditError::new("the audit writer has ended")));
        }
        self.queue.end();
    }
}
