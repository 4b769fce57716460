//! Tokens of a provider on loopback: how often it is asked, what holds while it is down, and what a bad answer is.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use service_only::{
    Algorithm,
    issue::{Issuer, SigningKey},
};
use service_only_client::{
    AttachToken, AudienceParameter, ClientCredentials, TokenError, TokenErrorKind, TokenSupply,
};
use service_only_testkit::ManualClock;
use tokio::{net::TcpListener, sync::Notify};
use tower::{Layer, ServiceExt};

use super::*;

/// How the provider answers.
#[derive(Clone)]
enum Mood {
    Well,
    Down,
    Html,
    /// With this `Retry-After`.
    Limited(String),
    /// Neither the response nor the token states when the token expires.
    WithoutExpiry,
    /// The token is for this audience, whatever the request names.
    For(&'static str),
    Moved(String),
    Held,
}

/// A provider of access tokens, signed by a test authority.
struct Provider {
    origin: String,
    shared: Arc<Shared>,
    folder: TempDir,
}

struct Shared {
    authority: TestAuthority,
    mood: Mutex<Mood>,
    /// The `Retry-After` of the discovery document, if the provider limits requests for it.
    document: Mutex<Option<String>>,
    requests: Mutex<Vec<(HeaderMap, String)>>,
    release: Notify,
}

const LIFETIME: Duration = Duration::from_secs(300);

impl Provider {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            authority: TestAuthority::new().audience("orders").issuer(&origin),
            mood: Mutex::new(Mood::Well),
            document: Mutex::default(),
            requests: Mutex::default(),
            release: Notify::new(),
        });
        let document = json!({"issuer": origin, "token_endpoint": format!("{origin}/token?tenant=1")});
        let document = document.to_string();
        let document = move |State(shared): State<Arc<Shared>>| {
            let limit = shared.document.lock().unwrap().clone();
            std::future::ready(match limit {
                Some(value) => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", value)]).into_response(),
                None => document.clone().into_response(),
            })
        };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(document))
            .route("/token", post(token))
            .with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "p@ss word\n").unwrap();
        Self { origin, shared, folder }
    }

    fn credentials(&self) -> ClientCredentials {
        TokenSource::client_credentials(&self.origin)
            .client_id("billing:1")
            .secret_file(self.folder.path().join("secret"))
            .dangerously_allow_http()
            .clock(self.clock().clone())
    }

    fn supply(&self) -> TokenSupply {
        self.credentials().start().unwrap()
    }

    fn clock(&self) -> &ManualClock {
        self.shared.authority.clock()
    }

    fn mood(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    fn requests(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    fn last(&self) -> (HeaderMap, String) {
        self.shared.requests.lock().unwrap().last().unwrap().clone()
    }

    /// The kind of the error of the next attempt, which must not be sent to a callee.
    async fn refusal(&self, mood: Mood) -> TokenError {
        self.mood(mood);
        self.supply().authorization_for(Some("orders")).await.unwrap_err()
    }
}

async fn token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: String) -> Response {
    let resource =
        body.split("resource=").nth(1).map(|rest| rest.split('&').next().unwrap_or(rest).to_owned());
    shared.requests.lock().unwrap().push((headers, body));
    let mood = shared.mood.lock().unwrap().clone();
    match mood {
        Mood::Down => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::Html => return axum::response::Html("<html>Sign in</html>").into_response(),
        Mood::Limited(value) => {
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", value)]).into_response();
        }
        Mood::Moved(to) => return axum::response::Redirect::temporary(&to).into_response(),
        Mood::Held => shared.release.notified().await,
        Mood::WithoutExpiry => {
            let token = shared.authority.oauth("billing").without_claim("exp").token().as_str().to_owned();
            return json!({"access_token": token, "token_type": "Bearer"}).to_string().into_response();
        }
        Mood::For(audience) => {
            let token = shared.authority.oauth("billing").audience(audience).token().as_str().to_owned();
            return json!({"access_token": token, "token_type": "Bearer"}).to_string().into_response();
        }
        Mood::Well => {}
    }
    let draft = shared.authority.oauth("billing").expires_in(LIFETIME);
    let draft = draft.audience(resource.unwrap_or_else(|| "orders".to_owned()));
    let token = draft.token().as_str().to_owned();
    json!({"access_token": token, "token_type": "Bearer", "expires_in": LIFETIME.as_secs()})
        .to_string()
        .into_response()
}

