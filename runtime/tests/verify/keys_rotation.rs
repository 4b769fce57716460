//! Rotation under load: real HTTP requests from several clients to a guarded service, while its
//! issuer prepares, activates and retires a key every second. No valid token is refused, and no
//! token of a retired key is accepted.
//!
//! Nothing here depends on how fast the machine is: an answer counts as wrong only when the key's
//! state before the request was sent and after the answer had come leaves no other reading.

#![cfg(all(feature = "axum", feature = "issue"))]
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, routing::get};
use reqwest::{Client, StatusCode};
use service_only::{
    Algorithm, Verifier,
    audit::NoAudit,
    issue::{Issuer, MintedToken, SigningKey, SigningRing},
    keys::{KeySource, KeyState},
    service_only,
};
use tokio::{net::TcpListener, task::JoinSet, time};

const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_secs(1);
const OVERLAP: Duration = Duration::from_millis(400);
const CLIENTS: usize = 4;

#[service_only(services("orders"))]
async fn guarded() -> &'static str {
    "done"
}

async fn serve(keys: impl KeySource) -> String {
    let verifier = Verifier::builder().issuer("bakery-auth").keys(keys).audit(NoAudit).build().unwrap();
    let router = Router::new().route("/", get(guarded)).with_state(verifier);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::EdDSA).unwrap()
}

fn mint(ring: &SigningRing) -> MintedToken {
    let issuer = Issuer::builder().issuer("bakery-auth").key(ring.signing_key()).build().unwrap();
    issuer.token_for("orders").mint().unwrap()
}

/// Whether a token of this key is good by the ring, now.
fn is_trusted(ring: &SigningRing, token: &MintedToken) -> bool {
    let states = ring.states();
    let state = states.iter().find(|(kid, _)| kid == token.kid()).map(|(_, state)| *state);
    state.is_some_and(|state| state != KeyState::Retired)
}

#[derive(Default)]
struct Tally {
    sent: AtomicUsize,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    /// Of a key that is retiring, and accepted for that.
    overlapping: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    /// Sends one token, and judges the answer.
    async fn send(&self, client: &Client, url: &str, ring: &SigningRing, token: &MintedToken) {
        let before = is_trusted(ring, token);
        let status = client.get(url).bearer_auth(token.as_str()).send().await.unwrap().status();
        let after = is_trusted(ring, token);
        self.sent.fetch_add(1, Ordering::Relaxed);
        match status {
            StatusCode::OK => {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                if ring.signing_key().kid() != token.kid() {
                    self.overlapping.fetch_add(1, Ordering::Relaxed);
                }
                if !before {
                    self.wrong.lock().unwrap().push(format!("accepted, and {token:?} was retired"));
                }
            }
            status => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                if after || status != StatusCode::UNAUTHORIZED {
                    self.wrong.lock().unwrap().push(format!("{status}, and {token:?} was good"));
                }
            }
        }
    }
}

/// A client that asks for a token, uses it for a while, goes on with an old one, and asks again.
async fn client(url: String, ring: SigningRing, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
    let http = Client::builder().no_proxy().build().unwrap();
    let mut old: Vec<MintedToken> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let token = mint(&ring);
        tally.send(&http, &url, &ring, &token).await;
        if old.last().is_none_or(|last| last.kid() != token.kid()) {
            old.push(token);
        }
        // Those of this round and all before it, the retired ones too.
        for token in &old {
            tally.send(&http, &url, &ring, token).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotating_every_second_under_load_refuses_nothing_valid_and_accepts_nothing_retired() {
    let ring = SigningRing::new(key(), OVERLAP).unwrap();
    let url = serve(ring.clone()).await;
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(url.clone(), ring.clone(), Arc::clone(&tally), Arc::clone(&stop)));
    }
    let mut round = time::interval(ROUND / 2);
    for number in 0..ROUNDS {
        round.tick().await;
        let (next, former) = (key(), ring.signing_key());
        let kid = next.kid().clone();
        ring.prepare(next).unwrap();
        round.tick().await;
        ring.activate(kid.as_str()).unwrap();
        // By turns, a key is left to the time or retired by hand.
        if number % 2 == 1 {
            time::sleep(OVERLAP / 2).await;
            ring.retire(former.kid().as_str()).unwrap();
        }
    }
    round.tick().await;
    round.tick().await;
    stop.store(true, Ordering::Relaxed);
    clients.join_all().await;

    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    let (sent, accepted, refused) = (count(&tally.sent), count(&tally.accepted), count(&tally.refused));
    let overlapping = count(&tally.overlapping);
    eprintln!(
        "{sent} requests during {ROUNDS} rotations: {accepted} accepted, {overlapping} of them in an overlap; \
         {refused} of retired keys refused"
    );
    let wrong = tally.wrong.lock().unwrap();
    assert!(wrong.is_empty(), "{} wrong answers, such as {}", wrong.len(), wrong.join("\n"));
    assert!(accepted > 100 && refused > 100 && overlapping > 10, "the load was too small to show anything");
    let retired = ring.states().iter().filter(|(_, state)| *state == KeyState::Retired).count();
    assert_eq!(retired, ROUNDS);
}
