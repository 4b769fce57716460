//! What requests and the writer share: the lines that wait, how many they are, what the writer is doing,
//! what was lost.
//!
//! A request takes one of the places that there are for records (`waiting`), and then adds its line to the
//! pages of its thread ([`Slot`]). The writer frees the place when the line is written.

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
    /// What every request writes to, apart from what every request reads.
    waiting: OwnLine<AtomicUsize>,
    capacity: usize,
    when_full: WhenFull,
    /// How long a request waits for its record to be written; nothing where requests do not wait.
    commit_wait: Option<Duration>,
    /// The lines whose requests wait, instead of those in `slots`.
    commits: Commits,
    /// What the writer is doing, by which a request knows whether to wake it.
    doing: AtomicU8,
    orders: Mutex<Orders>,
    has_ended: Condvar,
    /// Requests that wait for room, and how they hear of it.
    queueing: AtomicUsize,
    room: (Mutex<()>, Condvar),
    lost: AtomicU64,
    /// Records lost to a full queue since losses began; `overflowing` until they are over.
    overflowed: AtomicU64,
    overflowing: AtomicBool,
    /// The disk did not take the latest records.
    pub(crate) failing: Trouble,
    /// The path leads elsewhere, and what is there cannot be opened.
    pub(crate) unreachable: Trouble,
}

/// What the writer is told to do beside writing.
#[derive(Default)]
pub(crate) struct Orders {
    pub(crate) flushes: Vec<SyncSender<io::Result<()>>>,
    /// No record follows; since when, and how long the writer may take for the rest.
    pub(crate) closed: Option<(Stopwatch, Duration)>,
    ended: bool,
}