/// Waits for what a task of the background does.
async fn eventually(what: impl Fn() -> bool) {
    for _ in 0..1000 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not happen");
}

#[tokio::test]
async fn a_token_is_obtained_once_and_renewed_after_two_thirds_of_its_lifetime() {
    let provider = Provider::start().await;
    let supply = provider.supply();
    assert_eq!(provider.requests(), 0, "nothing is sent before a token is needed");
    let first = supply.authorization_for(Some("orders")).await.unwrap();
    for _ in 0..10 {
        assert_eq!(supply.authorization_for(Some("orders")).await.unwrap(), first);
    }
    assert_eq!(provider.requests(), 1);
    assert_eq!(supply.expires_at(Some("orders")), Some(provider.clock().now().plus(LIFETIME)));
    provider.clock().advance(LIFETIME * 65 / 100);
    supply.authorization_for(Some("orders")).await.unwrap();
    assert_eq!(provider.requests(), 1);
    provider.clock().advance(LIFETIME * 2 / 100);
    // The request that starts the renewal does not wait for it.
    assert_eq!(supply.authorization_for(Some("orders")).await.unwrap(), first);
    eventually(|| supply.renewals() == 2).await;
    let second = supply.authorization_for(Some("orders")).await.unwrap();
    assert_ne!(first, second);
    assert_eq!((provider.requests(), supply.failures()), (2, 0));
}

#[tokio::test]
async fn a_secret_is_sent_as_rfc_6749_encodes_it_and_read_for_every_request() {
    let provider = Provider::start().await;
    let supply = provider.supply();
    supply.authorization_for(Some("orders")).await.unwrap();
    let (headers, body) = provider.last();
    // `billing%3A1:p%40ss+word` in base64.
    assert_eq!(headers["authorization"], "Basic YmlsbGluZyUzQTE6cCU0MHNzK3dvcmQ=");
    assert_eq!(body, "grant_type=client_credentials&resource=orders");
    fs::write(provider.folder.path().join("secret"), "next").unwrap();
    supply.authorization_for(Some("stock")).await.unwrap();
    assert_eq!(provider.last().0["authorization"], "Basic YmlsbGluZyUzQTE6bmV4dA==");
    let in_body = provider.credentials().secret_file_in_body(provider.folder.path().join("secret"));
    let in_body =
        in_body.scope("orders:read").audience_parameter(AudienceParameter::Configured).start().unwrap();
    in_body.authorization_for(Some("orders")).await.unwrap();
    let (headers, body) = provider.last();
    assert!(!headers.contains_key("authorization"));
    assert_eq!(
        body,
        "grant_type=client_credentials&scope=orders%3Aread&client_id=billing%3A1&client_secret=next"
    );
}

#[tokio::test]
async fn a_federated_assertion_is_read_for_every_request() {
    let provider = Provider::start().await;
    let path = provider.folder.path().join("assertion");
    let supply = provider.credentials().assertion_file(&path).start().unwrap();
    let cluster = TestAuthority::new().audience(&provider.origin);
    for audience in ["orders", "stock"] {
        let assertion = cluster.kubernetes("bakery", "billing").token();
        fs::write(&path, assertion.as_str()).unwrap();
        supply.authorization_for(Some(audience)).await.unwrap();
        let (headers, body) = provider.last();
        assert!(!headers.contains_key("authorization"));
        let kind = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let expected = format!("&client_id=billing%3A1&{kind}&client_assertion={}", assertion.as_str());
        assert!(body.ends_with(&expected), "{body}");
    }
}

