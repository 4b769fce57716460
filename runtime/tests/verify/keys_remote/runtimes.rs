//! Runtimes, suspends and clocks: keys are fetched or the failure is reported, and no key outlives its limit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Instant,
};

use service_only::clock::{Clock, Timestamp};
use tokio::runtime::{Builder, Runtime};

use super::*;

/// An issuer on a runtime of its own, which outlives those of a test.
struct Issuing {
    server: JwksServer,
    _runtime: Runtime,
}

fn issuing(answer: Answer) -> Issuing {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    Issuing { server: runtime.block_on(JwksServer::start(answer)), _runtime: runtime }
}

fn soon(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within twenty seconds: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

const OFTEN: Duration = Duration::from_millis(20);

#[test]
fn keys_are_fetched_after_the_starting_runtime_has_ended() {
    let (old, new, clock) = (key(), key(), ManualClock::new());
    let issuing = issuing(Answer::keys(&[&old]));
    let builder = remote(&issuing.server, &clock).refresh_between(OFTEN, OFTEN);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let keys = runtime.block_on(builder.start()).unwrap();
    drop(runtime);
    issuing.server.answer(Answer::keys(&[&new]));
    soon("the withdrawn key is gone", || !keys.snapshot().unwrap().has(old.kid().as_str()));
    assert!(keys.snapshot().unwrap().has(new.kid().as_str()));
    issuing.server.answer(Answer::status(500));
    soon("the failure is reported", || keys.last_error().is_some() && keys.failures() > 0);
}

#[test]
fn a_runtime_without_timer_and_without_io_is_enough() {
    let (old, new, clock) = (key(), key(), ManualClock::new());
    let issuing = issuing(Answer::keys(&[&old]));
    let bare = || Builder::new_current_thread().build().unwrap();
    let keys = bare().block_on(remote(&issuing.server, &clock).start()).unwrap();
    let service = Service::new(keys, &clock);
    issuing.server.answer(Answer::keys(&[&old, &new]));
    let token = service.token(copy(&new));
    assert_eq!(bare().block_on(service.call(&token)), StatusCode::OK);

    // The wait for a server that hangs ends without a timer, too.
    issuing.server.hold();
    clock.advance(INTERVAL);
    let before = Instant::now();
    assert_eq!(bare().block_on(service.call(&forged("unknown"))), StatusCode::UNAUTHORIZED);
    assert!(before.elapsed() >= RemoteJwks::DEFAULT_UNKNOWN_KID_WAIT);
    issuing.server.release();
}

#[test]
fn keys_start_lazily_without_any_runtime() {
    let (good, clock) = (key(), ManualClock::new());
    let issuing = issuing(Answer::keys(&[&good]));
    let keys = remote(&issuing.server, &clock).start_lazily().unwrap();
    soon("the first keys", || keys.snapshot().is_ok_and(|keys| keys.has(good.kid().as_str())));
}

/// A token that names no key.
fn without_kid(service: &Service, key: &SigningKey) -> String {
    let token = service.token(copy(key));
    let payload = token.split('.').nth(1).unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"JWT"}"#);
    let signed = format!("{header}.{payload}");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap()))
}

#[tokio::test]
async fn a_token_without_kid_waits_for_the_first_keys_of_a_lazy_start() {
    let (good, clock) = (key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&good])).await;
    server.hold();
    let service = Arc::new(Service::new(remote(&server, &clock).start_lazily().unwrap(), &clock));
    let token = without_kid(&service, &good);
    let calling = {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.call(&token).await })
    };
    eventually("the first fetch", || server.requests() == 1).await;
    server.release();
    assert_eq!(calling.await.unwrap(), StatusCode::OK);
    assert_eq!(service.audit.events().len(), 1);
}

#[tokio::test]
async fn a_token_without_kid_fetches_keys_that_have_become_too_old_during_a_suspend() {
    let (good, clock) = (key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&good])).await;
    let keys = remote(&server, &clock).start().await.unwrap();
    let service = Service::new(keys, &clock);
    // The machine sleeps: only the system's clock goes on.
    clock.advance(Duration::from_secs(7 * 3600));
    assert_eq!(service.call(&without_kid(&service, &good)).await, StatusCode::OK);
    assert!(server.requests() >= 2);
    // While keys are there, a token without `kid` makes nobody look.
    assert!(service.verifier.refresh_keys_for(&without_kid(&service, &key())).is_none());
}

