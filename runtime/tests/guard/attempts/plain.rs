//! Functions without a framework: a token is verified, and guarded functions get its caller.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use service_only::{
    Caller, Denial, Policy, Rejection,
    clock::{Clock, Timestamp},
    error::Code,
    service_only,
};
use service_only_testkit::{ManualClock, RecordingAudit, TestAuthority};

use super::{REASON, assert_one_allow, assert_one_deny, assert_refused, store, token};

#[derive(Debug)]
enum JobError {
    Refused(Denial),
}

impl From<Denial> for JobError {
    fn from(denial: Denial) -> Self {
        Self::Refused(denial)
    }
}

impl From<Rejection> for JobError {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection.into())
    }
}

#[service_only(services("orchestrator"))]
async fn consume(message: &str, caller: &Caller) -> Result<String, JobError> {
    match message {
        "refuse" => Err(caller.refuse(REASON))?,
        "hang" => std::future::pending().await,
        "panic" => panic!("a defect of the function"),
        "store" => store(caller),
        "nest" => charge(caller)?,
        "nest, then refuse" => {
            charge(caller)?;
            Err(caller.refuse(REASON))?;
        }
        _ => {}
    }
    Ok(caller.service().to_owned())
}

#[service_only]
fn charge(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

#[service_only(services("orchestrator"))]
fn refuses(caller: &Caller) -> Result<(), Denial> {
    Err(caller.refuse(REASON))?;
    Ok(())
}

/// Taken apart, so that the argument has no name of the user's.
#[service_only]
fn ignores(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

fn world() -> (TestAuthority, RecordingAudit) {
    let authority = TestAuthority::new();
    let audit = authority.audit().clone();
    (authority, audit)
}

#[tokio::test]
async fn a_token_and_the_function_that_is_given_its_caller_have_one_record() {
    let (authority, audit) = world();
    let (verifier, token) = (authority.verifier(), token(&authority));

    let caller = verifier.verify(&token).unwrap();
    assert_eq!(audit.events().len(), 0, "what becomes of it is not known yet");
    consume("", &caller).await.unwrap();
    let event = assert_one_allow(&audit, "a queue");
    assert_eq!(event.endpoint.unwrap().function(), "consume");
    drop(caller);
    assert_eq!(audit.events().len(), 0, "the function's end was the attempt's");

    let other = authority.service("orders").token();
    let caller = verifier.verify(&other).unwrap();
    assert!(consume("", &caller).await.is_err());
    drop(caller);
    let event = assert_one_deny(&audit, Code::ServiceNotAllowed, "a queue");
    assert_eq!((event.endpoint.unwrap().function(), event.service.as_deref()), ("consume", Some("orders")));
}

#[test]
fn a_caller_that_no_function_is_given_is_recorded_when_it_is_dropped() {
    let (authority, audit) = world();
    let (verifier, token) = (authority.verifier(), token(&authority));
    drop(verifier.verify(&token).unwrap());
    assert_eq!(assert_one_allow(&audit, "verify").endpoint, None);
    drop(verifier.verify_with(&token, &Policy::any_service()).unwrap());
    assert_one_allow(&audit, "verify_with");
    drop(verifier.authenticate(&token).unwrap());
    assert_one_allow(&audit, "authenticate");

    // A clone that is stored delays nothing.
    let caller = verifier.verify(&token).unwrap();
    store(&caller);
    drop(caller);
    assert_one_allow(&audit, "stored");

    let caller = verifier.verify(&token).unwrap();
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(move || {
        let _caller = caller;
        panic!("a defect of the consumer");
    }));
    assert!(panicked.is_err());
    assert_one_allow(&audit, "panicked");
}

/// Advances by a second at each reading.
#[derive(Default)]
struct Advancing(AtomicI64);

impl Clock for Advancing {
    fn now(&self) -> Timestamp {
        ManualClock::START.plus(Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed).unsigned_abs()))
    }
}

#[tokio::test]
async fn the_record_of_an_attempt_has_the_duration_of_all_its_decisions() {
    let (authority, audit) = world();
    let verifier = authority.verifier_builder().clock(Advancing::default()).build().unwrap();
    let token = token(&authority);
    drop(verifier.verify(&token).unwrap());
    let one = audit.only().duration_us;
    assert!(one >= 1_000_000, "{one}");
    audit.clear();

    let caller = verifier.verify(&token).unwrap();
    consume("", &caller).await.unwrap();
    drop(caller);
    let both = audit.only().duration_us;
    assert!(both > one, "{both} {one}");
    audit.clear();

    let caller = verifier.verify(&authority.service("orders").token()).unwrap();
    consume("", &caller).await.unwrap_err();
    drop(caller);
    let both = audit.only().duration_us;
    assert!(both > one, "{both} {one}");
}

