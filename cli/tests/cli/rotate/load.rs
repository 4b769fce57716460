//! Rotations under load: the program rotates again and again, verifiers read the set that it publishes,
//! and clients call over HTTP with the tokens that it mints. No valid call is refused, and no retired
//! key is accepted.
//!
//! Nothing here depends on how fast the machine is: an answer counts as wrong only when what was known
//! before the request was sent and after the answer had come leaves no other reading.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::{Router, routing::get};
use reqwest::{Client, StatusCode};
use service_only::keys::KeyState;
use service_only::{
    Algorithm, FileKeys, Verifier,
    audit::NoAudit,
    clock::{Clock as _, SystemClock, Timestamp},
    issue::{Issuer, MintedToken, SigningKey},
    keys::KeySource as _,
    service_only,
};
use service_only_store::rotation::KeyReporter;
use service_only_store::{Store, TokenRecord};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::sandbox;

const ISSUER: &str = "bakery-auth";
const LIFE: Duration = Duration::from_secs(3);
const ROTATIONS: usize = 3;

#[service_only]
async fn guarded() -> &'static str {
    "done"
}

/// A service with a verifier of its own, which looks at the published set.
struct Fleet {
    url: String,
    keys: FileKeys,
    reporter: KeyReporter,
}

async fn serve(folder: &Path, name: &str) -> Fleet {
    let keys = FileKeys::jwks(folder.join("jwks.json")).poll_every(Duration::from_millis(20)).open().unwrap();
    let store = format!("sqlite:{}", folder.join("tokens.db").display());
    let reporter = KeyReporter::of(store, name, ISSUER, keys.clone())
        .refresh_every(Duration::from_secs(1))
        .start()
        .unwrap();
    let verifier = Verifier::builder()
        .issuer(ISSUER)
        .keys(keys.clone())
        .revocation(reporter.clone())
        .audit(NoAudit)
        .build()
        .unwrap();
    let router = Router::new().route("/", get(guarded)).with_state(verifier);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    Fleet { url, keys, reporter }
}

#[derive(Default)]
struct Tally {
    accepted: AtomicUsize,
    refused: AtomicUsize,
    kids: Mutex<BTreeSet<String>>,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }
}

/// A client that mints a token with the key that signs now, writes it down, uses it until shortly before
/// its end, and begins anew. It keeps the last of each key for afterwards.
async fn client(
    folder: Arc<Path>,
    fleet: Arc<Fleet>,
    name: String,
    tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
) -> Vec<MintedToken> {
    let store = Store::connect(&format!("sqlite:{}", folder.join("tokens.db").display())).await.unwrap();
    let http = Client::builder().no_proxy().build().unwrap();
    let mut kept: Vec<MintedToken> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let pem = std::fs::read(folder.join("signing.pem")).unwrap();
        let key = SigningKey::from_pem(Algorithm::ES256, &pem).unwrap();
        let issuer = Issuer::builder().issuer(ISSUER).key(key).lifetime(LIFE).build().unwrap();
        let token = issuer.token_for(name.as_str()).mint().unwrap();
        let claims = token.claims();
        let issued_at = Timestamp::from_unix(claims.iat.unwrap());
        let record = TokenRecord {
            issuer: ISSUER.to_owned(),
            jti: claims.jti.clone().unwrap(),
            service: name.clone(),
            kid: token.kid().to_string(),
            issued_at,
            expires_at: Timestamp::from_unix(claims.exp),
            note: None,
            minted_by: None,
            minted_at: issued_at,
        };
        store.record_tokens(&[record]).await.unwrap();
        tally.kids.lock().unwrap().insert(token.kid().to_string());
        while SystemClock.now().unix() + 1 < claims.exp && !stop.load(Ordering::Relaxed) {
            let status = http.get(&fleet.url).bearer_auth(token.as_str()).send().await.unwrap().status();
            if status == StatusCode::OK {
                tally.accepted.fetch_add(1, Ordering::Relaxed);
            } else if SystemClock.now().unix() < claims.exp {
                tally.wrong(format!("{status} for a good token of {}", token.kid()));
            }
        }
        kept.retain(|known| known.kid() != token.kid());
        kept.push(token);
    }
    kept
}