#[tokio::test]
async fn a_generated_client_of_tonic_sends_the_token_to_its_origin() {
    let provider = Provider::start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    // In place of a channel, which is such a service.
    let channel = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
        noted.lock().unwrap().push(request.headers().get(AUTHORIZATION).is_some());
        async {
            Ok::<_, std::convert::Infallible>(
                tonic::Status::unimplemented("").into_http::<tonic::body::Body>(),
            )
        }
    });
    let attach =
        || AttachToken::from(provider.supply()).to("http://orders:50051").unwrap().audience("orders");
    for (origin, sent) in [("http://orders:50051", true), ("http://stock:50051", false), ("/", false)] {
        let client = attach().layer(channel.clone());
        let mut client =
            tonic_health::pb::health_client::HealthClient::with_origin(client, origin.parse().unwrap());
        let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
        assert!(client.check(request).await.is_err());
        assert_eq!(seen.lock().unwrap().pop(), Some(sent), "{origin}");
    }
}

#[tokio::test]
async fn the_audience_is_named_as_the_provider_reads_it() {
    let provider = Provider::start().await;
    for (parameter, expected) in [
        (AudienceParameter::Resource, "&resource=orders"),
        (AudienceParameter::Audience, "&audience=orders"),
        (AudienceParameter::DefaultScope, "&scope=orders%2F.default"),
        (AudienceParameter::Configured, ""),
        (AudienceParameter::Scope, ""),
    ] {
        let supply = provider.credentials().audience_parameter(parameter).start().unwrap();
        supply.authorization_for(Some("orders")).await.unwrap();
        assert_eq!(provider.last().1, format!("grant_type=client_credentials{expected}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_cause_one_request_and_a_cancelled_one_does_not_cancel_it() {
    let provider = Provider::start().await;
    let supply = provider.supply();
    provider.mood(Mood::Held);
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let supply = supply.clone();
            tokio::spawn(async move { supply.authorization_for(Some("orders")).await })
        })
        .collect();
    eventually(|| provider.requests() == 1).await;
    // The caller that started the request may be among them.
    for caller in &callers[..50] {
        caller.abort();
    }
    provider.mood(Mood::Well);
    provider.shared.release.notify_waiters();
    provider.shared.release.notify_one();
    for caller in callers.into_iter().skip(50) {
        assert!(caller.await.unwrap().is_ok());
    }
    assert_eq!(provider.requests(), 1);
}

#[tokio::test]
async fn no_call_fails_during_an_outage_while_the_token_is_valid() {
    let provider = Provider::start().await;
    let supply = provider.supply();
    let token = supply.authorization_for(Some("orders")).await.unwrap();
    provider.mood(Mood::Down);
    for _ in 0..299 {
        provider.clock().advance(Duration::from_secs(1));
        assert_eq!(supply.authorization_for(Some("orders")).await.unwrap(), token);
        tokio::task::yield_now().await;
    }
    eventually(|| supply.failures() > 0).await;
    assert!(provider.requests() < 20, "the pauses grow: {}", provider.requests());
    provider.clock().advance(Duration::from_secs(1));
    let error = supply.authorization_for(Some("orders")).await.unwrap_err();
    assert_eq!(error.url(), Some(format!("{}/token", provider.origin).as_str()), "{error}");
    assert!(supply.last_error(Some("orders")).is_some());
    // It recovers by itself.
    provider.mood(Mood::Well);
    provider.clock().advance(TokenSupply::MAX_PAUSE);
    assert!(supply.authorization_for(Some("orders")).await.is_ok());
    assert!(supply.last_error(Some("orders")).is_none());
}

#[tokio::test]
async fn two_audiences_and_two_sources_never_share_a_token() {
    let provider = Provider::start().await;
    let supply = provider.supply();
    let orders = supply.authorization_for(Some("orders")).await.unwrap();
    let stock = supply.authorization_for(Some("stock")).await.unwrap();
    assert_ne!(orders, stock);
    // Another scope, another credential, another client.
    let other = provider.credentials().scope("orders:read").start().unwrap();
    assert_ne!(other.authorization_for(Some("orders")).await.unwrap(), orders);
    fs::write(provider.folder.path().join("other"), "other").unwrap();
    let other = provider.credentials().secret_file(provider.folder.path().join("other")).start().unwrap();
    assert_ne!(other.authorization_for(Some("orders")).await.unwrap(), orders);
    assert_eq!(provider.requests(), 4);
    assert_eq!(supply.audiences().len(), 2);
}

#[tokio::test]
async fn the_number_of_audiences_is_bounded() {
    let provider = Provider::start().await;
    let supply =
        TokenSource::fixed(&provider.shared.authority.oauth("billing").without_claim("aud").token()).unwrap();
    for number in 0..TokenSupply::MAX_AUDIENCES {
        drop(supply.authorization_for(Some(&number.to_string())).await);
    }
    let error = supply.authorization_for(Some("another")).await.unwrap_err();
    assert!(matches!(error.kind(), TokenErrorKind::Configuration(why) if why.contains("256")), "{error}");
}

#[tokio::test]
async fn a_bad_answer_names_the_url_and_the_remedy() {
    let provider = Provider::start().await;
    let url = format!("{}/token: ", provider.origin);
    let error = provider.refusal(Mood::Html).await.to_string();
    assert!(error.starts_with(&url) && error.contains("web page") && error.contains("login page"), "{error}");
    let error = provider.refusal(Mood::Down).await.to_string();
    assert!(error.starts_with(&url) && error.contains("503") && error.contains("check the URL"), "{error}");
    let elsewhere = Provider::start().await;
    let error = provider.refusal(Mood::Moved(format!("{}/token", elsewhere.origin))).await;
    assert_eq!(error.kind(), &TokenErrorKind::Status(307), "{error}");
    assert!(error.to_string().contains("redirect"), "{error}");
    assert_eq!(elsewhere.requests(), 0, "the credential stays at the provider");
    let error = provider.refusal(Mood::Limited("120".to_owned())).await.to_string();
    let limited =
        "429 Too Many Requests: the next request is sent after 120s; use one source for all clients";
    assert!(error.starts_with(&format!("{url}{limited}")), "{error}");
    let error = provider.refusal(Mood::WithoutExpiry).await.to_string();
    assert!(error.starts_with(&url) && error.contains("no expiry"), "{error}");
    assert!(error.contains("set a token lifetime at the provider"), "{error}");
    let error = provider.refusal(Mood::For("stock")).await.to_string();
    assert!(error.starts_with(&url) && error.contains("is for `stock`, expected `orders`"), "{error}");
    assert!(error.contains("allow this client to request the audience"), "{error}");
    *provider.shared.document.lock().unwrap() = Some("120".to_owned());
    let error = provider.refusal(Mood::Well).await.to_string();
    let document = format!("{}/.well-known/openid-configuration: {limited}", provider.origin);
    assert!(error.starts_with(&document), "{error}");
    *provider.shared.document.lock().unwrap() = None;
    provider.mood(Mood::Well);
    let supply = provider.credentials().audience_parameter(AudienceParameter::Configured).start().unwrap();
    let error = supply.authorization_for(Some("stock")).await.unwrap_err().to_string();
    assert!(error.contains("is for `orders`, expected `stock`; map the audience"), "{error}");
}

#[tokio::test]
async fn retry_after_is_respected_up_to_an_hour() {
    let provider = Provider::start().await;
    let supply = provider.supply();
    provider.mood(Mood::Limited("120".to_owned()));
    let limited = |error: TokenError| matches!(error.kind(), TokenErrorKind::RateLimited(_));
    assert!(limited(supply.authorization_for(Some("orders")).await.unwrap_err()));
    provider.mood(Mood::Well);
    provider.clock().advance(Duration::from_secs(119));
    assert!(limited(supply.authorization_for(Some("orders")).await.unwrap_err()), "it fails at once");
    assert_eq!(provider.requests(), 1);
    provider.clock().advance(Duration::from_secs(1));
    assert!(supply.authorization_for(Some("orders")).await.is_ok());
    let supply = provider.supply();
    provider.mood(Mood::Limited("1000000".to_owned()));
    assert!(supply.authorization_for(Some("orders")).await.is_err());
    provider.mood(Mood::Well);
    provider.clock().advance(TokenSupply::MAX_RETRY_AFTER);
    assert!(supply.authorization_for(Some("orders")).await.is_ok());
}

#[tokio::test]
async fn retry_after_may_be_a_date_and_is_respected_for_the_discovery_document_too() {
    let provider = Provider::start().await;
    let limited = |supply: &TokenSupply| {
        let supply = supply.clone();
        async move {
            let error = supply.authorization_for(Some("orders")).await.map(|_| ());
            error.is_err_and(|error| matches!(error.kind(), TokenErrorKind::RateLimited(_)))
        }
    };
    let in_two_minutes = || {
        let at = std::time::SystemTime::UNIX_EPOCH
            + Duration::from_secs(provider.clock().now().unix().unsigned_abs() + 120);
        Some(httpdate::fmt_http_date(at))
    };
    let supply = provider.supply();
    *provider.shared.document.lock().unwrap() = in_two_minutes();
    assert!(limited(&supply).await);
    *provider.shared.document.lock().unwrap() = None;
    provider.clock().advance(Duration::from_secs(118));
    assert!(limited(&supply).await, "nothing is sent before the date");
    assert_eq!(provider.requests(), 0);
    provider.clock().advance(Duration::from_secs(2));
    provider.mood(Mood::Limited(in_two_minutes().unwrap()));
    assert!(limited(&supply).await);
    provider.mood(Mood::Well);
    provider.clock().advance(Duration::from_secs(118));
    assert!(limited(&supply).await);
    assert_eq!(provider.requests(), 1);
    provider.clock().advance(Duration::from_secs(2));
    assert!(supply.authorization_for(Some("orders")).await.is_ok());
}

#[tokio::test]
async fn an_issuer_of_another_name_and_a_missing_secret_are_refused_before_anything_is_sent() {
    let provider = Provider::start().await;
    let alias = provider.origin.replace("127.0.0.1", "localhost");
    let other = TokenSource::client_credentials(&alias).client_id("billing").dangerously_allow_http();
    let other = other.secret_file(provider.folder.path().join("secret")).start().unwrap();
    let error = other.authorization_for(None).await.unwrap_err().to_string();
    assert!(error.contains("openid-configuration: ") && error.contains("names the issuer"), "{error}");
    let missing = provider.credentials().secret_file(provider.folder.path().join("missing")).start().unwrap();
    let error = missing.authorization_for(None).await.unwrap_err();
    assert!(matches!(error.kind(), TokenErrorKind::Credential(why) if why.contains("missing: ")), "{error}");
    fs::write(provider.folder.path().join("missing"), "{\"token\": \"s3cr3t\"}").unwrap();
    let assertion =
        provider.credentials().assertion_file(provider.folder.path().join("missing")).start().unwrap();
    let error = assertion.authorization_for(None).await.unwrap_err().to_string();
    assert!(error.contains("it holds JSON") && !error.contains("s3cr3t"), "{error}");
    assert_eq!(provider.requests(), 0);
}

#[tokio::test]
async fn settings_that_cannot_work_do_not_start() {
    let secret =
        || TokenSource::client_credentials("https://sso.example").client_id("a").secret_file("secret");
    let why = |settings: ClientCredentials| settings.start().unwrap_err().to_string();
    assert!(secret().start().is_ok());
    assert!(
        why(TokenSource::client_credentials("https://sso.example").secret_file("x"))
            .contains("`.client_id(…)`")
    );
    assert!(
        why(TokenSource::client_credentials("https://sso.example").client_id("x"))
            .contains("`.secret_file(…)`")
    );
    assert!(why(secret().token_endpoint("http://sso.example/token")).contains("use https"));
    assert!(
        why(secret().token_endpoint("https://a:s3cr3t@sso.example/token")).contains("a password in a URL")
    );
    assert!(why(secret().scope("a b")).contains("white space"));
    assert!(why(secret().root_certificates("nonsense")).contains("no certificate in PEM"));
    assert!(why(secret().renew_after_percent(9)).contains("10 to 90"));
    assert!(why(secret().renew_after_percent(91)).contains("10 to 90"));
    assert!(
        secret().renew_after_percent(10).start().is_ok() && secret().renew_after_percent(90).start().is_ok()
    );
}

#[tokio::test]
async fn an_untrusted_certificate_is_named_with_its_remedy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key =
        tokio_rustls::rustls::pki_types::PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let config = tokio_rustls::rustls::ServerConfig::builder_with_provider(Arc::new(
        tokio_rustls::rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![own.cert.der().clone()], key)
    .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            drop(acceptor.accept(connection).await);
        }
    });
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    let url = format!("https://localhost:{port}/token");
    let supply = TokenSource::client_credentials("https://sso.example")
        .token_endpoint(&url)
        .client_id("billing")
        .secret_file(folder.path().join("secret"))
        .root_certificates(rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap().cert.pem())
        .start()
        .unwrap();
    let error = supply.authorization_for(None).await.unwrap_err().to_string();
    assert!(error.starts_with(&url) && error.contains("`.root_certificates(…)`"), "{error}");
}

