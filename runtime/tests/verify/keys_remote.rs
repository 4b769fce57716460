//! Remote keys against real servers on loopback: what is fetched, how often, and what holds when the
//! answer is bad or missing. Time is in the test's hand where it decides.

#![cfg(all(feature = "remote", feature = "axum", feature = "issue"))]
mod runtimes;
mod server;
mod tls;
mod transport;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header::AUTHORIZATION},
    routing::get,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use server::{Answer, JwksServer, eventually, jwks};
use service_only::{
    Algorithm, KeySet, RemoteJwks, Verifier,
    error::{BuildError, Code},
    issue::{Issuer, SigningKey},
    keys::{KeyId, KeySource, RemoteErrorKind, RemoteJwksBuilder},
    service_only,
};
use service_only_testkit::{ManualClock, RecordingAudit};
use tower::ServiceExt;

const INTERVAL: Duration = RemoteJwks::DEFAULT_UNKNOWN_KID_INTERVAL;

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::EdDSA).unwrap()
}

fn remote(server: &JwksServer, clock: &ManualClock) -> RemoteJwksBuilder {
    RemoteJwks::url(server.url("/jwks")).dangerously_allow_http().clock(clock.clone())
}

/// A guarded service that trusts these keys.
struct Service {
    verifier: Verifier,
    audit: RecordingAudit,
    router: Router,
    clock: ManualClock,
}

#[service_only]
async fn guarded() -> &'static str {
    "done"
}

impl Service {
    fn new(keys: RemoteJwks, clock: &ManualClock) -> Self {
        let audit = RecordingAudit::new();
        let verifier = Verifier::builder()
            .issuer("bakery-auth")
            .keys(keys)
            .clock(clock.clone())
            .audit(audit.clone())
            .build()
            .unwrap();
        let router = Router::new().route("/", get(guarded)).with_state(verifier.clone());
        Self { verifier, audit, router, clock: clock.clone() }
    }

    fn token(&self, key: SigningKey) -> String {
        let issuer = Issuer::builder().issuer("bakery-auth").key(key).clock(self.clock.clone()).build();
        issuer.unwrap().token_for("orders").mint().unwrap().as_str().to_owned()
    }

    async fn call(&self, token: &str) -> StatusCode {
        let request = Request::get("/").header(AUTHORIZATION, format!("Bearer {token}"));
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
    }

    /// Makes the source look once more, as soon as it may.
    async fn look(&self) {
        self.clock.advance(INTERVAL);
        assert_eq!(self.call(&forged("nobody")).await, StatusCode::UNAUTHORIZED);
    }
}

/// A token that only its header distinguishes from nonsense.
fn forged(kid: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{kid}"}}"#));
    let payload = URL_SAFE_NO_PAD.encode(r#"{"iss":"bakery-auth"}"#);
    format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0; 64]))
}

fn copy(key: &SigningKey) -> SigningKey {
    SigningKey::from_pem(key.algorithm(), &key.to_secret_bytes().unwrap()).unwrap()
}

#[tokio::test]
async fn the_first_token_of_a_new_key_waits_for_the_key_and_passes() {
    let (old, new, clock) = (key(), key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&old])).await;
    let service = Service::new(remote(&server, &clock).start().await.unwrap(), &clock);
    assert_eq!(service.call(&service.token(copy(&old))).await, StatusCode::OK);
    assert_eq!(server.requests(), 1, "a known key costs no fetch");

    server.answer(Answer::keys(&[&old, &new]));
    let token = service.token(copy(&new));
    assert_eq!(service.verifier.verify(&token).unwrap_err().code(), Code::UnknownKey, "`verify` never waits");
    service.audit.clear();
    assert_eq!(service.call(&token).await, StatusCode::OK);
    assert_eq!(server.requests(), 2);
    assert_eq!(service.audit.events().len(), 1, "one decision, one record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_unknown_keys_cause_one_fetch_per_interval() {
    let (good, clock) = (key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&good])).await;
    let service = Arc::new(Service::new(remote(&server, &clock).start().await.unwrap(), &clock));
    let token = service.token(copy(&good));
    for interval in 1..=3 {
        let storm: Vec<_> = (0..1000)
            .map(|number| {
                let service = Arc::clone(&service);
                tokio::spawn(async move { service.call(&forged(&format!("{interval}-{number}"))).await })
            })
            .collect();
        for request in storm {
            assert_eq!(request.await.unwrap(), StatusCode::UNAUTHORIZED);
        }
        assert_eq!(service.call(&token).await, StatusCode::OK);
        assert_eq!(server.requests(), 1 + interval);
        clock.advance(INTERVAL - Duration::from_millis(1));
        assert_eq!(service.call(&forged("late")).await, StatusCode::UNAUTHORIZED);
        assert_eq!(server.requests(), 1 + interval, "the interval is not over");
        clock.advance(Duration::from_millis(1));
    }
    assert_eq!(service.audit.events().len(), 3 * 1002);
}

