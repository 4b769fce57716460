//! An issuer on loopback that answers as it is told, and counts.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use service_only::issue::{PublicJwk, SigningKey};
use tokio::{net::TcpListener, sync::watch};

#[derive(Clone)]
pub(crate) enum Answer {
    Text {
        text: String,
        cache_control: String,
    },
    Status(u16),
    Redirect(String),
    /// A body without end.
    Endless,
    /// A body that begins and then nothing.
    Stuck,
    /// A body that ends before its length.
    Broken,
}

impl Answer {
    pub(crate) fn keys(keys: &[&SigningKey]) -> Self {
        Self::text(jwks(keys))
    }

    pub(crate) fn cached(keys: &[&SigningKey], cache_control: &str) -> Self {
        Self::Text { text: jwks(keys), cache_control: cache_control.to_owned() }
    }

    /// Fresh for a day, so that nothing is fetched without a reason.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), cache_control: "max-age=86400".to_owned() }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status)
    }

    pub(crate) fn redirect(to: String) -> Self {
        Self::Redirect(to)
    }
}

pub(crate) fn jwks(keys: &[&SigningKey]) -> String {
    let public: Vec<_> = keys.iter().map(|key| key.public_jwk().unwrap()).collect();
    PublicJwk::set(&public)
}

pub(crate) struct JwksServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Mutex<Answer>,
    document: Mutex<String>,
    requests: Mutex<HashMap<String, usize>>,
    held: watch::Sender<bool>,
}

impl JwksServer {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            answer: Mutex::new(answer),
            document: Mutex::default(),
            requests: Mutex::default(),
            held: watch::Sender::new(false),
        });
        let router = Router::new().fallback(answer_one).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap() = answer;
    }

    pub(crate) fn document(&self, document: String) {
        *self.shared.document.lock().unwrap() = document;
    }

    /// How often the set was asked for.
    pub(crate) fn requests(&self) -> usize {
        self.requests_of("/jwks")
    }

    pub(crate) fn requests_of(&self, path: &str) -> usize {
        self.shared.requests.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// Requests are counted, and answered after the release.
    pub(crate) fn hold(&self) {
        self.shared.held.send_replace(true);
    }

    pub(crate) fn release(&self) {
        self.shared.held.send_replace(false);
    }
}

async fn answer_one(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    *shared.requests.lock().unwrap().entry(uri.path().to_owned()).or_default() += 1;
    shared.held.subscribe().wait_for(|held| !held).await.unwrap();
    if uri.path() == "/.well-known/openid-configuration" {
        return shared.document.lock().unwrap().clone().into_response();
    }
    let answer = shared.answer.lock().unwrap().clone();
    match answer {
        // No `Content-Type` that says JSON: none is required.
        Answer::Text { text, cache_control } => {
            ([(header::CACHE_CONTROL, cache_control)], text).into_response()
        }
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Redirect(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Answer::Endless => Body::from_stream(Chunks { left: usize::MAX }).into_response(),
        Answer::Stuck => Body::from_stream(Chunks { left: 1 }).into_response(),
        Answer::Broken => {
            ([(header::CONTENT_LENGTH, "1000")], Body::from_stream(Broken { begun: false })).into_response()
        }
    }
}

/// So many chunks, and then silence.
struct Chunks {
    left: usize,
}

impl futures_core::Stream for Chunks {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(Bytes::from_static(&[b' '; 100]))))
            }
            None => Poll::Pending,
        }
    }
}

/// One chunk, and then the connection is gone.
struct Broken {
    begun: bool,
}

impl futures_core::Stream for Broken {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some(Err(std::io::Error::other("gone"))));
        }
        Poll::Ready(Some(Ok(Bytes::from_static(b"{"))))
    }
}

pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        tokio::task::yield_now().await;
    }
}
