//! The state that requests and the writer share: the queued lines and their number, the state of the writer, and
//! the count of lost records.
//!
//! A request first reserves one of a limited number of places (`waiting`). Then it adds its line to the pages of
//! its thread ([`Slot`]). The writer frees the place after it has written the line.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    time::Duration,
};

use thread_local::ThreadLocal;

use super::{
    WhenFull,
    commit::{Commit, Commits, Failed, Waited, Waiting},
    line::Lines,
    slot::{Page, Pages, Slot},
    trouble::Trouble,
};
use crate::{
    audit::AuditError,
    clock::Stopwatch,
    threads::{OwnLine, locked},
};

pub(crate) struct Queue {
    slots: ThreadLocal<OwnLine<Slot>>,
    pages: Pages,
    /// The counter that every request writes, on a cache line apart from what every request reads.
    waiting: OwnLine<AtomicUsize>,
    capacity: usize,
    when_full: WhenFull,
    /// How long a request waits for its record to be written; `None` if requests do not wait.
    commit_wait: Option<Duration>,
    /// The lines whose requests wait. They are here instead of in `slots`.
    commits: Commits,
    /// The state of the writer. A request reads it to decide whether to wake the writer.
    doing: AtomicU8,
    orders: Mutex<Orders>,
    has_ended: Condvar,
    /// How many requests wait for a free place, and the condition variable that wakes them.
    queueing: AtomicUsize,
    room: (Mutex<()>, Condvar),
    lost: AtomicU64,
    /// Records lost to a full queue since the losses began. `overflowing` is set until they are over.
    overflowed: AtomicU64,
    overflowing: AtomicBool,
    /// The latest records could not be written to the disk.
    pub(crate) failing: Trouble,
    /// The path leads to another file, which cannot be opened.
    pub(crate) unreachable: Trouble,
}

/// Orders to the writer, beside writing records.
#[derive(Default)]
pub(crate) struct Orders {
    pub(crate) flushes: Vec<SyncSender<io::Result<()>>>,
    /// The queue is closed: since when, and how long the writer may take for the remaining records.
    pub(crate) closed: Option<(Stopwatch, Duration)>,
    ended: bool,
}

/// The writer checks the queue before it rests, so no request has to wake it.
const BUSY: u8 = 0;
/// The writer checks the queue again in some milliseconds. Only a queue that fills up wakes it earlier.
const NAPPING: u8 = 1;
/// The writer waits until a request wakes it.
const ASLEEP: u8 = 2;
/// The writer's thread has ended.
const ENDED: u8 = 3;
/// The writer writes the accepted records and accepts no more.
const CLOSING: u8 = 4;

impl Queue {
    pub(crate) fn new(records: usize, when_full: WhenFull, commit_wait: Option<Duration>) -> Self {
        Self {
            slots: ThreadLocal::new(),
            pages: Pages::default(),
            waiting: OwnLine::default(),
            capacity: records,
            when_full,
            commit_wait,
            commits: Commits::default(),
            doing: AtomicU8::new(BUSY),
            orders: Mutex::default(),
            has_ended: Condvar::new(),
            queueing: AtomicUsize::new(0),
            room: Default::default(),
            lost: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            overflowing: AtomicBool::new(false),
            failing: Trouble::default(),
            unreachable: Trouble::default(),
        }
    }

    /// Queues a record. `write` adds its line to the others; `admits` is whether the record admits its caller. `wake`
    /// wakes the writer, which costs a system call. Only the first record after a pause needs it, and the record that
    /// fills half of the queue.
    #[inline]
    pub(crate) fn push(
        &self,
        admits: bool,
        write: impl FnOnce(&mut Lines, &mut Vec<u8>) -> serde_json::Result<()>,
        wake: impl Fn(),
    ) -> Result<(), AuditError> {
        if let Some(limit) = self.commit_wait {
            return self.commit(admits, write, wake, limit);
        }
        let (waiting, doing) = self.enter(&wake)?;
        if let Err(error) = self.slots.get_or_default().0.add(&self.pages, write) {
            self.free(1);
            self.count_lost(1);
            return Err(error);
        }
        if doing == ASLEEP || (doing == NAPPING && waiting >= self.half()) {
            // Only one of several requests wakes the writer. `Relaxed` suffices because it only decides which one:
            // the slot's lock publishes the line, and waking is a release that the writer's rest acquires.
            let woken = self.doing.compare_exchange(doing, BUSY, Ordering::Relaxed, Ordering::Relaxed);
            if woken.is_ok() {
                wake();
            }
        }
        Ok(())
    }