/// Sends what a thief would: a token that lives long, of a key that is retired.
async fn thief(fleet: &Fleet, tokens: &[MintedToken], tally: &Tally) {
    let http = Client::builder().no_proxy().build().unwrap();
    for token in tokens {
        let withdrawn = !fleet.keys.snapshot().unwrap().has(token.kid().as_str());
        let status = http.get(&fleet.url).bearer_auth(token.as_str()).send().await.unwrap().status();
        match status {
            StatusCode::UNAUTHORIZED => {
                tally.refused.fetch_add(1, Ordering::Relaxed);
            }
            status if withdrawn => tally.wrong(format!("{status} for the retired key {}", token.kid())),
            _ => {}
        }
    }
}

async fn rotate(folder: &Path, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_service-token"))
        .arg("rotate")
        .args(arguments)
        .current_dir(folder)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn retired(store: &Store) -> Vec<String> {
    let keys = store.keys(ISSUER).await.unwrap();
    keys.into_iter().filter(|key| key.state == KeyState::Retired).map(|key| key.kid).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotating_under_load_refuses_no_valid_call_and_accepts_no_retired_key() {
    let sandbox = sandbox(
        "key_life = \"6s\"\nlongest_refresh = \"1s\"\nunused_for = \"1s\"\ntoken_life = \"3s\"\nleeway = \"1s\"",
    );
    sandbox.run(&["rotate"]).done();
    let folder: Arc<Path> = sandbox.root().into();
    let store = Store::connect(&format!("sqlite:{}", folder.join("tokens.db").display())).await.unwrap();
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let mut fleet = Vec::new();
    let mut clients = JoinSet::new();
    for number in 0..2 {
        let service = Arc::new(serve(&folder, &format!("verifier-{number}")).await);
        fleet.push(Arc::clone(&service));
        let name = format!("client-{number}");
        clients.spawn(client(Arc::clone(&folder), service, name, Arc::clone(&tally), Arc::clone(&stop)));
    }

    // Of each key as it signs, a token that nobody uses before its key is retired.
    let mut stolen: Vec<MintedToken> = Vec::new();
    while retired(&store).await.len() < ROTATIONS {
        let pem = std::fs::read(folder.join("signing.pem")).unwrap();
        let key = SigningKey::from_pem(Algorithm::ES256, &pem).unwrap();
        if stolen.last().is_none_or(|last| last.kid() != key.kid()) {
            let issuer = Issuer::builder().issuer(ISSUER).key(key).build().unwrap();
            stolen.push(issuer.token_for("thief").mint().unwrap());
        }
        rotate(&folder, &[]).await;
        let gone = retired(&store).await;
        let mut known = stolen.iter();
        let of_retired: Vec<_> = known
            .by_ref()
            .filter(|token| gone.iter().any(|kid| kid == token.kid().as_str()))
            .cloned()
            .collect();
        for service in &fleet {
            thief(service, &of_retired, &tally).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    let kept: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    // What a thief has of the key that signs is worth nothing from the moment that verifiers look.
    let active = store.keys(ISSUER).await.unwrap().into_iter().find(|key| key.state == KeyState::Active);
    rotate(&folder, &[&format!("--emergency={}", active.unwrap().kid)]).await;
    let gone = retired(&store).await;
    for service in &fleet {
        while gone.iter().any(|kid| service.keys.snapshot().unwrap().has(kid)) {
            tokio::task::yield_now().await;
        }
        let of_retired: Vec<_> = stolen
            .iter()
            .chain(&kept)
            .filter(|token| gone.iter().any(|kid| kid == token.kid().as_str()))
            .cloned()
            .collect();
        thief(service, &of_retired, &tally).await;
        service.reporter.report().await.unwrap();
    }

    let (accepted, refused) = (tally.accepted.load(Ordering::Relaxed), tally.refused.load(Ordering::Relaxed));
    let signed = tally.kids.lock().unwrap().len();
    eprintln!("{accepted} calls with tokens of {signed} keys accepted; {refused} of retired keys refused");
    let wrong = tally.wrong.lock().unwrap().clone();
    assert!(wrong.is_empty(), "{} wrong answers, such as {}", wrong.len(), wrong.join("\n"));
    assert!(
        accepted > 100 && refused >= ROTATIONS && signed > ROTATIONS,
        "too small a load to show anything"
    );
    let uses = store.key_use(ISSUER).await.unwrap();
    assert!(uses.iter().any(|used| used.service == "client-0"), "{uses:?}");
}