#[test]
fn a_caller_is_refused_once_and_its_refusal_converts_to_the_denial_that_was_recorded() {
    let (authority, audit) = world();
    let caller = authority.verifier().verify(&token(&authority)).unwrap();
    let first = caller.refuse(REASON);
    let event = assert_refused(&audit, "the first");
    assert_eq!((first.status(), first.instance()), (403, event.id));
    let denial = Denial::from(first);
    assert_eq!((denial.code(), denial.reason()), (Code::Refused, REASON));

    // The attempt is closed, so a second refusal is a new attempt.
    let second = caller.refuse(REASON);
    assert_eq!(second.instance(), assert_refused(&audit, "the second").id);
    assert_ne!(second.instance(), event.id);
    drop(caller);
    assert_eq!(audit.events().len(), 0);

    let user = authority.verifier().authenticate(&authority.user("anna").token()).unwrap();
    assert_eq!(user.refuse(REASON).status(), 403);
    drop(user);
    assert_eq!(assert_one_deny(&audit, Code::Refused, "a user").user.as_deref(), Some("anna"));
}

#[tokio::test]
async fn a_function_writes_one_record_for_every_outcome() {
    let (authority, audit) = world();
    let (verifier, token) = (authority.verifier(), token(&authority));
    let verify = || verifier.verify(&token).unwrap();

    let caller = verify();
    let JobError::Refused(denial) = consume("refuse", &caller).await.unwrap_err();
    assert_eq!((denial.code(), denial.reason()), (Code::Refused, REASON));
    drop(caller);
    assert_eq!(assert_refused(&audit, "refuse").endpoint.unwrap().function(), "consume");

    let caller = verify();
    assert_eq!(refuses(&caller).unwrap_err().reason(), REASON);
    drop(caller);
    assert_refused(&audit, "refuses");

    let caller = verify();
    ignores(&caller).unwrap();
    assert_one_allow(&audit, "ignores");

    let caller = verify();
    consume("store", &caller).await.unwrap();
    assert_one_allow(&audit, "store");

    let caller = verify();
    assert!(AssertUnwindSafe(consume("panic", &caller)).catch_unwind().await.is_err());
    drop(caller);
    assert_one_allow(&audit, "panic");

    let caller = verify();
    let mut running = Box::pin(consume("hang", &caller));
    assert!(futures_util::poll!(&mut running).is_pending());
    drop(running);
    drop(caller);
    assert_one_allow(&audit, "hang");
}

#[tokio::test]
async fn each_function_that_a_stored_caller_is_given_to_is_an_attempt() {
    let (authority, audit) = world();
    let caller = authority.verifier().verify(&token(&authority)).unwrap();
    for clones in 0..3 {
        let caller = caller.clone();
        consume("", &caller).await.unwrap();
        let event = assert_one_allow(&audit, "stored");
        assert_eq!(event.endpoint.unwrap().function(), "consume", "{clones}");
        let JobError::Refused(_) = consume("refuse", &caller).await.unwrap_err();
        assert_refused(&audit, "stored");
    }
    drop(caller);
    assert_eq!(audit.events().len(), 0);
}

#[tokio::test]
async fn functions_that_run_at_once_or_within_another_have_a_record_each() {
    let (authority, audit) = world();
    let verifier = authority.verifier();
    let functions = |audit: &RecordingAudit| {
        let events = audit.events();
        audit.clear();
        let said = events.iter().map(|event| {
            (event.endpoint.unwrap().function(), event.decision.as_str(), event.code.map(Code::as_str))
        });
        said.collect::<Vec<_>>()
    };
    let caller = verifier.verify(&token(&authority)).unwrap();
    consume("nest", &caller).await.unwrap();
    drop(caller);
    assert_eq!(functions(&audit), [("charge", "allow", None), ("consume", "allow", None)]);

    // The refusal is that of the function that runs, not of the one that has ended.
    let caller = verifier.verify(&token(&authority)).unwrap();
    assert!(consume("nest, then refuse", &caller).await.is_err());
    drop(caller);
    assert_eq!(functions(&audit), [("charge", "allow", None), ("consume", "deny", Some("refused"))]);

    let caller = verifier.verify(&token(&authority)).unwrap();
    let all = futures_util::future::join_all((0..3).map(|_| consume("", &caller))).await;
    assert!(all.iter().all(Result::is_ok));
    drop(caller);
    assert_eq!(functions(&audit), [("consume", "allow", None); 3]);
}
