//! A provider that this project did not write: node's `oidc-provider`. The client obtains its tokens, and the verifier
//! checks them with the keys that it publishes.
//!
//! `SERVICE_ONLY_OIDC_DIR` names a folder in which `npm install oidc-provider` was run. Without it the tests say that they
//! skipped.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::SystemTime,
};

use service_only::{
    Algorithm, Dpop, Proof, RemoteJwks, TrustedIssuer, Verifier,
    clock::{Clock, SystemClock},
    issue::{DpopKey, PublicJwk, SigningKey},
};
use service_only_client::{AttachToken, ClientCredentials, TokenErrorKind, TokenSupply};
use service_only_testkit::ManualClock;

use super::*;
use tower::{Layer, ServiceExt};

const AUDIENCE: &str = "https://orders.bakery.example";
const LIFETIME: Duration = Duration::from_secs(300);

/// The provider's process. It ends with the test, which closes its standard input.
struct Provider {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    issuer: String,
    /// Of the client that signs its assertions.
    key: SigningKey,
    folder: TempDir,
    clock: ManualClock,
}

impl Provider {
    fn start() -> Option<Self> {
        let Some(installed) = std::env::var_os("SERVICE_ONLY_OIDC_DIR") else {
            eprintln!(
                "skipped: set SERVICE_ONLY_OIDC_DIR to a folder in which `npm install oidc-provider` was run"
            );
            return None;
        };
        let key = SigningKey::generate(Algorithm::ES256).unwrap();
        let mut process = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/provider/oidc.mjs"))
            .arg(PublicJwk::set([&key.public_jwk().unwrap()]))
            .arg(LIFETIME.as_secs().to_string())
            .env("SERVICE_ONLY_OIDC_DIR", installed)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let issuer = line(&mut output);
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "p@ss word\n").unwrap();
        let clock = ManualClock::at(SystemTime::now().into());
        Some(Self { process, input, output, issuer, key, folder, clock })
    }

    /// Gives a command, and returns how many tokens and key sets were requested.
    fn tell(&mut self, command: &str) -> (usize, usize) {
        writeln!(self.input, "{command}").unwrap();
        let counts = line(&mut self.output);
        let (tokens, keys) = counts.split_once(' ').unwrap();
        (tokens.parse().unwrap(), keys.parse().unwrap())
    }

    fn client(&self, id: &str) -> ClientCredentials {
        let client = TokenSource::client_credentials(&self.issuer).client_id(id).scope("orders:read");
        client.dangerously_allow_http().clock(self.clock.clone())
    }

    fn with_secret(&self) -> TokenSupply {
        self.client("billing").secret_file(self.folder.path().join("secret")).start().unwrap()
    }

    async fn verifier(&self) -> Verifier {
        let keys = RemoteJwks::discover(&self.issuer).dangerously_allow_http().start().await.unwrap();
        let issuer = TrustedIssuer::oauth(&self.issuer).keys(keys).audience(AUDIENCE);
        let dpop = Dpop::new(AUDIENCE);
        Verifier::builder().trust(issuer.name("billing", "billing-service")).dpop(dpop).build().unwrap()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn line(output: &mut BufReader<ChildStdout>) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the provider has ended");
        // It warns on standard output too.
        if line.starts_with("http") || line.starts_with(|c: char| c.is_ascii_digit()) {
            return line.trim().to_owned();
        }
    }
}

