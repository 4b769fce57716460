//! An audit sink that keeps its records in memory, so that a test can check them.

mod call;
mod table;
mod until;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use serde::{Serialize, Serializer};
use service_only::audit::{AuditError, AuditEvent, AuditRecord, AuditSink, Decision};

pub(crate) use self::call::Tick;
pub use self::{
    call::{Audited, Mark},
    until::Until,
};

use crate::fail::fail;

/// An audit sink that keeps every record in memory. Clones share one list.
///
/// `Display` prints a table of the records, which the assertions of this crate print when they fail.
///
/// ```
/// use service_only_testkit::TestAuthority;
///
/// let authority = TestAuthority::new();
/// let _ = authority.verifier().verify(&authority.service("orders").expired().token());
///
/// let event = authority.audit().only();
/// assert_eq!(event.status, 401);
/// assert_eq!(event.unverified_service.as_deref(), Some("orders"));
/// println!("{}", authority.audit());
/// ```
#[derive(Debug, Clone, Default)]
pub struct RecordingAudit(Arc<Mutex<Recorded>>);

/// A weak reference to an audit log, valid while an authority or a verifier has it.
#[cfg(feature = "axum")]
#[derive(Debug, Clone)]
pub(crate) struct WeakAudit(std::sync::Weak<Mutex<Recorded>>);

#[cfg(feature = "axum")]
impl WeakAudit {
    pub(crate) fn is_alive(&self) -> bool {
        self.0.strong_count() > 0
    }
}

#[derive(Debug, Default)]
struct Recorded {
    events: Vec<AuditRecord>,
    /// The tick of each record.
    ticks: Vec<Tick>,
    /// The tick of the latest call of an app that records here.
    called: Tick,
    failing: Option<String>,
    waiting: Vec<Waker>,
}

impl RecordingAudit {
    /// Creates an audit log without records.
    pub fn new() -> Self {
        Self::default()
    }

    /// All records, in the order in which they arrived.
    #[doc(alias = "records")]
    pub fn events(&self) -> Vec<AuditRecord> {
        self.lock().events.clone()
    }

    /// The latest record.
    pub fn last(&self) -> Option<AuditRecord> {
        self.lock().events.last().cloned()
    }

    /// The only record.
    ///
    /// # Panics
    /// When the audit has no record, or more than one: one decision makes exactly one record.
    #[track_caller]
    pub fn only(&self) -> AuditRecord {
        match <[_; 1]>::try_from(self.events()) {
            Ok([event]) => event,
            Err(events) => {
                fail(format_args!("expected exactly one record, found {}\n\n{self}", events.len()))
            }
        }
    }

    /// The records of accepted callers.
    pub fn allowed(&self) -> Vec<AuditRecord> {
        self.decided(Decision::Allow)
    }

    /// The records of refused callers.
    #[doc(alias = "denied")]
    #[doc(alias = "refused")]
    pub fn denials(&self) -> Vec<AuditRecord> {
        self.decided(Decision::Deny)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.lock().events.len()
    }

    /// Whether the audit has no records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Deletes all records.
    pub fn clear(&self) {
        let mut recorded = self.lock();
        recorded.events.clear();
        recorded.ticks.clear();
    }

    /// Marks this instant: an assertion about the mark checks only the records after it. Use it for a call
    /// that the kit does not make itself. A [`TestApp`](crate::TestApp) marks each call that it makes.
    pub fn mark(&self) -> Mark {
        Mark::new(self)
    }

    #[cfg(feature = "axum")]
    pub(crate) fn downgrade(&self) -> WeakAudit {
        WeakAudit(Arc::downgrade(&self.0))
    }

    fn since(&self, tick: Tick) -> Vec<AuditRecord> {
        self.between(tick, Tick::next())
    }

    pub(crate) fn between(&self, start: Tick, end: Tick) -> Vec<AuditRecord> {
        let recorded = self.lock();
        let events = recorded.events.iter().zip(&recorded.ticks);
        events.filter(|(_, own)| start < **own && **own < end).map(|(event, _)| event.clone()).collect()
    }

    /// The tick of the latest call of an app that records here.
    fn called(&self) -> Tick {
        self.lock().called
    }

    /// Registers a call of an app that records here.
    #[cfg(feature = "axum")]
    pub(crate) fn call(&self) -> Tick {
        let mut recorded = self.lock();
        recorded.called = Tick::next();
        recorded.called
    }

    /// Waits until there are `count` records, and returns them. Use it for a service that runs elsewhere in
    /// the test's process. It has no timeout, so add one of your runtime.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let verifier = authority.verifier();
    /// let token = authority.service("orders").token();
    /// std::thread::spawn(move || verifier.verify(&token).is_ok());
    ///
    /// let events = authority.audit().until(1).await;
    /// assert_eq!(events.len(), 1);
    /// # }
    /// ```
    pub fn until(&self, count: usize) -> Until {
        Until::new(self.clone(), count)
    }

    /// Loses every record from now on, with this reason, for a test of
    /// [`require_audit`](service_only::verifier::VerifierBuilder::require_audit).
    ///
    /// ```
    /// use service_only_testkit::TestAuthority;
    ///
    /// let authority = TestAuthority::new();
    /// let strict = authority.verifier_builder().require_audit().build().unwrap();
    /// let token = authority.service("orders").token();
    /// assert!(strict.verify(&token).is_ok());
    ///
    /// authority.audit().fail_with("the disk is full");
    /// assert_eq!(strict.verify(&token).unwrap_err().status(), 503);
    /// assert!(authority.verifier().verify(&token).is_ok());
    /// ```
    #[doc(alias = "fail")]
    pub fn fail_with(&self, reason: impl Into<String>) {
        self.lock().failing = Some(reason.into());
    }

    fn decided(&self, decision: Decision) -> Vec<AuditRecord> {
        self.lock().events.iter().filter(|event| event.decision == decision).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditSink for RecordingAudit {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        let mut recorded = self.lock();
        if let Some(reason) = &recorded.failing {
            return Err(AuditError::new(reason.as_str()));
        }
        recorded.events.push(event.to_record());
        recorded.ticks.push(Tick::next());
        let waiting = std::mem::take(&mut recorded.waiting);
        drop(recorded);
        waiting.into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Fails whenever `record` would fail. So another sink beside it records only the refusal.
    fn ready(&self) -> Result<(), AuditError> {
        self.lock().failing.as_ref().map_or(Ok(()), |reason| Err(AuditError::new(reason.as_str())))
    }
}

impl AsRef<Self> for RecordingAudit {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// Serialises the records as the JSON lines of the audit log, for a snapshot.
impl Serialize for RecordingAudit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.events().serialize(serializer)
    }
}

impl fmt::Display for RecordingAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table::write(f, &self.events())
    }
}
