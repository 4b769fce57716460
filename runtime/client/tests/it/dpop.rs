//! Requests with a proof of DPoP (RFC 9449), against the verifier of this project.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, StatusCode};
use http_body_util::Full;
use reqwest_middleware::ClientWithMiddleware;
use service_only::{
    Algorithm, Dpop, Proof, Verifier,
    clock::{Clock, SystemClock},
    issue::{DpopKey, Issuer, SigningKey},
};
use service_only_client::{AttachToken, TokenSupply};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

use super::*;

/// A service that accepts proofs, and what arrived there: the scheme, and whether the proof has a nonce.
struct Proven {
    authority: TestAuthority,
    key: Arc<DpopKey>,
    arrived: Arc<Mutex<Vec<(String, bool)>>>,
}

#[service_only]
async fn proven(caller: Caller, body: Bytes) -> String {
    assert_eq!(caller.proof(), Some(Proof::Dpop));
    format!("{} sent {}", caller.service(), body.len())
}

impl Proven {
    fn new(algorithm: Algorithm) -> Self {
        let authority = TestAuthority::new();
        // The client reads the time of the machine.
        authority.clock().set(SystemClock.now());
        let key = DpopKey::generate(algorithm).unwrap().clock(authority.clock().clone());
        Self { authority, key: Arc::new(key), arrived: Arc::default() }
    }

    fn verifier(&self, dpop: Dpop) -> Verifier {
        self.authority.verifier_builder().dpop(dpop).build().unwrap()
    }

    fn app(&self, verifier: Verifier) -> Router {
        let arrived = Arc::clone(&self.arrived);
        let remember = move |request: axum::extract::Request, next: Next| {
            let header =
                |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
            let scheme = header("authorization").unwrap_or_default();
            let claims = header("dpop").and_then(|proof| {
                let payload = URL_SAFE_NO_PAD.decode(proof.split('.').nth(1)?).ok()?;
                serde_json::from_slice::<serde_json::Value>(&payload).ok()
            });
            let has_nonce = claims.is_some_and(|claims| claims.get("nonce").is_some());
            arrived.lock().unwrap().push((scheme.split(' ').next().unwrap().to_owned(), has_nonce));
            next.run(request)
        };
        let routes = Router::new().route("/stock", any(proven)).layer(axum::middleware::from_fn(remember));
        routes.with_state(verifier)
    }

    fn tokens(&self) -> TokenSupply {
        let jkt = URL_SAFE_NO_PAD.encode(self.key.thumbprint());
        let token = self.authority.service("orders").claim("cnf", serde_json::json!({ "jkt": jkt })).token();
        TokenSource::fixed(&token).unwrap()
    }

    fn attach(&self, origin: &str) -> AttachToken {
        AttachToken::from(self.tokens()).to(origin).unwrap().dpop(Arc::clone(&self.key))
    }

    /// What arrived since the last call.
    fn arrived(&self) -> Vec<(String, bool)> {
        std::mem::take(&mut self.arrived.lock().unwrap())
    }
}

fn dpop(has_nonce: bool) -> (String, bool) {
    ("DPoP".to_owned(), has_nonce)
}

/// Serves the app on loopback, with the URL of its own address.
async fn serve(scene: &Proven, with: impl FnOnce(Dpop) -> Dpop) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = scene.app(scene.verifier(with(Dpop::new(&origin))));
    tokio::spawn(async move { axum::serve(listener, app).await });
    origin
}

fn reqwest_client(attach: AttachToken) -> ClientWithMiddleware {
    attach.client(reqwest::Client::builder()).unwrap()
}

#[tokio::test]
async fn each_request_of_reqwest_has_a_proof_of_its_own() {
    for algorithm in Dpop::DEFAULT_ALGORITHMS {
        let scene = Proven::new(algorithm);
        let origin = serve(&scene, |dpop| dpop).await;
        let client = reqwest_client(scene.attach(&origin));
        for _ in 0..3 {
            let response = client.post(format!("{origin}/stock?q=1#f")).body("rye").send().await.unwrap();
            assert_eq!(response.text().await.unwrap(), "orders sent 3", "{algorithm}");
        }
        assert_eq!(scene.arrived(), [dpop(false), dpop(false), dpop(false)]);
    }
}

#[tokio::test]
async fn a_request_of_reqwest_is_sent_once_more_with_the_nonce_that_the_server_asks_for() {
    let scene = Proven::new(Algorithm::ES256);
    let origin = serve(&scene, Dpop::require_nonce).await;
    let client = reqwest_client(scene.attach(&origin));
    let send = async || client.post(format!("{origin}/stock")).body("rye").send().await.unwrap().status();
    assert_eq!(send().await, StatusCode::OK);
    assert_eq!(scene.arrived(), [dpop(false), dpop(true)]);
    assert_eq!(send().await, StatusCode::OK);
    assert_eq!(scene.arrived(), [dpop(true)], "the nonce is kept");
    // The nonce ends, and the next one comes with the refusal.
    scene.authority.clock().advance(Dpop::NONCE_LIFETIME + Duration::from_secs(1));
    assert_eq!(send().await, StatusCode::OK);
    assert_eq!(scene.arrived(), [dpop(true), dpop(true)]);
}

#[tokio::test]
async fn a_request_of_tower_is_signed_and_sent_once_more_with_a_nonce() {
    let scene = Proven::new(Algorithm::EdDSA);
    let app = scene.app(scene.verifier(Dpop::new("https://orders.internal").require_nonce()));
    let inner = tower::service_fn(move |request: Request<Full<Bytes>>| {
        app.clone().oneshot(request.map(axum::body::Body::new))
    });
    let client = scene.attach("https://orders.internal").layer(inner);
    for expected in [vec![dpop(false), dpop(true)], vec![dpop(true)]] {
        let request = Request::put("https://Orders.Internal:443/stock?q").body(Full::new(Bytes::from("rye")));
        let response = client.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(scene.arrived(), expected);
    }
}