#[tokio::test]
async fn waiting_requests_share_one_fetch() {
    let clock = ManualClock::new();
    let server = JwksServer::start(Answer::keys(&[&key()])).await;
    let keys = remote(&server, &clock).start().await.unwrap();
    server.hold();
    let waiting: Vec<_> = (0..50).map(|number| keys.refresh_for(&number.to_string())).collect();
    assert!(waiting.iter().all(Option::is_some));
    eventually("the fetch", || server.requests() == 2).await;
    server.release();
    for wait in waiting.into_iter().flatten() {
        wait.await;
    }
    assert_eq!(server.requests(), 2);
    assert!(keys.refresh_for("0").is_none() && keys.refresh_for("another").is_none());
}

#[tokio::test]
async fn a_request_waits_for_a_bounded_time_and_only_for_an_unknown_key() {
    let (good, clock) = (key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&good])).await;
    let keys = remote(&server, &clock).unknown_kid_wait(Duration::from_millis(50)).start().await.unwrap();
    let service = Service::new(keys, &clock);
    server.hold();
    assert_eq!(service.call(&forged("unknown")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(service.call(&service.token(copy(&good))).await, StatusCode::OK);
    assert_eq!(server.requests(), 2, "the fetch is still under way");
    clock.advance(Duration::from_millis(50));
    assert!(
        service.verifier.refresh_keys_for(&forged("other")).is_none(),
        "the issuer is slow: nobody waits"
    );
}

#[tokio::test]
async fn only_a_token_that_a_new_key_could_verify_causes_a_fetch() {
    let clock = ManualClock::new();
    let server = JwksServer::start(Answer::keys(&[&key()])).await;
    let service = Service::new(remote(&server, &clock).start().await.unwrap(), &clock);
    let header = |json: &str| format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(json));
    for token in [
        "garbage".to_owned(),
        header(r#"{"alg":"EdDSA"}"#),
        header(r#"{"alg":"none","kid":"a"}"#),
        header(r#"{"alg":"EdDSA","kid":"a","typ":"dpop+jwt"}"#),
        header(r#"{"alg":"EdDSA","kid":"a","crit":["b64"]}"#),
        header(&format!(r#"{{"alg":"EdDSA","kid":"{}"}}"#, "a".repeat(KeyId::MAX_LENGTH + 1))),
    ] {
        assert!(service.verifier.refresh_keys_for(&token).is_none(), "{token}");
        assert_eq!(service.call(&token).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_bad_answer_keeps_the_last_good_keys() {
    let (good, clock) = (key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&good])).await;
    let keys = remote(&server, &clock)
        .timeout(Duration::from_millis(300))
        .max_response_bytes(10_000)
        .max_keys(2)
        .max_staleness(Duration::from_secs(24 * 3600))
        .start()
        .await
        .unwrap();
    let service = Service::new(keys.clone(), &clock);
    let token = service.token(copy(&good));
    let loaded_at = keys.loaded_at();
    for (answer, expected) in [
        (Answer::status(500), "the status is 500"),
        (Answer::status(404), "the status is 404"),
        (Answer::status(204), "the status is 204"),
        (Answer::redirect(server.url("/elsewhere")), "redirect"),
        (Answer::text("garbage"), "not a JWK set"),
        (Answer::text(""), "not a JWK set"),
        (Answer::text("{}"), "member `keys` is missing"),
        (Answer::text(r#"{"keys":[]}"#), "no usable key"),
        (Answer::text(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#), "no usable key"),
        (Answer::keys(&[&key(), &key(), &key()]), "3 keys, more than 2"),
        (Answer::text(format!("{{\"keys\":[]{}}}", " ".repeat(10_000))), "larger than 10000 bytes"),
        (Answer::Endless, "larger than 10000 bytes"),
        (Answer::Stuck, "no response within 300ms"),
        (Answer::Broken, "no response: "),
    ] {
        let before = server.requests();
        server.answer(answer);
        service.look().await;
        let error = keys.last_error().unwrap().to_string();
        assert!(error.contains(expected), "{error}, expected {expected}");
        assert_eq!(service.call(&token).await, StatusCode::OK, "{expected}");
        assert!(keys.loaded_at() == loaded_at && server.requests() > before);
    }
    assert_eq!(server.requests_of("/elsewhere"), 0, "a redirect is not followed");
    server.answer(Answer::keys(&[&good]));
    service.look().await;
    assert_eq!((keys.last_error(), keys.loaded_at()), (None, Some(clock.now())));
}

#[tokio::test]
async fn an_outage_is_survived_for_a_bounded_time_and_then_is_503_until_the_issuer_is_back() {
    let (good, clock) = (key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&good])).await;
    let keys = remote(&server, &clock).start().await.unwrap();
    let service = Service::new(keys.clone(), &clock);
    let token = service.token(copy(&good));
    server.answer(Answer::status(503));
    service.look().await;
    clock.set(keys.loaded_at().unwrap().plus(RemoteJwks::DEFAULT_MAX_STALENESS));
    assert_eq!(service.call(&token).await, StatusCode::OK, "the last instant");
    clock.advance(Duration::from_secs(1));
    assert_eq!(service.verifier.verify(&token).unwrap_err().code(), Code::KeysUnavailable);
    assert_eq!(service.call(&token).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(service.call(&forged("unknown")).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(service.verifier.verify(&token).unwrap_err().reason().contains("the status is 503"));

    server.answer(Answer::keys(&[&good]));
    clock.advance(INTERVAL);
    assert_eq!(service.call(&token).await, StatusCode::OK, "the first request finds the issuer back");
}

#[tokio::test]
async fn the_issuer_chooses_the_time_of_the_next_fetch_within_the_bounds() {
    let millis = Duration::from_millis;
    for (cache_control, min, max) in [
        ("max-age=0", millis(20), Duration::from_secs(60)),
        ("no-store", millis(20), Duration::from_secs(60)),
        ("max-age=86400", millis(10), millis(20)),
    ] {
        let (old, new, clock) = (key(), key(), ManualClock::new());
        let server = JwksServer::start(Answer::cached(&[&old], cache_control)).await;
        let keys = remote(&server, &clock).refresh_between(min, max).start().await.unwrap();
        eventually(cache_control, || server.requests() > 3).await;
        server.answer(Answer::cached(&[&new], cache_control));
        eventually(cache_control, || keys.snapshot().unwrap().has(new.kid().as_str())).await;
        assert!(!keys.snapshot().unwrap().has(old.kid().as_str()), "a withdrawn key is gone");
    }
    let server = JwksServer::start(Answer::cached(&[&key()], "max-age=0")).await;
    let keys = remote(&server, &ManualClock::new()).start().await.unwrap();
    assert!(keys.refresh_for("any").is_some());
    eventually("the second fetch", || server.requests() == 2).await;
}

#[tokio::test]
async fn a_start_without_keys_is_an_error_and_a_lazy_one_is_503_until_they_are_there() {
    let (good, clock) = (key(), ManualClock::new());
    let server = JwksServer::start(Answer::status(500)).await;
    let error = remote(&server, &clock).start().await.unwrap_err();
    assert_eq!(error.kind(), &RemoteErrorKind::Status(500));

    let keys = remote(&server, &clock).start_lazily().unwrap();
    eventually("the first fetch", || keys.last_error().is_some()).await;
    let service = Service::new(keys, &clock);
    let token = service.token(copy(&good));
    assert_eq!(service.call(&token).await, StatusCode::SERVICE_UNAVAILABLE);
    server.answer(Answer::keys(&[&good]));
    clock.advance(INTERVAL);
    assert_eq!(service.call(&token).await, StatusCode::OK);
}

#[tokio::test]
async fn a_source_that_has_become_too_old_builds_no_verifier() {
    let clock = ManualClock::new();
    let server = JwksServer::start(Answer::keys(&[&key()])).await;
    let keys = remote(&server, &clock).start().await.unwrap();
    // The thread notices that it is time.
    server.answer(Answer::status(503));
    clock.advance(Duration::from_secs(7 * 3600));
    let built = Verifier::builder().issuer("bakery-auth").keys(keys).build();
    assert!(matches!(built, Err(BuildError::KeysUnavailable(_))), "{built:?}");
}

#[tokio::test]
async fn the_thread_ends_with_the_last_clone() {
    struct Held(#[allow(dead_code)] Arc<()>);
    impl service_only::clock::Clock for Held {
        fn now(&self) -> service_only::clock::Timestamp {
            ManualClock::START
        }
    }
    let server = JwksServer::start(Answer::keys(&[&key()])).await;
    let held = Arc::new(());
    let builder =
        RemoteJwks::url(server.url("/jwks")).dangerously_allow_http().clock(Held(Arc::clone(&held)));
    let keys = builder.start().await.unwrap();
    drop(keys.clone());
    assert_eq!(Arc::strong_count(&held), 2);
    drop(keys);
    eventually("the end of the thread", || Arc::strong_count(&held) == 1).await;
}

#[tokio::test]
async fn discovery_accepts_only_the_document_of_the_same_issuer() {
    let (good, clock) = (key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&good])).await;
    let discover = |issuer: &str| RemoteJwks::discover(issuer).dangerously_allow_http().clock(clock.clone());
    let (issuer, jwks_uri) = (server.url(""), server.url("/jwks"));
    let document = |issuer: &str, uri: &str| format!(r#"{{"issuer":"{issuer}","jwks_uri":"{uri}","x":[1]}}"#);

    server.document(document(&issuer, &jwks_uri));
    let keys = discover(&issuer).start().await.unwrap();
    assert!(keys.snapshot().unwrap().has(good.kid().as_str()));

    for (says, answer) in [
        ("`issuer` is", document(&format!("{issuer}/"), &jwks_uri)),
        ("`issuer` is", document("https://evil.example", &jwks_uri)),
        ("`issuer` is", document(&issuer.to_uppercase(), &jwks_uri)),
        ("`issuer` is", format!(r#"{{"jwks_uri":"{jwks_uri}"}}"#)),
        ("`jwks_uri` is missing", format!(r#"{{"issuer":"{issuer}"}}"#)),
        ("`jwks_uri`: the scheme is `file`", document(&issuer, "file:///etc/jwks.json")),
        ("occurs twice", format!(r#"{{"issuer":"{issuer}","issuer":"{issuer}","jwks_uri":"{jwks_uri}"}}"#)),
        ("discovery document", "garbage".to_owned()),
    ] {
        server.document(answer);
        let error = discover(&issuer).start().await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}, expected {says}");
    }
}

#[tokio::test]
async fn invalid_settings_are_refused_before_a_request() {
    let seconds = Duration::from_secs;
    let url = || RemoteJwks::url("https://auth.example/jwks");
    let http = || RemoteJwks::url("http://auth.example/jwks");
    for (refused, says) in [
        (http(), "plain http"),
        (RemoteJwks::discover("http://auth.example"), "plain http"),
        (RemoteJwks::url("https://user:pw@auth.example"), "password"),
        (http().dangerously_allow_http().bearer_token_file("/token"), "bearer token"),
        (url().root_certificates("not PEM"), "no certificate"),
        (url().refresh_between(seconds(0), seconds(1)), "every 0ns"),
        (url().refresh_between(seconds(2), seconds(1)), "every 2s to 1s"),
        (url().max_staleness(seconds(3599)), "would expire after 3599s"),
        (url().unknown_kid_interval(Duration::from_millis(999)), "every 999ms"),
        (url().unknown_kid_wait(seconds(0)), "zero"),
        (url().timeout(seconds(0)), "zero"),
        (url().proxy("not a proxy"), "not the URL of a proxy"),
        (url().max_keys(0), "0 keys"),
        (url().max_keys(KeySet::MAX_KEYS + 1), "keys"),
        (url().max_response_bytes(0), "0 bytes"),
        (url().max_response_bytes(KeySet::MAX_JWKS_BYTES + 1), "bytes"),
    ] {
        match refused.start_lazily() {
            Err(error) => {
                assert!(matches!(error.kind(), RemoteErrorKind::Configuration(_)), "{error:?}");
                assert!(error.to_string().contains(says), "{error}, expected {says}");
            }
            Ok(keys) => panic!("{keys:?}, expected {says}"),
        }
    }
}

#[tokio::test]
async fn a_cached_token_is_refused_once_its_keys_are_too_old_or_replaced() {
    let (own, other, clock) = (key(), key(), ManualClock::new());
    let server = JwksServer::start(Answer::keys(&[&own])).await;
    let keys = remote(&server, &clock).max_staleness(Duration::from_secs(3600)).start().await.unwrap();
    let service = Service::new(keys.clone(), &clock);
    let issuer = Issuer::builder().issuer("bakery-auth").key(copy(&own)).clock(clock.clone()).build();
    let token = issuer.unwrap().token_for("orders").lifetime(Duration::from_secs(3 * 3600)).mint().unwrap();
    let verdict = || service.verifier.verify(token.as_str()).err().map(|denial| denial.code());
    assert_eq!([verdict(), verdict(), verdict()], [None; 3]);
    assert_eq!(service.verifier.token_cache_hits(), 1);
    // The thread notices that it is time.
    server.answer(Answer::status(503));
    clock.advance(Duration::from_secs(3600));
    assert_eq!(verdict(), None);
    clock.advance(Duration::from_secs(1));
    assert_eq!(verdict(), Some(Code::KeysUnavailable));

    eventually("the fetch that is due", || keys.last_error().is_some()).await;
    server.answer(Answer::keys(&[&own]));
    service.look().await;
    let hits = service.verifier.token_cache_hits();
    assert_eq!([verdict(), verdict()], [None; 2]);
    assert_eq!(service.verifier.token_cache_hits(), hits + 1, "known again, by the keys as they are now");
    server.answer(Answer::keys(&[&other]));
    service.look().await;
    assert_eq!(verdict(), Some(Code::UnknownKey));
}

/// A token of an unknown key that says who issued it.
fn unknown(issuer: &str, kid: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#));
    let payload = URL_SAFE_NO_PAD.encode(format!(r#"{{"iss":"{issuer}"}}"#));
    format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode([0; 64]))
}

#[tokio::test]
async fn an_unknown_key_of_one_issuer_never_reloads_the_keys_of_another() {
    use service_only::TrustedIssuer;
    let clock = ManualClock::new();
    let [bakery, mill] =
        [JwksServer::start(Answer::keys(&[&key()])).await, JwksServer::start(Answer::keys(&[&key()])).await];
    let mut builder = Verifier::builder().clock(clock.clone()).audit(RecordingAudit::new());
    for (name, server) in [("https://bakery.example", &bakery), ("https://mill.example", &mill)] {
        let keys = remote(server, &clock).start().await.unwrap();
        let issuer = TrustedIssuer::oauth(name).keys(keys).audience("orders");
        builder = builder.trust(issuer.name(format!("client-of-{name}"), "orders"));
    }
    let verifier = builder.build().unwrap();
    let ask = async |token: String| {
        clock.advance(INTERVAL);
        match verifier.refresh_keys_for(&token) {
            Some(refresh) => refresh.await,
            None => return false,
        }
        true
    };
    assert_eq!([bakery.requests(), mill.requests()], [1, 1]);
    for number in 0..3 {
        assert!(ask(unknown("https://mill.example", &format!("new-{number}"))).await);
        assert_eq!([bakery.requests(), mill.requests()], [1, 2 + number]);
    }
    // Who names neither causes no request at all.
    for other in ["https://evil.example", "https://mill.example/", ""] {
        assert!(!ask(unknown(other, "new")).await, "{other}");
    }
    let nameless = unknown("https://mill.example", "new").replacen(
        &URL_SAFE_NO_PAD.encode(r#"{"iss":"https://mill.example"}"#),
        "e30",
        1,
    );
    assert!(!ask(nameless).await);
    assert!(ask(unknown("https://bakery.example", "new")).await);
    assert_eq!([bakery.requests(), mill.requests()], [2, 4]);
}
