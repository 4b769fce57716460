//! The thread that writes.
//!
//! It rests in naps while records come, so that a request does not have to wake it, which would cost more
//! than everything else about a record; and it sleeps when none came for a second, so that an idle service
//! is idle.

use std::{
    io::{self, Write},
    mem,
    sync::Arc,
    thread,
    time::Duration,
};

use super::{
    queue::Queue,
    slot::{PAGE, Page},
};

/// How long a record waits at most, unless the queue fills up before. Two hundred wake-ups a second cost
/// a core about a thousandth of its time, and at a hundred thousand requests a second one nap brings five
/// hundred records.
const NAP: Duration = Duration::from_millis(5);

/// A second of naps: how long none may bring a record before the thread sleeps, and how long none may
/// bring a loss before losses are called over.
pub(super) const QUIET: u32 = 200;

pub(super) struct Writer<W: Write> {
    out: W,
    queue: Arc<Queue>,
    /// What was taken and is to be written at once.
    taken: Page,
    /// The last write may have ended within a line.
    torn: bool,
    /// Naps since a record came.
    idle: u32,
    /// Naps since a record was lost to a full queue, and how many were by then.
    calm: (u32, u64),
}

impl<W: Write> Writer<W> {
    /// `torn` says that what is there already may end within a line.
    pub(super) fn new(out: W, torn: bool, queue: Arc<Queue>) -> Self {
        Self { out, queue, taken: Page::default(), torn, idle: 0, calm: (0, 0) }
    }

    // A name for who counts instructions.
    #[inline(never)]
    pub(super) fn run(mut self) {
        while self.pass() {
            self.look_at_losses();
            if self.idle >= QUIET && self.queue.may_sleep() {
                self.queue.shrink();
                thread::park();
            } else if self.queue.may_nap() || self.idle > 0 {
                // A place that is taken while nothing is found is that of a line that is being written down.
                thread::park_timeout(NAP);
            }
            self.queue.is_busy();
        }
        if self.queue.overflow().is_some() {
            self.queue.overflow_is_over();
        }
    }

    /// Writes what waits and does what was ordered; `false` when that was the end.
    fn pass(&mut self) -> bool {
        // Before the records, so that every record accepted before a flush is one that it writes.
        let orders = self.queue.orders();
        let mut records = 0;
        let mut written = Ok(());
        let queue = Arc::clone(&self.queue);
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
            let copy =
                written.as_ref().map(|_| ()).map_err(|error| io::Error::new(error.kind(), error.to_string()));
            // Nobody waiting any more is no error.
            let _ = flush.send(copy);
        }
        self.idle = if records > 0 { 0 } else { self.idle.saturating_add(1) };
        // Closed is when the last sink is gone, so nothing can follow what this has found.
        !orders.closed
    }

    pub(super) fn look_at_losses(&mut self) {
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
        let line_end: &[u8] = if self.torn && records > 0 { b"\n" } else { b"" };
        let written = self.out.write_all(line_end).and_then(|()| self.out.write_all(&self.taken.lines));
        let written = written.and_then(|()| self.out.flush());
        self.taken.lines.clear();
        match &written {
            Ok(()) if records > 0 => {
                self.torn = false;
                self.queue.set_failing(false);
            }
            Ok(()) => {}
            Err(error) => {
                self.torn = true;
                self.failed(records, error);
            }
        }
        self.queue.free(records);
        written
    }

    /// Logged once per failure, not once per record.
    fn failed(&self, records: usize, error: &io::Error) {
        self.queue.count_lost(records);
        if self.queue.set_failing(true) {
            tracing::error!(target: "service_only::audit", %error, records, "the audit log cannot be written");
        }
    }
}

/// Also when a writer of the user's has panicked: what it had in hand still has its places.
impl<W: Write> Drop for Writer<W> {
    fn drop(&mut self) {
        self.queue.end();
    }
}