/// One key for both: the issuer in this process binds each token to it, also the next one and that of another audience.
#[tokio::test]
async fn tokens_of_an_issuer_in_the_process_are_bound_to_the_key_that_signs_the_requests() {
    let scene = Proven::new(Algorithm::ES256);
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let keys = key.verifying_key();
    let issuer = Arc::new(Issuer::builder().issuer("bakery-auth").key(key).build().unwrap());
    let verifier = |dpop: Dpop| {
        let builder = Verifier::builder().issuer("bakery-auth").keys(keys.clone()).audience("orders-api");
        builder.audience("stock-api").dpop(dpop).require_proof(Proof::Dpop).build().unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = scene.app(verifier(Dpop::new(&origin)));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let own = Arc::new(DpopKey::generate(Algorithm::ES256).unwrap());
    let bound = TokenSource::issuer_for_key(Arc::clone(&issuer), "orders", [""; 0], &own).unwrap();
    let send = async |tokens: &TokenSupply, key: &Arc<DpopKey>, audience: &str| {
        let attach = AttachToken::from(tokens.clone()).audience(audience).to(&origin).unwrap();
        let client = reqwest_client(attach.dpop(Arc::clone(key)));
        client.get(format!("{origin}/stock")).send().await.unwrap().status()
    };
    for audience in ["orders-api", "stock-api", "orders-api"] {
        assert_eq!(send(&bound, &own, audience).await, StatusCode::OK, "{audience}");
    }
    assert_eq!(bound.renewals(), 2, "one token for each audience");
    assert_eq!(send(&bound, &scene.key, "orders-api").await, StatusCode::UNAUTHORIZED, "another key");
    let unbound = TokenSource::issuer(issuer, "orders", [""; 0]).unwrap();
    assert_eq!(send(&unbound, &own, "orders-api").await, StatusCode::UNAUTHORIZED, "a bearer token");
}

#[tokio::test]
async fn another_key_or_none_is_refused_and_the_request_is_not_repeated() {
    let scene = Proven::new(Algorithm::ES256);
    let origin = serve(&scene, |dpop| dpop).await;
    let other = DpopKey::generate(Algorithm::ES256).unwrap().clock(scene.authority.clock().clone());
    let attach = || AttachToken::from(scene.tokens()).to(&origin).unwrap();
    for (attach, scheme) in [(attach(), "Bearer"), (attach().dpop(other), "DPoP")] {
        let response = reqwest_client(attach).get(format!("{origin}/stock")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(scene.arrived(), [(scheme.to_owned(), false)]);
    }
}

#[tokio::test]
async fn a_server_that_always_asks_for_a_nonce_ends_no_request_in_a_loop() {
    let scene = Proven::new(Algorithm::ES256);
    let calls = Arc::new(Mutex::new(0));
    let count = Arc::clone(&calls);
    let inner = tower::service_fn(move |_: Request<Full<Bytes>>| {
        *count.lock().unwrap() += 1;
        let refusal = http::Response::builder()
            .status(401)
            .header("www-authenticate", r#"DPoP error="use_dpop_nonce""#)
            .header("dpop-nonce", format!("nonce-{}", count.lock().unwrap()));
        std::future::ready(Ok::<_, std::convert::Infallible>(refusal.body(Full::<Bytes>::default()).unwrap()))
    });
    let client = scene.attach("https://orders.internal").layer(inner);
    let request = Request::get("https://orders.internal/stock").body(Full::default()).unwrap();
    assert_eq!(client.oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(*calls.lock().unwrap(), 2);
}

/// A caller that this project did not write: node's `oauth4webapi`. `None` if it is not installed.
fn foreign_caller(algorithm: Algorithm) -> Option<std::process::Child> {
    let found = std::env::var_os("SERVICE_ONLY_JOSE_DIR").filter(|folder| {
        ["jose", "oauth4webapi"]
            .iter()
            .all(|name| PathBuf::from(folder).join("node_modules").join(name).exists())
    });
    let Some(folder) = found else {
        eprintln!(
            "skipped: set SERVICE_ONLY_JOSE_DIR to a folder in which `npm install jose oauth4webapi` was run"
        );
        return None;
    };
    let mut node = std::process::Command::new("node");
    node.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/provider/caller.mjs"));
    node.arg(algorithm.as_str()).env("SERVICE_ONLY_JOSE_DIR", folder);
    let piped = std::process::Stdio::piped;
    Some(node.stdin(piped()).stdout(piped()).spawn().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_caller_signs_what_the_verifier_accepts_once() {
    use std::io::{BufRead, BufReader, Write};

    for (algorithm, nonce) in
        [(Algorithm::ES256, false), (Algorithm::ES256, true), (Algorithm::Ed25519, true)]
    {
        let Some(mut caller) = foreign_caller(algorithm) else { return };
        let mut output = BufReader::new(caller.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            line.trim().to_owned()
        };
        let jkt = line();
        let scene = Proven::new(algorithm);
        let origin = serve(&scene, |dpop| if nonce { dpop.require_nonce() } else { dpop }).await;
        let token = scene.authority.service("orders").claim("cnf", serde_json::json!({ "jkt": jkt })).token();
        let mut input = caller.stdin.take().unwrap();
        writeln!(input, "{} {origin}/stock?query", token.as_str()).unwrap();
        assert_eq!(line(), "[200,200,401]", "{algorithm}: the last request repeats its proof");
        drop(input);
        assert!(caller.wait().unwrap().success());
    }
}