/// A callee that verifies, and its client.
struct Callee {
    origin: String,
    seen: Arc<Mutex<Vec<Option<String>>>>,
}

impl Callee {
    async fn start(provider: &Provider) -> Self {
        Self::of(&provider.shared.authority).await
    }

    /// A callee that trusts another provider.
    async fn refusing() -> Self {
        Self::of(&TestAuthority::new().audience("orders")).await
    }

    async fn of(authority: &TestAuthority) -> Self {
        let app = Router::new()
            .route("/stock", any(stock))
            .with_state(authority.verifier_trusting(service_only::TrustedIssuer::oauth));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let app = app.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let value = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            noted.lock().unwrap().push(value);
            next.run(request)
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { origin, seen }
    }
}

#[tokio::test]
async fn reqwest_sends_each_callee_a_token_for_its_audience() {
    let provider = Provider::start().await;
    let (orders, stock) = (Callee::start(&provider).await, Callee::start(&provider).await);
    let attach = AttachToken::from(provider.supply())
        .to(&orders.origin)
        .unwrap()
        .audience("orders")
        .to(&stock.origin)
        .unwrap()
        .audience("stock");
    let client = attach.client(reqwest::Client::builder()).unwrap();
    let status = client.get(format!("{}/stock", orders.origin)).send().await.unwrap().status();
    assert_eq!(status, StatusCode::OK);
    // Its verifier expects `orders`: the token is for `stock`, and is of no use there.
    let status = client.get(format!("{}/stock", stock.origin)).send().await.unwrap().status();
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(provider.requests(), 2);
}

