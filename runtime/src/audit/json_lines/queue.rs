//! What requests and the writer share: the records that wait, what the writer is doing, what was lost.

use std::{
    io,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence},
        mpsc::{self, Receiver, SyncSender},
    },
    time::Duration,
};

use crossbeam_queue::ArrayQueue;

use super::{Record, WhenFull};
use crate::audit::AuditError;

pub(super) struct Queue {
    records: ArrayQueue<Record>,
    when_full: WhenFull,
    /// What the writer is doing, by which a request knows whether to wake it.
    doing: AtomicU8,
    orders: Mutex<Orders>,
    /// Requests that wait for room, and how they hear of it.
    waiting: AtomicUsize,
    room: (Mutex<()>, Condvar),
    lost: AtomicU64,
    /// Records lost to a full queue since losses began; `overflowing` until they are over.
    overflowed: AtomicU64,
    overflowing: AtomicBool,
    /// The disk did not take the latest records.
    failing: AtomicBool,
}

/// What the writer is told to do beside writing.
#[derive(Default)]
pub(super) struct Orders {
    pub(super) flushes: Vec<SyncSender<io::Result<()>>>,
    pub(super) closed: bool,
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

impl Queue {
    pub(super) fn new(records: usize, when_full: WhenFull) -> Self {
        Self {
            records: ArrayQueue::new(records),
            when_full,
            doing: AtomicU8::new(BUSY),
            orders: Mutex::default(),
            waiting: AtomicUsize::new(0),
            room: Default::default(),
            lost: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            overflowing: AtomicBool::new(false),
            failing: AtomicBool::new(false),
        }
    }

    /// Hands over a record. `wake` wakes the writer, which costs a system call: the first record after a
    /// pause needs it, and the one that fills half of the queue.
    #[inline]
    pub(super) fn push(&self, record: Record, wake: impl Fn()) -> Result<(), AuditError> {
        if let Err(record) = self.records.push(record) {
            wake();
            self.push_when_full(record)?;
        }
        // Either this sees what the writer is doing, or the writer sees the record: see `rest`.
        fence(Ordering::SeqCst);
        let doing = self.doing.load(Ordering::Relaxed);
        match doing {
            NAPPING if self.records.len() < self.half() => {}
            NAPPING | ASLEEP => {
                // Of several requests one wakes it.
                let woken = self.doing.compare_exchange(doing, BUSY, Ordering::Relaxed, Ordering::Relaxed);
                if woken.is_ok() {
                    wake();
                }
            }
            ENDED => {
                self.abandon();
                return Err(AuditError::new("the audit writer has ended"));
            }
            _ => {}
        }
        Ok(())
    }

    #[cold]
    fn push_when_full(&self, record: Record) -> Result<(), AuditError> {
        let kept = match self.when_full {
            WhenFull::Wait(longest) => self.wait_for_room(record, longest),
            WhenFull::Drop | WhenFull::Deny => false,
        };
        if kept {
            return Ok(());
        }
        self.count_lost(1);
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        if !self.overflowing.swap(true, Ordering::Relaxed) {
            tracing::error!(target: "service_only::audit", "the audit queue is full, so records are being lost");
        }
        Err(AuditError::new("the audit queue is full").logged())
    }

    fn wait_for_room(&self, record: Record, longest: Duration) -> bool {
        let mut waiting = Some(record);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let (lock, room) = &self.room;
        let kept = room.wait_timeout_while(unpoisoned(lock), longest, |()| {
            waiting = waiting.take().and_then(|record| self.records.push(record).err());
            waiting.is_some()
        });
        drop(kept);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        waiting.is_none()
    }

    /// Lets those in who wait for room.
    pub(super) fn tell_of_room(&self) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let (lock, room) = &self.room;
            // Whoever has found the queue full and does not wait yet holds the lock.
            drop(unpoisoned(lock));
            room.notify_all();
        }
    }

    pub(super) fn pop(&self) -> Option<Record> {
        self.records.pop()
    }

    pub(super) fn capacity(&self) -> usize {
        self.records.capacity()
    }

    fn half(&self) -> usize {
        self.capacity().div_ceil(2)
    }

    /// Says that the writer is going to rest, unless there is something to do.
    pub(super) fn may_rest(&self, asleep: bool) -> bool {
        self.doing.store(if asleep { ASLEEP } else { NAPPING }, Ordering::Relaxed);
        // Either this sees a record, or who brings it sees that it has to wake: see `push`.
        fence(Ordering::SeqCst);
        let enough = if asleep { 1 } else { self.half() };
        self.records.len() < enough
    }

    pub(super) fn is_busy(&self) {
        self.doing.store(BUSY, Ordering::Relaxed);
    }

    /// The orders so far. Closing stays.
    pub(super) fn orders(&self) -> Orders {
        let mut orders = unpoisoned(&self.orders);
        Orders { flushes: std::mem::take(&mut orders.flushes), closed: orders.closed, ended: orders.ended }
    }

    /// A flush of what was accepted until now; nothing where nobody is left to do it. Then it wakes.
    pub(super) fn order_flush(&self) -> Option<Receiver<io::Result<()>>> {
        let (done, written) = mpsc::sync_channel(1);
        let mut orders = unpoisoned(&self.orders);
        (!orders.ended).then(|| {
            orders.flushes.push(done);
            written
        })
    }

    pub(super) fn close(&self) {
        unpoisoned(&self.orders).closed = true;
    }

    /// The writer is gone, in whatever way: nothing is accepted from now on, and nobody waits for it.
    pub(super) fn end(&self) {
        self.doing.store(ENDED, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.abandon();
        let mut orders = unpoisoned(&self.orders);
        orders.ended = true;
        orders.flushes.clear();
        drop(orders);
        self.tell_of_room();
    }

    /// Counts what nobody will write.
    fn abandon(&self) {
        while self.records.pop().is_some() {
            self.count_lost(1);
        }
    }

    pub(super) fn ready(&self) -> Result<(), AuditError> {
        if self.failing.load(Ordering::Relaxed) {
            return Err(AuditError::new("the audit log cannot be written"));
        }
        let denies_from = self.capacity() - self.capacity() / 8;
        if self.is_required() && self.records.len() >= denies_from {
            return Err(AuditError::new("the audit queue is nearly full"));
        }
        Ok(())
    }

    pub(super) fn is_required(&self) -> bool {
        self.when_full == WhenFull::Deny
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn count_lost(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    /// Sets whether the disk fails, and says whether that is news.
    pub(super) fn set_failing(&self, failing: bool) -> bool {
        self.failing.swap(failing, Ordering::Relaxed) != failing
    }

    /// Records lost to a full queue since losses began, if they are not over.
    pub(super) fn overflow(&self) -> Option<u64> {
        self.overflowing.load(Ordering::Relaxed).then(|| self.overflowed.load(Ordering::Relaxed))
    }

    /// Says that the losses are over.
    pub(super) fn overflow_is_over(&self) {
        self.overflowing.store(false, Ordering::Relaxed);
        let lost = self.overflowed.swap(0, Ordering::Relaxed);
        tracing::error!(target: "service_only::audit", lost, "the audit queue has room again");
    }
}

fn unpoisoned<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
