//! One attempt, one record, with its final outcome: for any number of decisions about a request, any refusal,
//! and any end of the handler.

mod actix;
mod axum;
mod cancelled;
mod plain;
mod sinks;
mod tonic;
mod tower;

use std::sync::atomic::{AtomicUsize, Ordering};

use service_only::{
    Caller,
    audit::{AuditRecord, Decision},
    error::Code,
};
use service_only_testkit::{RecordingAudit, TestAuthority};

/// The text that a handler refuses with. No response may show it.
const REASON: &str = "the tenant is not the caller's own";

fn token(authority: &TestAuthority) -> String {
    crate::frameworks::valid(authority).token().as_str().to_owned()
}

/// The one record says that the caller was admitted.
fn assert_one_allow(audit: &RecordingAudit, case: &str) -> AuditRecord {
    let events = audit.events();
    assert_eq!(events.len(), 1, "{case}: {events:#?}");
    assert_eq!((events[0].decision, events[0].status), (Decision::Allow, 200), "{case}");
    audit.clear();
    events[0].clone()
}

/// The one record says that it was refused, and why.
fn assert_one_deny(audit: &RecordingAudit, code: Code, case: &str) -> AuditRecord {
    let events = audit.events();
    assert_eq!(events.len(), 1, "{case}: {events:#?}");
    let event = &events[0];
    assert_eq!((event.decision, event.status), (Decision::Deny, code.status()), "{case}");
    assert_eq!((event.code, event.stage), (Some(code), Some(code.stage())), "{case}");
    audit.clear();
    event.clone()
}

/// The handler's own refusal, recorded with who it was.
fn assert_refused(audit: &RecordingAudit, case: &str) -> AuditRecord {
    let event = assert_one_deny(audit, Code::Refused, case);
    assert_eq!(event.reason.as_deref(), Some(REASON), "{case}");
    assert_eq!(event.service.as_deref(), Some("orchestrator"), "{case}");
    event
}

/// Callers that were stored for a job, as clones.
static STORED: std::sync::Mutex<Vec<Caller>> = std::sync::Mutex::new(Vec::new());

fn store(caller: &Caller) {
    STORED.lock().unwrap().push(caller.clone());
}

/// How often something ran.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn count(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}