/// The token that a client sends, as the verifier reads it after a wait for its key.
async fn verdict(verifier: &Verifier, supply: &TokenSupply) -> Result<Caller, String> {
    let value = supply.authorization_for(Some(AUDIENCE)).await.map_err(|error| error.to_string())?;
    let token = value.to_str().unwrap().strip_prefix("Bearer ").unwrap();
    if let Some(refresh) = verifier.refresh_keys_for(token) {
        refresh.await;
    }
    verifier.verify(token).map_err(|denial| denial.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_provider_serves_client_and_verifier_through_rotation_and_outage() {
    let Some(mut provider) = Provider::start() else { return };
    let (verifier, supply) = (provider.verifier().await, provider.with_secret());
    let caller = verdict(&verifier, &supply).await.unwrap();
    assert_eq!((caller.service(), caller.issuer()), ("billing-service", provider.issuer.as_str()));
    assert!(caller.has_scope("orders:read"));
    let first = caller.key_id().unwrap().to_string();
    let life = supply.expires_at(Some(AUDIENCE)).unwrap().since(SystemClock.now()).unwrap();
    assert!(life <= LIFETIME, "{life:?}");

    // The provider signs with a new key, and the client renews its token.
    provider.tell("rotate");
    provider.clock.advance(LIFETIME * 7 / 10);
    assert!(verdict(&verifier, &supply).await.is_ok(), "with the old token, while the renewal is under way");
    while supply.renewals() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let caller = verdict(&verifier, &supply).await.unwrap();
    assert_ne!(caller.key_id().unwrap().to_string(), first);
    provider.tell("retire");

    // During an outage no call fails within the token's lifetime.
    let (tokens, _) = provider.tell("down");
    for _ in 0..8 {
        provider.clock.advance(LIFETIME / 10);
        if supply.expires_at(Some(AUDIENCE)).unwrap() > provider.clock.now() {
            assert!(verdict(&verifier, &supply).await.is_ok());
        }
    }
    provider.clock.advance(LIFETIME);
    let error = supply.authorization_for(Some(AUDIENCE)).await.unwrap_err();
    assert_eq!(error.kind(), &TokenErrorKind::Status(503), "{error}");
    assert_eq!(error.url(), Some(format!("{}/token", provider.issuer).as_str()));
    assert_eq!(provider.tell("up").0, tokens);
    assert_eq!(provider.tell("count").0, 2);
}

#[service_only(services("billing-service"), scopes("orders:read"))]
async fn stock() {}

/// Sends requests without a pause until the test ends them, and counts the calls and the failures.
struct Callers {
    ended: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Callers {
    fn start(count: usize, verifier: &Verifier, supply: &TokenSupply) -> Self {
        let (ended, calls, failed) =
            <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<Mutex<Vec<String>>>)>::default();
        let app = Router::new().route("/stock", any(stock)).with_state(verifier.clone());
        let attach = || AttachToken::from(supply.clone()).to(AUDIENCE).unwrap().audience(AUDIENCE);
        let tasks = (0..count).map(|_| {
            let (app, ended) = (app.clone(), Arc::clone(&ended));
            let (calls, failed) = (Arc::clone(&calls), Arc::clone(&failed));
            let refused = Arc::clone(&failed);
            // A refusal counts even if the layer sends the request once more.
            let client = attach().layer(tower::service_fn(
                move |request: http::Request<http_body_util::Empty<Bytes>>| {
                    let (app, refused) = (app.clone(), Arc::clone(&refused));
                    async move {
                        let response = app.oneshot(request.map(axum::body::Body::new)).await?;
                        if response.status() != 200 {
                            refused.lock().unwrap().push(format!("refused: {}", response.status()));
                        }
                        Ok::<_, std::convert::Infallible>(response)
                    }
                },
            ));
            tokio::spawn(async move {
                while !ended.load(Ordering::Relaxed) {
                    let request = http::Request::get(format!("{AUDIENCE}/stock"));
                    let request = request.body(http_body_util::Empty::<Bytes>::new()).unwrap();
                    let failure = match client.clone().oneshot(request).await {
                        Ok(response) if response.status() == 200 => None,
                        Ok(response) => Some(response.status().to_string()),
                        Err(error) => Some(error.to_string()),
                    };
                    calls.fetch_add(1, Ordering::Relaxed);
                    failed.lock().unwrap().extend(failure);
                    // Not so fast that the provider and the renewals wait for the processor.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        });
        Self { tasks: tasks.collect(), ended, calls, failed }
    }

    /// Waits for this many further calls.
    async fn more(&self, count: usize) {
        let before = self.calls.load(Ordering::Relaxed);
        while self.calls.load(Ordering::Relaxed) < before + count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// How many calls were sent, and what failed.
    async fn end(self) -> (usize, Vec<String>) {
        self.ended.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        let failed = self.failed.lock().unwrap().clone();
        (self.calls.load(Ordering::Relaxed), failed)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_a_foreign_provider_rotates_its_key_and_is_down_within_a_tokens_lifetime() {
    let Some(mut provider) = Provider::start() else { return };
    let (verifier, supply) = (provider.verifier().await, provider.with_secret());
    let callers = Callers::start(4, &verifier, &supply);
    callers.more(50).await;

    // The next token has a key that the verifier has not seen.
    provider.tell("rotate");
    callers.more(50).await;
    provider.clock.advance(LIFETIME * 7 / 10);
    while supply.renewals() < 2 {
        callers.more(1).await;
    }
    callers.more(50).await;
    provider.tell("retire");
    callers.more(50).await;

    // In the clock of the client, the outage lasts until shortly before the end of the token.
    let (_, keys) = provider.tell("down");
    let expires_at = supply.expires_at(Some(AUDIENCE)).unwrap();
    let left = |clock: &ManualClock| expires_at.since(clock.now()).unwrap_or_default();
    while left(&provider.clock) > Duration::from_secs(20) {
        provider.clock.advance(Duration::from_secs(10));
        callers.more(50).await;
    }
    while supply.failures() == 0 {
        callers.more(1).await;
    }
    assert_eq!(supply.renewals(), 2, "no token was obtained during the outage");
    provider.tell("up");
    provider.clock.advance(left(&provider.clock) - Duration::from_secs(1));
    while supply.renewals() < 3 {
        callers.more(1).await;
    }
    callers.more(50).await;
    assert_eq!(provider.tell("count").1, keys, "the verifier needed no keys in the meantime");
    let (calls, failed) = callers.end().await;
    assert_eq!(failed.len(), 0, "{failed:?}");
    assert!(calls > 100, "{calls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_provider_accepts_a_signed_assertion_and_no_other_key() {
    let Some(provider) = Provider::start() else { return };
    let key =
        |key: &SigningKey| SigningKey::from_pem(key.algorithm(), &key.to_secret_bytes().unwrap()).unwrap();
    let own = key(&provider.key).with_kid(provider.key.kid().as_str());
    let supply = provider.client("billing-key").private_key(own).start().unwrap();
    let caller = verdict(&provider.verifier().await, &supply).await.unwrap();
    assert_eq!(caller.service(), "billing-key");
    let other = SigningKey::generate(Algorithm::ES256).unwrap().with_kid(provider.key.kid().as_str());
    let supply = provider.client("billing-key").private_key(other).start().unwrap();
    let error = supply.authorization_for(Some(AUDIENCE)).await.unwrap_err();
    assert!(
        matches!(error.kind(), TokenErrorKind::Refused(why) if why.contains("`invalid_client`")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_provider_refuses_a_wrong_secret_and_an_unknown_audience() {
    let Some(provider) = Provider::start() else { return };
    fs::write(provider.folder.path().join("wrong"), "wrong").unwrap();
    let wrong = provider.client("billing").secret_file(provider.folder.path().join("wrong")).start().unwrap();
    let error = wrong.authorization_for(Some(AUDIENCE)).await.unwrap_err();
    assert!(
        matches!(error.kind(), TokenErrorKind::Refused(why) if why.contains("`invalid_client`")),
        "{error}"
    );
    let error = provider.with_secret().authorization_for(Some("not a URL")).await.unwrap_err();
    assert!(
        matches!(error.kind(), TokenErrorKind::Refused(why) if why.contains("`invalid_target`")),
        "{error}"
    );
}

#[service_only]
async fn proven(caller: Caller) -> String {
    assert_eq!(caller.proof(), Some(Proof::Dpop));
    caller.service().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_provider_binds_a_token_to_the_key_that_then_signs_each_request() {
    let Some(mut provider) = Provider::start() else { return };
    let verifier = provider.verifier().await;
    let secret = provider.folder.path().join("secret");
    let key = Arc::new(DpopKey::generate(Algorithm::ES256).unwrap());
    let settings = || provider.client("billing-dpop").secret_file(&secret);
    let supply = settings().dpop(Arc::clone(&key)).start().unwrap();
    let app = Router::new().route("/stock", any(proven)).with_state(verifier.clone());
    let call = async |attach: AttachToken| {
        let app = app.clone();
        let inner = tower::service_fn(move |request: http::Request<http_body_util::Empty<Bytes>>| {
            app.clone().oneshot(request.map(axum::body::Body::new))
        });
        let client = attach.to(AUDIENCE).unwrap().audience(AUDIENCE).layer(inner);
        let request = http::Request::get(format!("{AUDIENCE}/stock")).body(http_body_util::Empty::new());
        client.oneshot(request.unwrap()).await.map(|response| response.status().as_u16())
    };
    let attach = || AttachToken::from(supply.clone());
    for _ in 0..3 {
        assert_eq!(call(attach().dpop(Arc::clone(&key))).await.unwrap(), 200);
    }
    assert_eq!(provider.tell("count").0, 2, "the provider asked for a nonce once");
    let other = DpopKey::generate(Algorithm::ES256).unwrap();
    assert_eq!(call(attach().dpop(other)).await.unwrap(), 401);
    assert_eq!(call(attach()).await.unwrap(), 401);
    // Without a key, this client gets no token.
    let without = provider.client("billing-dpop").secret_file(&secret).start().unwrap();
    let error = without.authorization_for(Some(AUDIENCE)).await.unwrap_err();
    assert!(matches!(error.kind(), TokenErrorKind::Refused(_)), "{error}");
}
