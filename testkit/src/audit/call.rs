//! Finds the records of the current call. One counter numbers records and calls, so that a record of an
//! earlier call is never used.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

use service_only::audit::AuditRecord;

use super::RecordingAudit;

/// An instant between two records. The counter has no other meaning, so tests may share it.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tick(u64);

static TICKS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The latest call from this thread to an app whose audit log is unknown.
    static LATEST_CALL: Cell<Tick> = const { Cell::new(Tick(0)) };
}

impl Tick {
    pub(crate) fn next() -> Self {
        Self(TICKS.fetch_add(1, Ordering::Relaxed))
    }

    /// Registers a call that may leave its record in any audit log.
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

/// A mark in an audit log, for the records after it. [`RecordingAudit::mark`] creates it, before a call that
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

    /// The records since the mark, in the order in which they arrived.
    #[doc(alias = "records")]
    pub fn events(&self) -> Vec<AuditRecord> {
        self.audit.since(self.since)
    }
}

/// A source of the record of a call for [`assert_audited!`](crate::assert_audited): an audit log, a [`Mark`]
/// in one, a [`TestResponse`](crate::TestResponse), or the record itself.
pub trait Audited {
    /// The audit log.
    fn trail(&self) -> Option<RecordingAudit>;
    /// The records of the current call.
    fn records(&self) -> Vec<AuditRecord>;
}

impl Audited for RecordingAudit {
    fn trail(&self) -> Option<RecordingAudit> {
        Some(self.clone())
    }

    /// The records since the kit last called an app.
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

/// A record that the test has found itself, without the audit log that contains it.
impl Audited for AuditRecord {
    fn trail(&self) -> Option<RecordingAudit> {
        None
    }

    fn records(&self) -> Vec<AuditRecord> {
        vec![self.clone()]
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
