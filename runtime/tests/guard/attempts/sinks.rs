//! Sinks that fail or panic, several of them, and callers that are admitted only if their record is kept.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, extract::Request, routing::get};
use http::header::AUTHORIZATION;
use http_body_util::BodyExt;
use service_only::{
    Caller, Denial, Policy, Rejection, ServiceOnlyLayer, Verifier,
    audit::{AuditError, AuditEvent, AuditRecord, AuditSink, Decision, NoAudit},
    error::Code,
    revocation::{PresentedToken, RevocationOutage, RevocationStatus, RevocationStore},
    service_only,
    verifier::VerifierBuilder,
};
use service_only_testkit::{RecordingAudit, TestAuthority};
use tower::ServiceExt;

use super::{Counter, REASON, assert_one_allow, assert_one_deny, assert_refused, token};

#[service_only]
async fn alone() {}

#[service_only]
async fn refuses(caller: Caller) -> Result<(), Rejection> {
    match caller.service() {
        "orchestrator" => Err(caller.refuse(REASON)),
        _ => Ok(()),
    }
}

#[service_only]
async fn with_caller(_: Caller) {}

async fn unguarded(_: Caller, _: Caller) {}

#[service_only]
fn consume(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

async fn get_status(verifier: &Verifier, path: &str, token: &str) -> u16 {
    let router = Router::new()
        .route("/alone", get(alone))
        .route("/refuses", get(refuses))
        .route("/with_caller", get(with_caller))
        .route("/unguarded", get(unguarded))
        .with_state(verifier.clone());
    let request = Request::builder().uri(path).header(AUTHORIZATION, format!("Bearer {token}"));
    router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
}

/// Fails at every record, and says so only then.
struct Failing;

impl AuditSink for Failing {
    fn record(&self, _: &AuditEvent<'_>) -> Result<(), AuditError> {
        Err(AuditError::new("the disk is full"))
    }
}

/// Knows before that it would fail.
struct Unready;

impl AuditSink for Unready {
    fn record(&self, _: &AuditEvent<'_>) -> Result<(), AuditError> {
        Err(AuditError::new("the disk is full"))
    }

    fn ready(&self) -> Result<(), AuditError> {
        Err(AuditError::new("the disk is full"))
    }
}

/// A tee as a user writes it, who forgets all but the records.
struct OwnTee(RecordingAudit, Failing);

impl AuditSink for OwnTee {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        self.0.record(event)?;
        self.1.record(event)
    }
}

struct Panicking;

impl AuditSink for Panicking {
    fn record(&self, _: &AuditEvent<'_>) -> Result<(), AuditError> {
        panic!("a defect of the sink")
    }
}

/// Panics before anything is written.
struct PanicsWhenAsked(RecordingAudit);

impl AuditSink for PanicsWhenAsked {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        self.0.record(event)
    }

    fn ready(&self) -> Result<(), AuditError> {
        panic!("a defect of the sink")
    }
}

/// Panics from the second question on.
#[derive(Default)]
struct LaterPanickingStore(Counter);

impl RevocationStore for LaterPanickingStore {
    fn status(&self, _: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        match self.0.count() {
            1 => Ok(RevocationStatus::Good),
            _ => panic!("a defect\nof the store"),
        }
    }
}