#[tokio::test]
async fn a_request_that_cannot_get_a_token_fails_before_it_is_sent() {
    let provider = Provider::start().await;
    let callee = Callee::start(&provider).await;
    provider.mood(Mood::Down);
    let attach = || AttachToken::from(provider.supply()).to(&callee.origin).unwrap().audience("orders");
    let client = attach().client(reqwest::Client::builder()).unwrap();
    let error = client.get(format!("{}/stock", callee.origin)).send().await.unwrap_err();
    assert!(format!("{error:?}").contains("/token"), "{error:?}");
    let hyper = attach().layer(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let request = http::Request::get(format!("{}/stock", callee.origin)).body(Full::default()).unwrap();
    let error = hyper.oneshot(request).await.unwrap_err();
    assert!(error.downcast_ref::<TokenError>().is_some(), "{error}");
    assert!(callee.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn hyper_sends_the_token_and_a_refused_one_is_replaced() {
    let provider = Provider::start().await;
    let callee = Callee::start(&provider).await;
    let attach = AttachToken::from(provider.supply()).to(&callee.origin).unwrap().audience("orders");
    let client = attach.layer(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let request =
        || http::Request::get(format!("{}/stock", callee.origin)).body(Full::<Bytes>::default()).unwrap();
    let response = client.clone().oneshot(request()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "billing sent 0");
    assert_eq!(callee.seen.lock().unwrap().len(), 1);
    assert_eq!(provider.requests(), 1);

    // The callee forgets the provider's key, as if the token was revoked: once per interval the client asks for another.
    let refusing = Callee::refusing().await;
    let attach = AttachToken::from(provider.supply()).audience("orders").to(&refusing.origin).unwrap();
    let client = attach.layer(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
    let request =
        || http::Request::get(format!("{}/stock", refusing.origin)).body(Full::<Bytes>::default()).unwrap();
    for _ in 0..5 {
        assert_eq!(client.clone().oneshot(request()).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!((provider.requests(), refusing.seen.lock().unwrap().len()), (2, 5));
    provider.clock().advance(TokenSupply::REFUSED_INTERVAL);
    assert_eq!(client.clone().oneshot(request()).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        (provider.requests(), refusing.seen.lock().unwrap().len()),
        (3, 7),
        "with the old and the new token"
    );
}

#[tokio::test]
async fn an_issuer_of_the_process_mints_for_each_audience_and_renews() {
    let clock = ManualClock::new();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let issuer =
        Issuer::builder().issuer("bakery-auth").key(key).audience("orders").strict().clock(clock.clone());
    let supply =
        TokenSource::issuer_with_clock(issuer.build().unwrap(), "billing", ["orders:read"], clock.clone())
            .unwrap();
    let first = supply.authorization_for(Some("orders")).await.unwrap();
    assert_eq!(supply.authorization_for(Some("orders")).await.unwrap(), first);
    assert_ne!(supply.authorization_for(Some("stock")).await.unwrap(), first);
    assert_eq!(supply.expires_at(Some("orders")), Some(clock.now().plus(Issuer::STRICT_LIFETIME)));
    clock.advance(Issuer::STRICT_LIFETIME * 2 / 3);
    assert_ne!(
        supply.authorization_for(Some("orders")).await.unwrap(),
        first,
        "a minted token is in use at once"
    );
    let issuer =
        Issuer::builder().issuer("x").key(SigningKey::generate(Algorithm::ES256).unwrap()).build().unwrap();
    let error = TokenSource::issuer(issuer, "../x", ["a"; 0]).unwrap_err().to_string();
    assert!(error.contains("no token for `../x`"), "{error}");
}

#[tokio::test]
async fn a_fixed_token_is_sent_until_it_expires_and_only_to_its_audience() {
    let authority = TestAuthority::new().audience("orders");
    let live = authority.service("billing").claim("exp", 32_503_680_000_i64).token();
    let supply = TokenSource::fixed(&live).unwrap();
    let value = supply.authorization_for(Some("orders")).await.unwrap();
    assert_eq!(value, format!("Bearer {}", live.as_str()));
    let error = supply.authorization_for(Some("stock")).await.unwrap_err();
    assert!(matches!(error.kind(), TokenErrorKind::WrongAudience(_)), "{error}");
    let old = TokenSource::fixed(&authority.service("billing").claim("exp", 1).token()).unwrap();
    assert!(old.authorization_for(None).await.is_err());
    assert!(TokenSource::fixed("Bearer x").is_err());
}

#[test]
fn a_projected_token_is_for_the_audience_and_expires() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let authority = TestAuthority::new().audience("orders");
    let open = || TokenSource::kubernetes_volume(&path, "orders").open();
    fs::write(&path, authority.kubernetes("bakery", "billing").token().as_str()).unwrap();
    assert!(open().is_ok());
    fs::write(
        &path,
        authority.kubernetes("bakery", "billing").audience("https://kubernetes.default.svc").token().as_str(),
    )
    .unwrap();
    let error = open().err().unwrap().to_string();
    assert!(
        error.contains("is for `https://kubernetes.default.svc`, expected `orders`; set `audience: orders`"),
        "{error}"
    );
    fs::write(&path, authority.kubernetes("bakery", "billing").without_claim("exp").token().as_str())
        .unwrap();
    assert!(open().err().unwrap().to_string().contains("no expiry"));
}