    /// Reserves a place, and returns how many are reserved now and the state of the writer.
    #[inline]
    fn enter(&self, wake: &impl Fn()) -> Result<(usize, u8), AuditError> {
        let waiting = match self.place() {
            Some(waiting) => waiting,
            None => {
                wake();
                self.place_when_full()?
            }
        };
        // `SeqCst`, like the reservation before it. When the writer is about to sleep, close or end, at least one
        // of the request and the writer sees the other: see `may_sleep`, `refuse` and `end`.
        let doing = self.doing.load(Ordering::SeqCst);
        if doing >= ENDED {
            return Err(self.too_late(doing));
        }
        Ok((waiting, doing))
    }

    /// Frees a place that was reserved too late.
    #[cold]
    fn too_late(&self, doing: u8) -> AuditError {
        if doing == CLOSING {
            self.count_lost(1);
            self.free(1);
            return AuditError::new("the program is ending, and the audit log is closed");
        }
        self.abandon();
        AuditError::new("the audit writer has ended")
    }

    /// Queues a record, and returns after it is written. While records cannot be written, no request waits. The
    /// record of a refusal is queued then, and a record that admits its caller is an error. [`Queue::ready`] refuses
    /// most of these callers earlier, but the failure may begin after its answer.
    fn commit(
        &self,
        admits: bool,
        write: impl FnOnce(&mut Lines, &mut Vec<u8>) -> serde_json::Result<()>,
        wake: impl Fn(),
        limit: Duration,
    ) -> Result<(), AuditError> {
        let is_in_trouble = self.is_in_trouble();
        if admits && is_in_trouble {
            self.count_lost(1);
            return Err(AuditError::new("the audit log cannot be written").logged());
        }
        self.enter(&wake)?;
        let line = self.slots.get_or_default().0.line(write).inspect_err(|_| {
            self.count_lost(1);
            self.free(1);
        })?;
        let commit = (!is_in_trouble).then(Arc::<Commit>::default);
        self.commits.push(Waiting { line, commit: commit.clone() });
        // Load this after the line is added: either the writer finds the line before it sleeps, or this load sees
        // it asleep.
        match self.doing.load(Ordering::SeqCst) {
            ENDED => {
                self.commits.fail(&AuditError::new("the audit writer has ended"));
                self.abandon();
            }
            doing @ (ASLEEP | NAPPING) => {
                let woken = self.doing.compare_exchange(doing, BUSY, Ordering::Relaxed, Ordering::Relaxed);
                if woken.is_ok() {
                    wake();
                }
            }
            _ => {}
        }
        let Some(commit) = commit else { return Ok(()) };
        let outcome = commit.wait(limit);
        if let Waited::Settled(outcome) = outcome {
            return outcome;
        }
        let reason = format!("the disk did not write a record within {limit:?}");
        if self.failing.begin(reason.clone()) {
            tracing::error!(target: "service_only::audit", reason, "the audit log cannot be written");
        }
        if matches!(outcome, Waited::Withdrawn) {
            self.count_lost(1);
            return Err(AuditError::new(reason));
        }
        Err(AuditError::new(format!("{reason}; it is being written and may still arrive")))
    }

    /// Reports to the waiting requests that their records are lost.
    pub(crate) fn fail_commits(&self, error: &AuditError) {
        let Failed { lost, withdrawn } = self.commits.fail(error);
        self.count_lost(lost);
        if lost + withdrawn > 0 {
            self.free(lost + withdrawn);
        }
    }

    /// Takes the lines whose requests wait.
    pub(crate) fn take_commits(&self) -> Vec<Waiting> {
        let (taken, withdrawn) = self.commits.take();
        if withdrawn > 0 {
            self.free(withdrawn);
        }
        taken
    }