/// Panics with a text, or with something else.
struct PanickingStore(Option<&'static str>);

impl RevocationStore for PanickingStore {
    fn status(&self, _: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        match self.0 {
            Some(message) => panic!("{message}"),
            None => std::panic::panic_any(7_u8),
        }
    }
}

/// Fails after some records.
struct FailingFrom(usize, Counter, RecordingAudit);

impl AuditSink for FailingFrom {
    fn record(&self, event: &AuditEvent<'_>) -> Result<(), AuditError> {
        if self.1.count() >= self.0 {
            return Err(AuditError::new("the disk is full"));
        }
        self.2.record(event)
    }
}

fn strict(authority: &TestAuthority, audit: impl AuditSink) -> VerifierBuilder {
    authority.verifier_builder().audit(audit).require_audit()
}

/// What a log says in the end: its last line of each id.
fn outcomes(audit: &RecordingAudit) -> Vec<(Decision, u16, Option<Code>)> {
    let mut events = audit.events();
    let mut last: Vec<AuditRecord> = Vec::new();
    for event in events.drain(..) {
        match last.iter_mut().find(|other| other.id == event.id) {
            Some(other) => *other = event,
            None => last.push(event),
        }
    }
    audit.clear();
    last.iter().map(|event| (event.decision, event.status, event.code)).collect()
}

#[tokio::test]
async fn no_sink_records_allow_for_a_caller_refused_by_a_failing_sink() {
    let authority = TestAuthority::new();
    let token = token(&authority);
    let healthy = RecordingAudit::new();
    let verifiers: Vec<(&str, Verifier)> = vec![
        ("failing, healthy", strict(&authority, (Failing, healthy.clone())).build().unwrap()),
        ("healthy, failing", strict(&authority, (healthy.clone(), Failing)).build().unwrap()),
        ("unready, healthy", strict(&authority, (Unready, healthy.clone())).build().unwrap()),
        ("healthy, unready", strict(&authority, (healthy.clone(), Unready)).build().unwrap()),
        ("nested", strict(&authority, ((healthy.clone(), NoAudit), Arc::new(Failing))).build().unwrap()),
        (
            "a list",
            strict(&authority, vec![Box::new(healthy.clone()) as Box<dyn AuditSink>, Box::new(Failing)])
                .build()
                .unwrap(),
        ),
        ("an optional one", strict(&authority, (Some(Failing), healthy.clone())).build().unwrap()),
        ("a tee of one's own", strict(&authority, OwnTee(healthy.clone(), Failing)).build().unwrap()),
    ];
    let expected = [(Decision::Deny, 503, Some(Code::AuditUnavailable))];
    for (case, verifier) in verifiers {
        for path in ["/alone", "/refuses", "/with_caller", "/unguarded"] {
            assert_eq!(get_status(&verifier, path, &token).await, 503, "{case}");
            assert_eq!(outcomes(&healthy), expected, "{case} {path}");
        }
        let denial = verifier.verify(&token).unwrap_err();
        assert_eq!(denial.code(), Code::AuditUnavailable, "{case}");
        assert_eq!(outcomes(&healthy), expected, "{case}");
    }
}

#[tokio::test]
async fn a_failing_first_sink_leaves_one_record_in_the_others() {
    let authority = TestAuthority::new();
    let token = token(&authority);
    let healthy = RecordingAudit::new();
    for verifier in [
        strict(&authority, (healthy.clone(), Unready)).build().unwrap(),
        strict(&authority, (Unready, healthy.clone())).build().unwrap(),
        strict(&authority, (Failing, healthy.clone())).build().unwrap(),
    ] {
        for path in ["/alone", "/with_caller"] {
            assert_eq!(get_status(&verifier, path, &token).await, 503);
            let event = assert_one_deny(&healthy, Code::AuditUnavailable, path);
            assert_eq!(event.service.as_deref(), Some("orchestrator"));
        }
    }
}

#[tokio::test]
async fn a_sink_that_is_not_required_takes_no_record_from_another() {
    let authority = TestAuthority::new();
    let token = token(&authority);
    let healthy = RecordingAudit::new();
    for audit in [
        Box::new((Failing, healthy.clone())) as Box<dyn AuditSink>,
        Box::new((healthy.clone(), Failing)),
        Box::new(vec![Box::new(Failing) as Box<dyn AuditSink>, Box::new(healthy.clone())]),
    ] {
        let verifier = authority.verifier_builder().audit(audit).build().unwrap();
        assert_eq!(get_status(&verifier, "/with_caller", &token).await, 200);
        assert_one_allow(&healthy, "with a caller");
        assert_eq!(get_status(&verifier, "/refuses", &token).await, 403);
        assert_refused(&healthy, "refuses");
    }
}

#[tokio::test]
async fn a_required_record_is_written_before_the_handler_and_the_last_line_of_its_id_is_the_outcome() {
    let authority = TestAuthority::new();
    let (token, audit) = (token(&authority), RecordingAudit::new());
    let verifier = strict(&authority, audit.clone()).build().unwrap();
    for path in ["/alone", "/with_caller", "/unguarded"] {
        assert_eq!(get_status(&verifier, path, &token).await, 200);
        assert_one_allow(&audit, path);
    }
    assert_eq!(get_status(&verifier, "/refuses", &token).await, 403);
    let lines = audit.events();
    assert_eq!(lines.iter().map(|line| line.decision).collect::<Vec<_>>(), [Decision::Allow, Decision::Deny]);
    assert_eq!((lines[0].id, lines[0].amends), (lines[1].id, false));
    assert!(lines[1].amends);
    assert_eq!(lines[1].reason.as_deref(), Some(REASON));
    audit.clear();

    let caller = verifier.verify(&token).unwrap();
    assert_eq!(audit.len(), 1, "the record is there before the caller is");
    consume(&caller).unwrap();
    let lines = audit.events();
    assert_eq!((lines.len(), lines[0].id), (2, lines[1].id), "the same attempt");
    assert_eq!(lines[1].endpoint.unwrap().function(), "consume");
    drop(caller);
    assert_eq!(audit.len(), 2);
}

#[tokio::test]
async fn a_function_does_not_run_if_its_required_record_is_lost() {
    let authority = TestAuthority::new();
    let (token, kept) = (token(&authority), RecordingAudit::new());
    let audit = FailingFrom(2, Counter::default(), kept.clone());
    let verifier = strict(&authority, audit).build().unwrap();
    let caller = verifier.verify(&token).unwrap();
    assert_eq!(consume(&caller).unwrap_err().code(), Code::AuditUnavailable);
}

#[tokio::test]
async fn a_request_whose_later_record_is_lost_is_answered_with_the_id_of_the_first() {
    let authority = TestAuthority::new();
    let (token, kept) = (token(&authority), RecordingAudit::new());
    let verifier = strict(&authority, FailingFrom(2, Counter::default(), kept.clone())).build().unwrap();
    let layer = ServiceOnlyLayer::new(verifier.clone(), Policy::any_service());
    let router = Router::new().route("/alone", get(alone)).layer(layer).with_state(verifier);
    let request = Request::builder().uri("/alone").header(AUTHORIZATION, format!("Bearer {token}"));
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 503);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["instance"], kept.events()[0].id.urn().to_string());
}

