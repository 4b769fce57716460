//! What a recorder does with an accepted caller that no framework holds.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::*;
use crate::{
    audit::NoAudit,
    clock::Clock,
    revocation::{MemoryRevocations, RevocationStore},
};

/// An accepted caller without a token.
#[derive(Debug)]
struct Accepted;

impl Recorded for Accepted {
    fn identified(&self) -> Option<Arc<dyn Identified>> {
        None
    }

    fn owning(self, _: Arc<Attempt>) -> Self {
        self
    }
}

/// Is ready, and loses each record.
struct Losing;

impl AuditSink for Losing {
    fn record(&self, _: &AuditEvent<'_>) -> Result<(), AuditError> {
        Err(AuditError::new("the disk is full"))
    }
}

/// Keeps how long each decision took.
struct Durations(Arc<AtomicI64>);

impl AuditSink for Durations {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        self.0.store(i64::try_from(event.duration_us()).unwrap(), Ordering::Relaxed);
        Ok(())
    }
}

/// Advances by two seconds at each reading.
#[derive(Default)]
struct Advancing(AtomicI64);

impl Clock for Advancing {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.fetch_add(2, Ordering::Relaxed))
    }
}

fn decide(recorder: &Recorder) -> Result<(), Code> {
    let decided = recorder.decide_at_once(RequestContext::default, |_| Ok(Accepted));
    decided.map(|_: Accepted| ()).map_err(|(denial, _)| denial.code())
}

#[test]
fn a_caller_whose_record_is_lost_is_admitted_only_if_the_audit_is_not_required() {
    let recorder =
        |require_audit, audit: Box<dyn AuditSink>| Recorder { audit, require_audit, ..Recorder::default() };
    let durations = || Box::new(Durations(Arc::default()));
    assert_eq!(decide(&recorder(true, Box::new(Losing))), Err(Code::AuditUnavailable));
    assert_eq!(decide(&recorder(false, Box::new(Losing))), Ok(()));
    assert_eq!(decide(&recorder(true, durations())), Ok(()));
    assert_eq!(decide(&recorder(false, durations())), Ok(()));
    assert_eq!(decide(&recorder(false, Box::new(NoAudit))), Ok(()));
}

#[test]
fn the_duration_of_a_decision_is_measured_by_the_clock_of_the_verifier() {
    let took = Arc::new(AtomicI64::new(-1));
    let recorder = Recorder {
        clock: Box::new(Advancing::default()),
        audit: Box::new(Durations(Arc::clone(&took))),
        ..Recorder::default()
    };
    assert_eq!(decide(&recorder), Ok(()));
    assert_eq!(took.load(Ordering::Relaxed), 2_000_000);
}

#[test]
fn the_epoch_is_that_of_the_revocations() {
    let store = MemoryRevocations::new();
    let revocation = Revocation {
        store: Box::new(store.clone()),
        accept_on_outage: false,
        is_out: AtomicBool::new(false),
    };
    let recorder = Recorder { revocation: Some(revocation), ..Recorder::default() };
    for key in ["a", "b", "c"] {
        store.revoke_key("bakery-auth", key).unwrap();
        assert_eq!(recorder.epoch(), store.epoch());
    }
    assert_eq!(Recorder::default().epoch(), None);
}

#[test]
fn a_request_keeps_its_headers_only_for_a_body_of_the_application() {
    assert!(!Recorder::default().keeps_headers());
    let bodies = Some(RefusalBodies::new(|_| RefusalBody::new("text/plain", "refused")));
    assert!(Recorder { bodies, ..Recorder::default() }.keeps_headers());
}

#[test]
fn a_connection_has_no_headers() {
    assert_eq!(Connection(None).header("accept"), None);
    assert_eq!(NoRequest.header("accept"), None);
}
