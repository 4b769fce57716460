//! Tests the output of a scrape and of a collector, and that the dashboard and alert files use only existing
//! metrics.

mod collector;
mod files;
mod grafana;
mod prometheus;
mod scrape;

use std::{collections::BTreeSet, time::Duration};

use service_only::{Algorithm, JsonLinesAudit, RemoteJwks, VerifyingKey, clock::Timestamp, keys::KeyRing};
use service_only_client::TokenSource;
use service_only_otel::{Metrics, Telemetry};
use service_only_store as store;
use service_only_testkit::{TestApp, TestAuthority, call};

use crate::{observed, stock, watched};

/// The service of `main`, in the test's process.
struct World {
    authority: TestAuthority,
    telemetry: Telemetry,
    metrics: Metrics,
    stock: TestApp,
    watched: TestApp,
}

impl World {
    fn new() -> Self {
        Self::with(Telemetry::new(None).unwrap())
    }

    fn with(telemetry: Telemetry) -> Self {
        let authority = TestAuthority::new();
        let metrics = telemetry.metrics().clone();
        let log = JsonLinesAudit::to_writer(std::io::sink()).unwrap();
        let verifier = observed(authority.verifier_builder(), &telemetry, log).unwrap();
        let (stock, watched) = (call(stock(verifier)), call(watched(telemetry.clone())));
        Self { authority, telemetry, metrics, stock, watched }
    }

    async fn scrape(&self) -> String {
        let answer = self.watched.get("/metrics").await;
        assert_eq!(answer.status(), 200);
        answer.text().to_owned()
    }

    async fn ask_as_the_shop(&self) {
        let shop = self.authority.service("shop").scope("stock:read");
        assert_eq!(self.stock.get("/stock").bearer(shop.token()).await.status(), 200);
    }
}

/// The names of all series of a scrape, with their labels and without their values.
fn series(scrape: &str) -> BTreeSet<&str> {
    let samples = scrape.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect()
}

/// The names of all exported metrics.
fn names(scrape: &str) -> BTreeSet<String> {
    series(scrape).into_iter().filter_map(|series| Some(series.split('{').next()?.to_owned())).collect()
}

/// The names of all metrics that can be exported.
async fn everything() -> BTreeSet<String> {
    let texts = [every_kind_of_service().await, registry().await, anomalies()];
    texts.iter().flat_map(|text| names(text)).collect()
}

/// The metrics that a timer writes for node_exporter, about the audit log.
fn anomalies() -> String {
    let record = r#"{"id":"019b76da-0000-7000-8000-000000000001","time":"2026-01-01T00:00:00Z","decision":"allow","status":200,"endpoint":"stock::reserve","service":"orders","duration_us":50}"#;
    let mut survey = service_only_evidence::survey::Survey::new();
    let lines = std::io::Cursor::new(format!("{record}\n"));
    let done = service_only_evidence::read::stream(std::path::Path::new("audit.jsonl"), lines, &mut survey);
    survey.anomalies(&service_only_evidence::anomalies::AnomalyRules::default()).exposition(&survey, &done)
}

/// The export of a service that watches everything it can.
async fn every_kind_of_service() -> String {
    let world = World::new();
    world.ask_as_the_shop().await;
    world.stock.post("/restock").bearer(world.authority.service("shop").token()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, world.authority.service("stock").token().as_str()).unwrap();
    let tokens = TokenSource::file(&path).open().unwrap();
    world.metrics.watch_token("orders", &tokens);
    let supply = TokenSource::fixed(&world.authority.service("stock").token()).unwrap();
    // The clock of the authority may be behind, so the token may have expired.
    drop(supply.authorization_for(Some("orders")).await);
    world.metrics.watch_token_supply("provider", &supply);
    let ring = KeyRing::new(key("k1"), Duration::from_secs(60)).unwrap();
    world.metrics.watch_ring("bakery-auth", &ring);
    // Port 1 has no server, so this source has no keys. The other source has keys.
    let remote = RemoteJwks::url("http://127.0.0.1:1/").dangerously_allow_http().start_lazily().unwrap();
    world.metrics.watch_remote("bakery-auth", &remote);
    let jwks = folder.path().join("jwks.json");
    std::fs::write(&jwks, world.authority.jwks()).unwrap();
    let file = service_only::FileKeys::jwks(&jwks).open().unwrap();
    world.metrics.watch_file("another", &file);
    // Two verifiers: one that accepts both profiles, and that of the service.
    let keys = world.authority.keys();
    let strict = service_only::TrustedIssuer::strict("strict").keys(keys.clone()).audience("stock");
    let both = service_only::Verifier::builder().issuer("old").keys(keys).trust(strict.services(["stock"]));
    let both = both.clock(world.authority.clock().clone()).build().unwrap();
    world.metrics.watch_verifier(&both);
    both.verify(&world.authority.service("shop").claim("iss", "old").token()).unwrap();

    world.scrape().await
}

fn key(kid: &str) -> VerifyingKey {
    VerifyingKey::hmac(Algorithm::HS256, &[7; 32]).unwrap().with_kid(kid)
}

/// The metrics that the operator's job writes for node_exporter.
async fn registry() -> String {
    let at = Timestamp::from_unix;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("tokens.db").display());
    let store = store::Store::create(&url).await.unwrap();
    let token = store::TokenRecord {
        issuer: "bakery-auth".to_owned(),
        jti: "j1".to_owned(),
        service: "shop".to_owned(),
        kid: "k1".to_owned(),
        issued_at: at(0),
        expires_at: at(1_000),
        note: None,
        minted_by: None,
        minted_at: at(0),
    };
    let expired = store::TokenRecord { jti: "j0".to_owned(), expires_at: at(500), ..token.clone() };
    store.record_tokens(&[token, expired]).await.unwrap();
    store.prune_tokens(at(800), 10, at(800)).await.unwrap();
    let key = store::KeyRecord {
        issuer: "bakery-auth".to_owned(),
        kid: "k1".to_owned(),
        algorithm: "ES256".to_owned(),
        state: service_only::keys::KeyState::Active,
        file: None,
        public_jwk: None,
        prepared_at: at(0),
        active_at: Some(at(0)),
        retiring_at: None,
        retired_at: None,
        expires_at: None,
    };
    store.add_key(&key).await.unwrap();
    let journal = store.journal("bakery-auth").await.unwrap();
    let plan = store::rotation::Plan::new(&journal, &store::rotation::RotationSettings::default(), at(900));
    store.exposition("bakery-auth", &[], at(900)).await.unwrap() + &plan.exposition("bakery-auth")
}