/// It looks at the queue before it rests, so nobody has to wake it.
const BUSY: u8 = 0;
/// It looks at the queue in some milliseconds; only a queue that fills up wakes it.
const NAPPING: u8 = 1;
/// It waits to be woken.
const ASLEEP: u8 = 2;
/// Its thread is gone.
const ENDED: u8 = 3;
/// It writes what was accepted, and accepts nothing.
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

    /// Hands over a record, whose line `write` adds to others, and whether it `admits` its caller. `wake` wakes the
    /// writer, which costs a system call: the first record after a pause needs it, and the one that fills half of the
    /// queue.
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
            // Of several requests one wakes it. `Relaxed`, as it decides only who that is: what the writer
            // finds it is told by the slot's lock, and waking is itself a release that its rest acquires.
            let woken = self.doing.compare_exchange(doing, BUSY, Ordering::Relaxed, Ordering::Relaxed);
            if woken.is_ok() {
                wake();
            }
        }
        Ok(())
    }

    /// Takes a place, and says how many are taken then and what the writer is doing.
    #[inline]
    fn enter(&self, wake: &impl Fn()) -> Result<(usize, u8), AuditError> {
        let waiting = match self.place() {
            Some(waiting) => waiting,
            None => {
                wake();
                self.place_when_full()?
            }
        };
        // `SeqCst`, as is the place that was taken before: of a request and a writer that is about to sleep,
        // to close or to end at least one sees the other, see `may_sleep`, `refuse` and `end`.
        let doing = self.doing.load(Ordering::SeqCst);
        if doing >= ENDED {
            return Err(self.too_late(doing));
        }
        Ok((waiting, doing))
    }

    /// Gives a place back that was taken too late.
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

    /// Hands over a record, and returns when it is written. While records cannot be written, no request waits: the
    /// record of a refusal is queued, and one that admits its caller is an error. [`Queue::ready`] refuses most of
    /// these callers earlier, but the trouble may begin after its answer.
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
        // After the line: either the writer finds it before it sleeps, or is seen asleep here.
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
        let reason = format!("the disk did not take a record within {limit:?}");
        if self.failing.begin(reason.clone()) {
            tracing::error!(target: "service_only::audit", reason, "the audit log cannot be written");
        }
        if matches!(outcome, Waited::Withdrawn) {
            self.count_lost(1);
            return Err(AuditError::new(reason));
        }
        Err(AuditError::new(format!("{reason}; it is being written and may still arrive")))
    }

    /// Tells the requests that wait that their records are lost.
    pub(crate) fn fail_commits(&self, error: &AuditError) {
        let Failed { lost, withdrawn } = self.commits.fail(error);
        self.count_lost(lost);
        if lost + withdrawn > 0 {
            self.free(lost + withdrawn);
        }
    }

    /// The lines whose requests wait.
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

    /// Takes a place, if there is one, and says how many are taken then.
    #[inline]
    fn place(&self) -> Option<usize> {
        let next = |waiting: usize| (waiting < self.capacity).then_some(waiting + 1);
        self.waiting.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).ok().and_then(next)
    }

    /// Places whose records are written, or lost and counted.
    pub(crate) fn free(&self, records: usize) {
        // Once the writer has ended there may be none left to free.
        let rest = |waiting: usize| Some(waiting.saturating_sub(records));
        let _ = self.waiting.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, rest);
        // `SeqCst`, as is the place before: whoever found the queue full and is about to wait either finds
        // a place, or is seen here.
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
        // Whoever has found the queue full and does not wait yet holds the lock.
        drop(locked(lock));
        room.notify_all();
    }

    /// The lines of each thread, in the order in which it wrote them. What was accepted before an order that
    /// the writer has seen is among them: the order's lock tells it of the thread's slot, and that slot's lock
    /// of the line.
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

    /// Keeps an empty page, or one that was written.
    pub(crate) fn keep(&self, page: Page) {
        self.pages.keep(page);
    }

    fn half(&self) -> usize {
        self.capacity.div_ceil(2)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.0.load(Ordering::SeqCst)
    }

    /// Says that the writer is going to sleep, unless there is something to write. `SeqCst` on both: in the
    /// one order of all such operations either this load comes after the place that a request takes, and the
    /// writer stays awake; or the request's look at `doing` comes after this store, and the request wakes it.
    pub(crate) fn may_sleep(&self) -> bool {
        self.doing.store(ASLEEP, Ordering::SeqCst);
        // A request that waits looks at `doing` after it has added its line.
        if self.commits() { self.commits.is_empty() } else { self.waiting() == 0 }
    }

    /// Says that the writer is going to nap, unless the queue fills up. Whoever is not seen here is seen when
    /// the nap is over.
    pub(crate) fn may_nap(&self) -> bool {
        self.doing.store(NAPPING, Ordering::SeqCst);
        self.waiting() < self.half()
    }

    /// `Relaxed`: a request that does not see it yet wakes a writer that is awake.
    pub(crate) fn is_busy(&self) {
        self.doing.store(BUSY, Ordering::Relaxed);
    }

    /// Gives back the memory that nobody needs while nothing is recorded.
    pub(crate) fn shrink(&self) {
        self.slots.iter().for_each(|slot| slot.0.shrink());
        self.pages.shrink();
    }

    /// The orders so far. Closing stays.
    pub(crate) fn orders(&self) -> Orders {
        let mut orders = locked(&self.orders);
        Orders { flushes: std::mem::take(&mut orders.flushes), closed: orders.closed, ended: orders.ended }
    }

    /// A flush of what was accepted until now; nothing where nobody is left to do it. Then it wakes.
    pub(crate) fn order_flush(&self) -> Option<Receiver<io::Result<()>>> {
        let (done, written) = mpsc::sync_channel(1);
        let mut orders = locked(&self.orders);
        (!orders.ended).then(|| {
            orders.flushes.push(done);
            written
        })
    }

    /// Ends the writer when it has written what was accepted, or after `limit`.
    pub(crate) fn close(&self, limit: Duration) {
        locked(&self.orders).closed.get_or_insert_with(|| (Stopwatch::start(), limit));
    }

    /// Whether the writer was told to end, and has had its time.
    pub(crate) fn is_out_of_time(&self) -> bool {
        let closed = locked(&self.orders).closed;
        closed.is_some_and(|(since, limit)| since.elapsed() >= limit)
    }

    /// Waits for the writer to end, and says whether it has.
    pub(crate) fn await_end(&self, limit: Duration) -> bool {
        let orders = locked(&self.orders);
        let waited = self.has_ended.wait_timeout_while(orders, limit, |orders| !orders.ended);
        waited.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    pub(crate) fn has_ended(&self) -> bool {
        locked(&self.orders).ended
    }

    /// Accepts nothing from now on; what has a place already is still to be written.
    pub(crate) fn refuse(&self) {
        self.doing.store(CLOSING, Ordering::SeqCst);
    }

    /// The writer is gone, in whatever way: nothing is accepted from now on, and nobody waits for it.
    pub(crate) fn end(&self) {
        // Before the places are counted, and `SeqCst`: who takes a place after that count sees this.
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

    /// Counts what nobody will write: each place once, whoever comes first.
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

    /// Records lost to a full queue since losses began, if they are not over.
    pub(crate) fn overflow(&self) -> Option<u64> {
        self.overflowing.load(Ordering::Relaxed).then(|| self.overflowed.load(Ordering::Relaxed))
    }

    /// Says that the losses are over.
    pub(crate) fn overflow_is_over(&self) {
        self.overflowing.store(false, Ordering::Relaxed);
        let lost = self.overflowed.swap(0, Ordering::Relaxed);
        tracing::error!(target: "service_only::audit", lost, "the audit queue has room again");
    }
}
