//! A JWK set server on loopback, which can rotate keys, be slow, be down and return nonsense.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use service_only::issue::PublicJwk;

use crate::{
    authority::TestAuthority,
    fail::fail,
    loopback::{Port, Server},
};

/// Serves the public keys of test authorities over HTTP on a free port of 127.0.0.1, for a service that
/// fetches its issuer's keys. It stops when it is dropped.
///
/// It answers `/jwks.json`, and `/.well-known/openid-configuration` for discovery. It uses plain HTTP, which
/// a verifier refuses unless the test allows it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use service_only::{RemoteJwks, Verifier};
/// use service_only_testkit::{JwksServer, TestAuthority};
///
/// let authority = TestAuthority::new();
/// let server = JwksServer::start(&authority).await;
/// let keys = RemoteJwks::url(server.url()).dangerously_allow_http().start().await.unwrap();
/// let verifier = Verifier::builder()
///     .issuer(TestAuthority::ISSUER)
///     .keys(keys)
///     .clock(authority.clock().clone())
///     .build()
///     .unwrap();
/// assert!(verifier.verify(&authority.service("orders").token()).is_ok());
/// assert_eq!(server.requests(), 1);
///
/// // An issuer that is down has no keys for a service that starts.
/// server.down();
/// assert!(RemoteJwks::url(server.url()).dangerously_allow_http().start().await.is_err());
/// # }
/// ```
#[derive(Debug)]
pub struct JwksServer {
    shared: Arc<Shared>,
    _server: Server,
}

#[derive(Debug)]
struct Shared {
    base_url: String,
    jwks_uri: String,
    requests: AtomicUsize,
    behaviour: Mutex<Behaviour>,
}

#[derive(Debug, Clone)]
struct Behaviour {
    body: String,
    cache_control: Option<String>,
    delay: Duration,
    down: bool,
}

impl JwksServer {
    /// Starts a server that publishes the key of `authority`.
    ///
    /// # Panics
    /// Outside of a tokio runtime, without a free port, or when the authority signs by HMAC and has
    /// no public key.
    pub async fn start(authority: &TestAuthority) -> Self {
        let port = Port::bind().await;
        let address = port.address();
        let shared = Arc::new(Shared {
            base_url: format!("http://{address}"),
            jwks_uri: format!("http://{address}{JWKS}"),
            requests: AtomicUsize::new(0),
            behaviour: Mutex::new(Behaviour {
                body: authority.jwks(),
                cache_control: None,
                delay: Duration::ZERO,
                down: false,
            }),
        });
        let router = Router::new()
            .route(JWKS, get(jwks))
            .route("/.well-known/openid-configuration", get(discovery))
            .with_state(Arc::clone(&shared));
        Self { shared, _server: port.serve(router) }
    }

    /// The URL of the JWK set.
    pub fn url(&self) -> String {
        self.shared.jwks_uri.clone()
    }

    /// The issuer for discovery. Its tokens are those of `authority.issuer(server.base_url())`.
    #[doc(alias = "issuer")]
    pub fn base_url(&self) -> String {
        self.shared.base_url.clone()
    }

    /// Publishes the keys of these authorities from now on, and no others. Pass the old and the new one
    /// during a rotation, and only the new one after it.
    ///
    /// # Panics
    /// When one of them signs by HMAC.
    #[track_caller]
    #[doc(alias = "rotate")]
    pub fn publish<'a>(&self, authorities: impl IntoIterator<Item = &'a TestAuthority>) {
        let keys: Vec<_> = authorities
            .into_iter()
            .map(|authority| match authority.key().public_jwk() {
                Some(jwk) => jwk,
                None => fail("an authority of HMAC has no public key to publish"),
            })
            .collect();
        self.behaviour().body = PublicJwk::set(&keys);
    }

    /// Answers with this text instead of a JWK set.
    pub fn garbage(&self, body: impl Into<String>) {
        self.behaviour().body = body.into();
    }

    /// Sends this `Cache-Control`; by default it sends none.
    pub fn cache_control(&self, value: impl Into<String>) {
        self.behaviour().cache_control = Some(value.into());
    }

    /// Waits this long before each answer.
    #[doc(alias = "delay")]
    pub fn slow(&self, delay: Duration) {
        self.behaviour().delay = delay;
    }

    /// Answers 503 until it is [`up`](Self::up) again.
    #[doc(alias = "fail")]
    pub fn down(&self) {
        self.behaviour().down = true;
    }

    /// Answers again.
    pub fn up(&self) {
        self.behaviour().down = false;
    }

    /// How often the JWK set was requested, with any answer.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.shared.behaviour()
    }
}

impl Shared {
    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, body: impl FnOnce(&Behaviour) -> String) -> Response {
        let behaviour = self.behaviour().clone();
        tokio::time::sleep(behaviour.delay).await;
        if behaviour.down {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let mut response = ([(CONTENT_TYPE, "application/json")], body(&behaviour)).into_response();
        if let Some(value) = behaviour.cache_control.and_then(|value| value.try_into().ok()) {
            response.headers_mut().insert(CACHE_CONTROL, value);
        }
        response
    }
}

const JWKS: &str = "/jwks.json";

async fn jwks(State(shared): State<Arc<Shared>>) -> Response {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    shared.answer(|behaviour| behaviour.body.clone()).await
}

async fn discovery(State(shared): State<Arc<Shared>>) -> Response {
    let document = serde_json::json!({"issuer": shared.base_url, "jwks_uri": shared.jwks_uri}).to_string();
    shared.answer(|_| document).await
}