#[tokio::test]
async fn after_a_suspend_keys_are_fetched_although_no_timer_has_run_out() {
    let (old, new, clock) = (key(), key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&old])).await;
    let keys = remote(&server, &clock).start().await.unwrap();
    server.answer(Answer::keys(&[&new]));
    clock.advance(Duration::from_secs(3600));
    eventually("the next fetch", || keys.snapshot().unwrap().has(new.kid().as_str())).await;
    assert!(!keys.snapshot().unwrap().has(old.kid().as_str()));
}

#[tokio::test]
async fn keys_become_too_old_with_a_stopped_or_reset_clock() {
    let staleness = Duration::from_millis(600);
    for back in [Duration::ZERO, Duration::from_secs(365 * 24 * 3600)] {
        let (good, clock) = (key(), ManualClock::new());
        let server = JwksServer::start(Answer::keys(&[&good])).await;
        let builder = remote(&server, &clock).refresh_between(OFTEN, OFTEN).max_staleness(staleness);
        let keys = builder.start().await.unwrap();
        server.answer(Answer::status(500));
        clock.set(Timestamp::from_unix(ManualClock::START.unix() - i64::try_from(back.as_secs()).unwrap()));
        eventually("the end of the keys", || keys.snapshot().is_err()).await;
        let reason = keys.snapshot().unwrap_err().to_string();
        assert!(reason.contains("the status is 500") && reason.contains("/jwks"), "{reason}");
    }
}

#[tokio::test]
async fn whatever_the_server_does_a_withdrawn_key_ends_at_the_limit() {
    let staleness = Duration::from_secs(3);
    let year = "max-age=31536000, immutable";
    let good = key();
    let mut sources = Vec::new();
    for answer in [
        Answer::status(304),
        Answer::status(401),
        Answer::Stuck,
        Answer::Endless,
        Answer::Broken,
        Answer::text(r#"{"keys":[]}"#),
        Answer::redirect("/jwks".to_owned()),
    ] {
        let server = JwksServer::start(Answer::cached(&[&good], year)).await;
        let builder = remote(&server, &ManualClock::new()).timeout(Duration::from_secs(2));
        let builder = builder.max_response_bytes(10_000).refresh_between(OFTEN, OFTEN);
        let keys = builder.max_staleness(staleness).start().await.unwrap();
        server.answer(answer);
        sources.push((server, keys));
    }
    for (server, keys) in sources {
        eventually("the end of the keys", || keys.snapshot().is_err()).await;
        assert!(keys.last_error().is_some_and(|error| error.url() == Some(&server.url("/jwks"))));
    }
    // A cache header of years does not put off the next fetch.
    let server = JwksServer::start(Answer::cached(&[&good], year)).await;
    let builder = remote(&server, &ManualClock::new()).refresh_between(OFTEN, OFTEN);
    let keys = builder.start().await.unwrap();
    server.answer(Answer::cached(&[&key()], year));
    eventually("the withdrawal", || !keys.snapshot().unwrap().has(good.kid().as_str())).await;
}

#[tokio::test]
async fn keys_are_as_old_as_the_request_that_fetched_them() {
    let (good, clock) = (key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&good])).await;
    server.hold();
    let keys = remote(&server, &clock).start_lazily().unwrap();
    eventually("the request", || server.requests() == 1).await;
    clock.advance(Duration::from_secs(5));
    server.release();
    eventually("the keys", || keys.loaded_at().is_some()).await;
    assert_eq!(keys.loaded_at(), Some(ManualClock::START));
}

/// Panics once it is broken.
#[derive(Clone, Default)]
struct Fragile(Arc<AtomicBool>);

impl Clock for Fragile {
    fn now(&self) -> Timestamp {
        let on_the_thread = thread::current().name() == Some("remote-keys");
        assert!(!(on_the_thread && self.0.load(Ordering::Relaxed)), "the clock is broken");
        ManualClock::START
    }
}

#[tokio::test]
async fn a_thread_that_has_ended_is_reported_and_its_keys_end_at_the_limit() {
    let server = JwksServer::start(Answer::keys(&[&key()])).await;
    let clock = Fragile::default();
    let builder = RemoteJwks::url(server.url("/jwks")).dangerously_allow_http().clock(clock.clone());
    let builder = builder.refresh_between(OFTEN, OFTEN).max_staleness(Duration::from_millis(500));
    let keys = builder.start().await.unwrap();
    clock.0.store(true, Ordering::Relaxed);
    eventually("the report", || {
        keys.last_error().is_some_and(|error| *error.kind() == RemoteErrorKind::Ended)
    })
    .await;
    eventually("the end of the keys", || keys.snapshot().is_err()).await;
    assert!(keys.snapshot().unwrap_err().to_string().contains("panicked"));
    // Requests do not wait for it.
    if let Some(wait) = keys.refresh_for("any") {
        wait.await;
    }
}