#[tokio::test]
async fn a_panic_of_a_sink_neither_aborts_nor_hides_another_panic() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier_builder().audit(Panicking).build().unwrap();
    assert_eq!(get_status(&verifier, "/with_caller", &token(&authority)).await, 200);
    // A sink that panics while a handler's panic unwinds would abort the process.
    let caller = verifier.verify(&token(&authority)).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _caller = caller;
        panic!("a defect of the handler");
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"a defect of the handler"));
}

#[tokio::test]
async fn a_sink_that_panics_hides_no_record_from_the_other() {
    let authority = TestAuthority::new();
    let token = token(&authority);
    let healthy = RecordingAudit::new();
    let sinks: [Arc<dyn AuditSink>; 3] = [
        Arc::new((Panicking, healthy.clone())),
        Arc::new((healthy.clone(), Panicking)),
        Arc::new(vec![Arc::new(Panicking) as Arc<dyn AuditSink>, Arc::new(healthy.clone())]),
    ];
    for sink in sinks {
        let verifier = authority.verifier_builder().audit(sink.clone()).build().unwrap();
        assert_eq!(get_status(&verifier, "/with_caller", &token).await, 200);
        assert_one_allow(&healthy, "admitted");
        assert_eq!(get_status(&verifier, "/with_caller", "x.y.z").await, 401);
        assert_one_deny(&healthy, Code::Malformed, "refused");
        let verifier = strict(&authority, sink).build().unwrap();
        assert_eq!(get_status(&verifier, "/with_caller", &token).await, 503);
        let events = healthy.events();
        assert_eq!(events.last().unwrap().code, Some(Code::AuditUnavailable));
        healthy.clear();
    }
}

