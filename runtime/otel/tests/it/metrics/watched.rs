//! What is read when somebody collects.

use std::{io, time::Duration};

use service_only::{
    Algorithm, FileKeys, JsonLinesAudit, VerifyingKey, keys::KeyRing, revocation::MemoryRevocations,
};
use service_only_client::TokenSource;

use super::*;

fn key(kid: &str) -> VerifyingKey {
    VerifyingKey::hmac(Algorithm::HS256, &[7; 32]).unwrap().with_kid(kid)
}

#[test]
fn a_rings_keys_have_a_state_and_an_age_and_a_retired_one_only_a_state() {
    let world = World::new();
    let clock = world.authority.clock();
    let ring = KeyRing::with_clock(key("old"), Duration::from_secs(100), clock.clone()).unwrap();
    world.metrics.watch_ring("bakery-auth", &ring);
    clock.advance(Duration::from_secs(30));
    ring.prepare(key("new")).unwrap();
    clock.advance(Duration::from_secs(3));

    let all = world.collect();
    let state = |kid, state| (format!("{{issuer=bakery-auth,kid={kid},state={state}}}"), 1.0);
    let age = |kid, age| (format!("{{issuer=bakery-auth,kid={kid}}}"), age);
    let owned = |found: Vec<(&str, f64)>| {
        found.into_iter().map(|(labels, value)| (labels.to_owned(), value)).collect::<Vec<_>>()
    };
    assert_eq!(owned(of(&all, "service_only.key.state")), [state("new", "prepared"), state("old", "active")]);
    assert_eq!(owned(of(&all, "service_only.key.age")), [age("new", 3.0), age("old", 33.0)]);

    ring.activate("new").unwrap();
    assert_eq!(
        owned(of(&world.collect(), "service_only.key.state")),
        [state("new", "active"), state("old", "retiring")]
    );
    clock.advance(Duration::from_secs(100));
    let all = world.collect();
    assert_eq!(owned(of(&all, "service_only.key.state")), [state("new", "active"), state("old", "retired")]);
    assert_eq!(owned(of(&all, "service_only.key.age")), [age("new", 103.0)]);
}

#[test]
fn cache_hits_and_tokens_of_the_compatible_are_the_verifiers_own_counts() {
    let world = World::new();
    let keys = world.authority.keys();
    let builder = Verifier::builder().issuer("bakery-auth").keys(keys.clone());
    let strict =
        service_only::TrustedIssuer::strict("other").keys(keys).audience("orders").services(["stock"]);
    let verifier = builder.trust(strict).clock(world.authority.clock().clone()).build().unwrap();
    world.metrics.watch_verifier(&verifier);
    let token = world.authority.service("shop").claim("iss", "bakery-auth").token();
    for _ in 0..5 {
        verifier.verify(&token).unwrap();
    }
    let all = world.collect();
    assert_eq!(of(&all, "service_only.compatible.tokens"), [("{caller.service=shop}", 5.0)]);
    let hits = verifier.token_cache_hits();
    assert!(hits > 0);
    assert_eq!(of(&all, "service_only.token_cache.hits"), [("{}", hits as f64)]);
}

struct Full;

impl io::Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is full"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn records_lost_by_any_sink_are_counted() {
    let world = World::new();
    let logs = [JsonLinesAudit::to_writer(Full).unwrap(), JsonLinesAudit::to_writer(Full).unwrap()];
    for log in &logs {
        world.metrics.watch_audit(log);
        let verifier = world.authority.verifier_builder().audit(log.clone()).build().unwrap();
        verifier.verify("garbage").unwrap_err();
        let _ = log.flush();
    }
    assert_eq!(of(&world.collect(), "service_only.audit.dropped"), [("{}", 2.0)]);
}

#[test]
fn loaded_revocations_are_counted() {
    let world = World::new();
    let revocations = MemoryRevocations::new();
    world.metrics.watch_revocations({
        let revocations = revocations.clone();
        move || revocations.len()
    });
    revocations.revoke_key("bakery-auth", "old").unwrap();
    assert_eq!(of(&world.collect(), "service_only.revocations"), [("{}", 1.0)]);
}

