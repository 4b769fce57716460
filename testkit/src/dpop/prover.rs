//! The sender of tokens that are bound to a key: it signs a proof for each request.

use std::sync::{Arc, Mutex, PoisonError};

use http::Method;
use service_only::clock::{Clock, SystemClock, Timestamp};

use super::{ProofDraft, TestDpopKey};

/// Signs a proof for each request of a draft. Clones share the nonce of the service.
#[derive(Debug, Clone)]
pub(crate) struct Prover {
    key: TestDpopKey,
    /// The URL of the service, as its verifier knows it.
    url: String,
    nonce: Arc<Mutex<Option<String>>>,
    stale_nonce: Option<String>,
    /// When the attack began, if the clock of the service advances during it.
    began: Option<Timestamp>,
}

impl Prover {
    pub(crate) fn new(key: TestDpopKey, url: String) -> Self {
        Self { key, url, nonce: Arc::default(), stale_nonce: None, began: None }
    }

    /// The same sender for a service whose clock advances from now on.
    pub(crate) fn with_running_clock(self) -> Self {
        Self { began: Some(SystemClock.now()), ..self }
    }

    pub(crate) fn with_stale_nonce(self, nonce: String) -> Self {
        Self { stale_nonce: Some(nonce), ..self }
    }

    pub(crate) fn key(&self) -> &TestDpopKey {
        &self.key
    }

    /// The nonce of the service, once it has sent one.
    pub(crate) fn nonce(&self) -> Option<String> {
        self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A nonce that the service accepts no longer, if the test named one.
    pub(crate) fn stale_nonce(&self) -> Option<&str> {
        self.stale_nonce.as_deref()
    }

    /// Uses the nonce of a response from now on.
    pub(crate) fn keep_nonce(&self, nonce: &str) {
        *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
    }

    /// A valid proof for a request with this token.
    pub(crate) fn proof(&self, method: &Method, target: &str, token: &str) -> ProofDraft {
        let proof = self.key.proof(method.as_str(), &format!("{}{}", self.url, path_of(target)), token);
        let passed = self.began.map_or(0, |began| SystemClock.now().unix().saturating_sub(began.unix()));
        let proof = proof.signed_at(Timestamp::from_unix(self.key.now().saturating_add(passed)));
        match self.nonce() {
            Some(nonce) => proof.nonce(nonce),
            None => proof,
        }
    }
}

/// The path of a target, which may be a whole URL (RFC 9112 section 3.2.2).
fn path_of(target: &str) -> &str {
    let path = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => target,
    };
    path.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::authority::TestAuthority;

    fn prover() -> Prover {
        Prover::new(TestAuthority::new().dpop_key(), "https://orders.internal".to_owned())
    }

    #[test]
    fn a_proof_is_about_the_path_of_the_request() {
        for (target, path) in [
            ("/stock?a=http://x/y", "/stock"),
            ("http://localhost/stock", "/stock"),
            ("http://localhost", "/"),
        ] {
            let proof = prover().proof(&Method::GET, target, "token");
            let url = format!("https://orders.internal{path}");
            assert_eq!(proof.claims.get("htu"), Some(&json!(url)), "{target}");
        }
    }

    #[test]
    fn a_proof_has_the_last_nonce_of_the_service() {
        let prover = prover();
        let clone = prover.clone();
        assert_eq!(prover.nonce(), None);
        prover.keep_nonce("one");
        prover.keep_nonce("two");
        assert_eq!(clone.nonce().as_deref(), Some("two"));
        let proof = clone.proof(&Method::GET, "/", "token");
        assert_eq!(proof.claims.get("nonce"), Some(&json!("two")));
    }
}