    /// Whether requests wait for their records to be written.
    pub(crate) fn commits(&self) -> bool {
        self.commit_wait.is_some()
    }

    #[cfg(test)]
    pub(crate) fn commits_len(&self) -> usize {
        self.commits.len()
    }

    fn is_in_trouble(&self) -> bool {
        self.failing.is_there() || self.unreachable.is_there()
    }

    /// Reserves a place if one is free, and returns how many are reserved now.
    #[inline]
    fn place(&self) -> Option<usize> {
        let next = |waiting: usize| (waiting < self.capacity).then_some(waiting + 1);
        self.waiting.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).ok().and_then(next)
    }

    /// Frees the places of records that are written, or are lost and counted.
    pub(crate) fn free(&self, records: usize) {
        // After the writer has ended, no place may be left to free.
        let rest = |waiting: usize| Some(waiting.saturating_sub(records));
        let _ = self.waiting.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, rest);
        // `SeqCst`, like the place before it. A request that found the queue full and is about to wait either finds
        // a place, or this load sees it.
        if self.queueing.load(Ordering::SeqCst) > 0 {
            self.tell_of_room();
        }
    }

    #[cold]
    fn place_when_full(&self) -> Result<usize, AuditError> {
        let place = match self.when_full {
            WhenFull::Wait(longest) => self.wait_for_place(longest),
            WhenFull::Drop | WhenFull::Deny => None,
        };
        place.ok_or_else(|| {
            self.count_lost(1);
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            if !self.overflowing.swap(true, Ordering::Relaxed) {
                tracing::error!(target: "service_only::audit", "the audit queue is full, so records are being lost");
            }
            AuditError::new("the audit queue is full").logged()
        })
    }

    fn wait_for_place(&self, longest: Duration) -> Option<usize> {
        let mut place = None;
        self.queueing.fetch_add(1, Ordering::SeqCst);
        let (lock, room) = &self.room;
        let waited = room.wait_timeout_while(locked(lock), longest, |()| {
            place = self.place();
            place.is_none()
        });
        drop(waited);
        self.queueing.fetch_sub(1, Ordering::SeqCst);
        place
    }

    #[cold]
    fn tell_of_room(&self) {
        let (lock, room) = &self.room;
        // A request that has found the queue full and does not wait yet holds the lock.
        drop(locked(lock));
        room.notify_all();
    }

    /// Passes the lines of each thread to `with`, in the order in which the thread wrote them. They include every
    /// line that was accepted before an order that the writer has seen: the order's lock publishes the thread's
    /// slot, and the slot's lock publishes the line.
    pub(crate) fn take(&self, mut with: impl FnMut(Page)) {
        let mut spare = Page::default();
        for slot in &self.slots {
            if spare.lines.capacity() == 0 {
                spare = self.pages.empty();
            }
            slot.0.take(&mut spare).for_each(&mut with);
        }
        self.keep(spare);
    }

    /// Keeps an empty page, or a page that was written, for reuse.
    pub(crate) fn keep(&self, page: Page) {
        self.pages.keep(page);
    }

    fn half(&self) -> usize {
        self.capacity.div_ceil(2)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.0.load(Ordering::SeqCst)
    }

    /// Marks the writer as asleep, and returns whether it may sleep because nothing is queued. Both operations are
    /// `SeqCst`, so they have one total order with those of a request. Either this load comes after the reservation
    /// of a place, and the writer stays awake. Or the request's load of `doing` comes after this store, and it
    /// wakes the writer.
    pub(crate) fn may_sleep(&self) -> bool {
        self.doing.store(ASLEEP, Ordering::SeqCst);
        // A request that waits loads `doing` after it has added its line.
        if self.commits() { self.commits.is_empty() } else { self.waiting() == 0 }
    }

    /// Marks the writer as napping, and returns whether the queue is less than half full. A request that this load
    /// does not see is seen when the nap is over.
    pub(crate) fn may_nap(&self) -> bool {
        self.doing.store(NAPPING, Ordering::SeqCst);
        self.waiting() < self.half()
    }

    /// Marks the writer as busy. `Relaxed`: a request that does not see it yet wakes a writer that is awake.
    pub(crate) fn is_busy(&self) {
        self.doing.store(BUSY, Ordering::Relaxed);
    }

    /// Frees the memory that is not needed while nothing is recorded.
    pub(crate) fn shrink(&self) {
        self.slots.iter().for_each(|slot| slot.0.shrink());
        self.pages.shrink();
    }

    /// Takes the orders so far. The order to close remains.
    pub(crate) fn orders(&self) -> Orders {
        let mut orders = locked(&self.orders);
        Orders { flushes: std::mem::take(&mut orders.flushes), closed: orders.closed, ended: orders.ended }
    }

    /// Orders a flush of the records accepted until now; `None` if the writer has ended. Wake the writer afterwards.
    pub(crate) fn order_flush(&self) -> Option<Receiver<io::Result<()>>> {
        let (done, written) = mpsc::sync_channel(1);
        let mut orders = locked(&self.orders);
        (!orders.ended).then(|| {
            orders.flushes.push(done);
            written
        })
    }

    /// Orders the writer to end after it has written the accepted records, or after `limit`.
    pub(crate) fn close(&self, limit: Duration) {
        locked(&self.orders).closed.get_or_insert_with(|| (Stopwatch::start(), limit));
    }

    /// Whether the writer was ordered to end and its time is over.
    pub(crate) fn is_out_of_time(&self) -> bool {
        let closed = locked(&self.orders).closed;
        closed.is_some_and(|(since, limit)| since.elapsed() >= limit)
    }

    /// Waits for the writer to end, and returns whether it has.
    pub(crate) fn await_end(&self, limit: Duration) -> bool {
        let orders = locked(&self.orders);
        let waited = self.has_ended.wait_timeout_while(orders, limit, |orders| !orders.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    pub(crate) fn has_ended(&self) -> bool {
        locked(&self.orders).ended
    }

    /// Accepts no record from now on. Records that have a place already are still written.
    pub(crate) fn refuse(&self) {
        self.doing.store(CLOSING, Ordering::SeqCst);
    }

    /// Marks the writer as ended, for whatever reason: no record is accepted from now on, and no request waits for
    /// it.
    pub(crate) fn end(&self) {
        // Store this before the places are counted, and with `SeqCst`: a request that takes a place after the count
        // sees it.
        self.doing.store(ENDED, Ordering::SeqCst);
        self.abandon();
        let mut orders = locked(&self.orders);
        orders.ended = true;
        orders.flushes.clear();
        drop(orders);
        self.has_ended.notify_all();
        self.commits.fail(&AuditError::new("the audit writer has ended"));
        self.tell_of_room();
    }

    /// Counts the records that will never be written. Each place is counted once, by the first thread that gets here.
    fn abandon(&self) {
        let records = self.waiting.0.swap(0, Ordering::SeqCst);
        self.count_lost(records);
    }

    pub(crate) fn ready(&self) -> Result<(), AuditError> {
        if let Some(reason) = self.trouble() {
            return Err(AuditError::new(format!("the audit log cannot be written: {reason}")));
        }
        let denies_from = self.capacity - self.capacity / 8;
        if self.is_required() && self.waiting() >= denies_from {
            return Err(AuditError::new("the audit queue is nearly full"));
        }
        Ok(())
    }

    /// Why records cannot be written now.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.unreachable.reason().or_else(|| self.failing.reason())
    }

    pub(crate) fn is_required(&self) -> bool {
        self.when_full == WhenFull::Deny || self.commits()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(crate) fn count_lost(&self, records: usize) {
        self.lost.fetch_add(records as u64, Ordering::Relaxed);
    }

    /// Records lost to a full queue since the losses began, if they are not over.
    pub(crate) fn overflow(&self) -> Option<u64> {
        self.overflowing.load(Ordering::Relaxed).then(|| self.overflowed.load(Ordering::Relaxed))
    }

    /// Marks the losses as over.
    pub(crate) fn overflow_is_over(&self) {
        self.overflowing.store(false, Ordering::Relaxed);
        let lost = self.overflowed.swap(0, Ordering::Relaxed);
        tracing::error!(target: "service_only::audit", lost, "the audit queue has room again");
    }
}
