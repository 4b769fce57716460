//! The thread that writes.
//!
//! It rests in naps while records come, so that a request does not have to wake it, which would cost more
//! than everything else about a record; and it sleeps when none came for a second, so that an idle service
//! is idle. Where requests wait for their records it does not nap: each wakes it, or finds it writing. Before
//! it writes, and some times a second while it does not, it checks that its file is still the one of the path.

use std::{io, mem, sync::Arc, thread, time::Duration};

use super::{
    commit::Commit,
    output::{Output, Unwritten},
    queue::Queue,
    slot::{PAGE, Page, QUIET},
};
use crate::{audit::AuditError, clock::Stopwatch};

/// How long a record waits at most, unless the queue fills up before. Two hundred wake-ups a second cost
/// a core about a thousandth of its time, and at a hundred thousand requests a second one nap brings five
/// hundred records.
const NAP: Duration = Duration::from_millis(5);

/// How often an idle writer checks its file, so that a file that was renamed is noticed within a second.
const CHECK_INTERVAL: Duration = Duration::from_millis(400);

/// For how long a reader may take nothing before callers are refused.
const STALL: Duration = Duration::from_secs(1);

pub(crate) struct Writer<O: Output> {
    out: O,
    queue: Arc<Queue>,
    /// What was taken and is to be written at once.
    taken: Page,
    /// The requests that wait for records in `taken`, and where these end.
    commits: Vec<(usize, Arc<Commit>)>,
    checked: Stopwatch,
    /// Naps since a record came.
    idle: u32,
    /// Naps since a record was lost to a full queue, and how many were by then.
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

    // A name for who counts instructions.
    #[inline(never)]
    pub(crate) fn run(mut self) {
        while self.pass() {
            self.look_at_losses();
            if self.queue.unreachable.is_there() {
                // What waits cannot be written yet, however much it is.
                thread::park_timeout(NAP * 10);
            } else if (self.idle >= QUIET || self.queue.commits()) && self.queue.may_sleep() {
                self.queue.shrink();
                self.sleep();
            } else if !self.queue.commits() && (self.queue.may_nap() || self.idle > 0) {
                // A place that is taken while nothing is found is that of a line that is being written down.
                thread::park_timeout(NAP);
            }
            self.queue.is_busy();
        }
        // From here on records are refused. A thread that has a place already adds its line in a moment.
        self.queue.refuse();
        while self.queue.waiting() > 0 && !self.queue.is_out_of_time() {
            thread::yield_now();
            self.pass();
        }
        if self.queue.overflow().is_some() {
            self.queue.overflow_is_over();
        }
    }

    fn sleep(&self) {
        let fails = self.queue.failing.is_there();
        if self.out.is_watched() || fails { thread::park_timeout(CHECK_INTERVAL) } else { thread::park() }
    }

    /// Writes what waits and does what was ordered; `false` when that was the end.
    fn pass(&mut self) -> bool {
        // Before the records, so that every record accepted before a flush is one that it writes.
        let orders = self.queue.orders();
        let is_end = orders.closed.is_some();
        let is_idle = orders.flushes.is_empty() && self.queue.waiting() == 0;
        if let Err(error) = self.check(is_idle, is_end)
            && !is_end
        {
            // What waits stays in the queue, which is bounded.
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
            // What fits into one page is written at once.
            if self.taken.records > 0 && self.taken.lines.len() + page.lines.len() > PAGE {
                written = mem::replace(&mut written, Ok(())).and(self.write());
            }
            self.add(page);
        });
        if self.taken.records > 0 || !orders.flushes.is_empty() {
            // A failure is reported where it happens, and by `ready`.
            written = written.and(self.write());
        }
        for flush in orders.flushes {
            // Nobody waiting any more is no error.
            let _ = flush.send(written.as_ref().copied().map_err(copy));
        }
        self.idle = if records > 0 { 0 } else { self.idle.saturating_add(1) };
        !is_end
    }

    /// Makes sure that the output is there, and finds out whether one that failed is usable again.
    fn check(&mut self, is_idle: bool, is_end: bool) -> io::Result<()> {
        let is_due = is_end || self.checked.elapsed() >= CHECK_INTERVAL;
        // While there is nothing to open, not for each record.
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

    /// Writes what was taken. What cannot be written is lost, and counted: kept, it would grow for as
    /// long as the disk is full.
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
        // Before a request hears of its record: one that was refused has its place back.
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

    /// Logged once per failure, not once per record.
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

/// Also when a writer of the user's has panicked: what it had in hand still has its places.
impl<O: Output> Drop for Writer<O> {
    fn drop(&mut self) {
        for (_, commit) in self.commits.drain(..) {
            commit.settle(Err(AuditError::new("the audit writer has ended")));
        }
        self.queue.end();
    }
}