#[test]
fn token_source_reports_expiry_and_lifetime_and_key_file_reports_its_load_time() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let now = world.authority.clock().now().unix();
    let token = world.authority.service("shop").claim("iat", now).claim("exp", now + 600).token();
    std::fs::write(folder.path().join("token"), token.as_str()).unwrap();
    std::fs::write(folder.path().join("jwks.json"), world.authority.jwks()).unwrap();
    let tokens = TokenSource::file(folder.path().join("token")).open().unwrap();
    let keys = FileKeys::jwks(folder.path().join("jwks.json")).clock(world.authority.clock().clone());
    let keys = keys.open().unwrap();
    world.metrics.watch_token("orders", &tokens);
    world.metrics.watch_file("bakery-auth", &keys);

    let all = world.collect();
    let expiry = (now + 600) as f64;
    assert_eq!(of(&all, "service_only.sent_token.expiry.timestamp"), [("{token=orders}", expiry)]);
    assert_eq!(of(&all, "service_only.sent_token.lifetime"), [("{token=orders}", 600.0)]);
    assert_eq!(of(&all, "service_only.key_refresh.failing"), [("{issuer=bakery-auth}", 0.0)]);
    let loaded = of(&all, "service_only.key_refresh.success.timestamp");
    assert_eq!(loaded, [("{issuer=bakery-auth}", now as f64)]);

    // What is dropped is read no more, and is not kept alive by being watched.
    drop((tokens, keys));
    assert!(of(&world.collect(), "service_only.sent_token.lifetime").is_empty());
    assert!(of(&world.collect(), "service_only.key_refresh.failing").is_empty());
}

#[tokio::test]
async fn tokens_of_a_supply_have_an_expiry_for_each_audience_and_counts() {
    let world = World::new();
    let token = world.authority.service("shop").without_claim("aud").claim("exp", 32_503_680_000_i64).token();
    let tokens = TokenSource::fixed(&token).unwrap();
    world.metrics.watch_token_supply("orders", &tokens);
    tokens.authorization_for(Some("stock")).await.unwrap();
    tokens.authorization_for(None).await.unwrap();
    let all = world.collect();
    let expiry = of(&all, "service_only.sent_token.expiry.timestamp");
    assert_eq!(
        expiry,
        [("{audience=,token=orders}", 32_503_680_000.0), ("{audience=stock,token=orders}", 32_503_680_000.0)]
    );
    assert_eq!(of(&all, "service_only.sent_token.lifetime").len(), 2);
    assert_eq!(of(&all, "service_only.sent_token.renewals"), [("{token=orders}", 2.0)]);
    assert_eq!(of(&all, "service_only.sent_token.failures"), [("{token=orders}", 0.0)]);
    drop(tokens);
    assert!(of(&world.collect(), "service_only.sent_token.renewals").is_empty());
}

#[cfg(feature = "remote")]
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_fetched_are_failures_without_a_success() {
    let world = World::new();
    // Nobody listens on port 1.
    let source = service_only::RemoteJwks::url("http://127.0.0.1:1/").dangerously_allow_http();
    let source = source.start_lazily().unwrap();
    world.metrics.watch_remote("bakery-auth", &source);
    tokio::time::timeout(Duration::from_secs(10), async {
        while source.failures() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let all = tokio::task::spawn_blocking(move || world.collect()).await.unwrap();
    assert!(of(&all, "service_only.key_refresh.failures")[0].1 >= 1.0);
    assert!(of(&all, "service_only.key_refresh.success.timestamp").is_empty());
}

#[test]
fn tls_material_has_an_expiry_a_revision_and_the_kind_of_its_last_error() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let ca = service_only_testkit::TestCa::new("bakery.example");
    let until = |tls: &service_only_tls::Tls| tls.status().not_after.unix() as f64;
    ca.leaf().issue().write_cert_manager(folder.path(), &ca).unwrap();
    let files = service_only_tls::TlsFiles::cert_manager(folder.path());
    let tls = files.poll_every(Duration::from_millis(10)).open().unwrap();
    world.metrics.watch_tls("orders", &tls);
    let all = world.collect();
    assert_eq!(of(&all, "service_only.tls.expiry.timestamp"), [("{certificate=orders}", until(&tls))]);
    assert_eq!(of(&all, "service_only.tls.revision"), [("{certificate=orders}", 1.0)]);
    assert_eq!(of(&all, "service_only.tls.failing"), [("{certificate=orders}", 0.0)]);

    std::fs::write(folder.path().join("tls.crt"), "half written").unwrap();
    while tls.status().error.is_none() {
        std::thread::yield_now();
    }
    let all = world.collect();
    assert_eq!(of(&all, "service_only.tls.failing"), [("{certificate=orders,error.type=pem}", 1.0)]);
    assert_eq!(of(&all, "service_only.tls.revision"), [("{certificate=orders}", 1.0)]);

    // A configuration uses the material, so it is still watched.
    let config = tls.client_config();
    drop(tls);
    assert_eq!(of(&world.collect(), "service_only.tls.revision").len(), 1);
    drop(config);
    assert!(of(&world.collect(), "service_only.tls.revision").is_empty());
}