#[test]
fn a_verifier_says_why_its_audit_cannot_keep_records() {
    let builder = || TestAuthority::new().verifier_builder();
    assert_eq!(builder().build().unwrap().audit_failure(), None);
    let unready = builder().audit(Unready).build().unwrap();
    assert_eq!(unready.audit_failure().as_deref(), Some("the disk is full"));
}

#[tokio::test]
async fn a_panic_in_a_later_decision_keeps_the_service_in_the_record() {
    let authority = TestAuthority::new();
    let audit = RecordingAudit::new();
    let store = LaterPanickingStore::default();
    let verifier = authority.verifier_builder().audit(audit.clone()).revocation(store).build().unwrap();
    let caller = verifier.verify(&token(&authority)).unwrap();
    assert_eq!(consume(&caller).unwrap_err().code(), Code::Panicked);
    let event = assert_one_deny(&audit, Code::Panicked, "later");
    assert_eq!(event.service.as_deref(), Some(caller.service()));
    assert!(event.reason.unwrap().ends_with(r"a defect\u{a}of the store"), "one line");
    // The attempt of the caller has ended, and only the caller names its service.
    assert_eq!(consume(&caller).unwrap_err().code(), Code::Panicked);
    let event = assert_one_deny(&audit, Code::Panicked, "later still");
    assert_eq!(event.service.as_deref(), Some(caller.service()));
}

#[tokio::test]
async fn a_required_sink_that_panics_admits_no_caller() {
    let authority = TestAuthority::new();
    let token = token(&authority);
    let healthy = RecordingAudit::new();
    for verifier in [
        strict(&authority, (Panicking, healthy.clone())).build().unwrap(),
        strict(&authority, PanicsWhenAsked(healthy.clone())).build().unwrap(),
    ] {
        for path in ["/alone", "/with_caller", "/unguarded"] {
            assert_eq!(get_status(&verifier, path, &token).await, 503, "{path}");
        }
        assert_eq!(verifier.verify(&token).unwrap_err().code(), Code::AuditUnavailable);
        assert!(healthy.events().iter().all(|event| event.decision == Decision::Deny));
    }
}

#[tokio::test]
async fn a_revocation_store_that_panics_refuses_and_leaves_one_record() {
    let authority = TestAuthority::new();
    let (token, audit) = (token(&authority), RecordingAudit::new());
    for (store, message) in
        [(PanickingStore(None), "(no message)"), (PanickingStore(Some("a defect")), "a defect")]
    {
        let verifier = authority.verifier_builder().audit(audit.clone()).revocation(store).build().unwrap();
        for path in ["/alone", "/with_caller", "/unguarded"] {
            assert_eq!(get_status(&verifier, path, &token).await, 500, "{path}");
            let event = assert_one_deny(&audit, Code::Panicked, path);
            assert!(event.reason.unwrap().ends_with(message), "{path}");
        }
        assert_eq!(verifier.verify(&token).unwrap_err().code(), Code::Panicked);
        assert_one_deny(&audit, Code::Panicked, "verify");
    }
}

#[tokio::test]
async fn a_verifier_without_an_audit_also_refuses() {
    let authority = TestAuthority::new();
    let verifier = authority.verifier_builder().audit(NoAudit).build().unwrap();
    assert_eq!(get_status(&verifier, "/refuses", &token(&authority)).await, 403);
    assert_eq!(get_status(&verifier, "/unguarded", &token(&authority)).await, 200);
}

#[test]
fn threads_that_refuse_and_end_one_attempt_write_one_record() {
    let authority = TestAuthority::new();
    let (verifier, token) = (authority.verifier(), token(&authority));
    for _ in 0..200 {
        let caller = verifier.verify(&token).unwrap();
        let clone = caller.clone();
        let ids = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            scope.spawn(|| drop(caller));
            scope.spawn(|| ids.lock().unwrap().push(clone.refuse(REASON).instance()));
        });
        let events = authority.audit().events();
        authority.audit().clear();
        let denied = events.iter().filter(|event| event.decision == Decision::Deny);
        assert_eq!(denied.map(|event| event.id).collect::<Vec<_>>(), ids.into_inner().unwrap());
        let mut ids: Vec<_> = events.iter().map(|event| event.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), events.len(), "no id twice: {events:?}");
    }
}
