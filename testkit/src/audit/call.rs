//! Which records are of the call at hand. Records and calls are numbered by one counter, so that a record
//! of an earlier call is never taken for one of this.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

use service_only::audit::AuditRecord;

use super::RecordingAudit;

/// An instant between two records. The counter says nothing else, so tests may share it.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

static TICKS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// When this thread last called an app whose audit is not known.
    static LATEST_CALL: Cell<Tick> = const { Cell::new(Tick(0)) };
}

impl Tick {
    pub(crate) fn next() -> Self {
        Self(TICKS.fetch_add(1, Ordering::Relaxed))
    }

    /// Notes a call that may leave its record in any audit.
    #[cfg(feature = "axum")]
    pub(crate) fn of_call() -> Self {
        let tick = Self::next();
        LATEST_CALL.set(tick);
        tick
    }

    pub(crate) fn latest_call() -> Self {
        LATEST_CALL.get()
    }
}

/// A mark in an audit: the records that came after it. Made by [`RecordingAudit::mark`], before a call that
/// the kit does not make itself.
///
/// ```
/// use service_only_testkit::{TestAuthority, assert_audited};
///
/// let authority = TestAuthority::new();
/// let verifier = authority.verifier();
/// let _ = verifier.verify(&authority.service("orders").expired().token());
///
/// let mark = authority.audit().mark();
/// let _ = verifier.verify(&authority.service("orders").token());
/// assert_audited!(mark, allow, service = "orders");
/// assert_eq!(mark.events().len(), 1);
/// ```
#[derive(Debug, Clone)]
pub struct Mark {
    audit: RecordingAudit,
    since: Tick,
}

impl Mark {
    pub(crate) fn new(audit: &RecordingAudit) -> Self {
        Self { audit: audit.clone(), since: Tick::next() }
    }

    /// The records since the mark, in the order in which they came.
    pub fn events(&self) -> Vec<AuditRecord> {
        self.audit.since(self.since)
    }
}

/// What [`assert_audited!`](crate::assert_audited) asks for the record of a call: an audit, a [`Mark`] in
/// one, or a [`TestResponse`](crate::TestResponse).
pub trait Audited {
    /// The audit.
    fn trail(&self) -> Option<RecordingAudit>;
    /// The records of the call at hand.
    fn records(&self) -> Vec<AuditRecord>;
}

impl Audited for RecordingAudit {
    fn trail(&self) -> Option<RecordingAudit> {
        Some(self.clone())
    }

    /// Those since the latest call of an app by this kit.
    fn records(&self) -> Vec<AuditRecord> {
        self.since(self.called().max(Tick::latest_call()))
    }
}

impl Audited for Mark {
    fn trail(&self) -> Option<RecordingAudit> {
        Some(self.audit.clone())
    }

    fn records(&self) -> Vec<AuditRecord> {
        self.events()
    }
}

impl<A: Audited + ?Sized> Audited for &A {
    fn trail(&self) -> Option<RecordingAudit> {
        (**self).trail()
    }

    fn records(&self) -> Vec<AuditRecord> {
        (**self).records()
    }
}
