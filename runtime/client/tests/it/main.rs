//! The calling side: a token file that is renewed under running clients, of tower and of reqwest.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test"
)]

mod dpop;
#[path = "reqwest.rs"]
mod over_reqwest;
#[path = "tower.rs"]
mod over_tower;
mod provider;
mod source;
mod supply;

use std::{
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::Request, middleware::Next, routing::any};
use http::{Method, header::AUTHORIZATION};
use service_only::{Caller, service_only};
use service_only_client::TokenSource;
use service_only_testkit::TestAuthority;
use tempfile::TempDir;

/// A service that verifies, a folder that the caller's token is mounted in, and what the service saw.
struct Bakery {
    authority: TestAuthority,
    folder: TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    method: Method,
    authorization: Option<String>,
}

#[service_only]
async fn stock(caller: Caller, body: Bytes) -> String {
    format!("{} sent {}", caller.service(), body.len())
}

impl Bakery {
    /// The mounted token is one that the service refuses.
    fn new() -> Self {
        let bakery = Self {
            authority: TestAuthority::new(),
            folder: tempfile::tempdir().unwrap(),
            seen: Arc::default(),
        };
        bakery.mount(&bakery.refused_token());
        bakery
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    fn token(&self) -> String {
        self.authority.service("orders").token().as_str().to_owned()
    }

    fn refused_token(&self) -> String {
        self.authority.service("orders").signed_by(&TestAuthority::new()).token().as_str().to_owned()
    }

    fn mount(&self, token: &str) {
        fs::write(self.path(), format!("{token}\n")).unwrap();
    }

    /// One that looks at its file only when a refusal makes it.
    fn source(&self) -> TokenSource {
        let clock = self.authority.clock().clone();
        let source = TokenSource::file(self.path()).poll_every(Duration::from_secs(3600)).clock(clock);
        let source = source.open().unwrap();
        self.authority.clock().advance(service_only_client::TokenSource::REREAD_INTERVAL);
        source
    }

    fn app(&self) -> Router {
        let seen = Arc::clone(&self.seen);
        let remember = move |request: Request, next: Next| {
            let value = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            seen.lock().unwrap().push(Seen { method: request.method().clone(), authorization: value });
            next.run(request)
        };
        Router::new()
            .route("/stock", any(stock))
            .layer(axum::middleware::from_fn(remember))
            .with_state(self.authority.verifier())
    }

    /// The `Authorization` headers that arrived.
    fn arrived(&self) -> Vec<Option<String>> {
        self.seen.lock().unwrap().iter().map(|seen| seen.authorization.clone()).collect()
    }
}

fn bearer(token: &str) -> Option<String> {
    Some(format!("Bearer {token}"))
}
