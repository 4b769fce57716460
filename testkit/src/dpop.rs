//! Proofs of DPoP (RFC 9449) for tests: a key of a sender, and proofs that a test changes. Hostile requests are a family of
//! the catalogue.

mod prover;

use std::{collections::BTreeMap, fmt, sync::Arc};

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use service_only::{Algorithm, clock::Timestamp, issue::SigningKey};
use uuid::Uuid;

pub(crate) use self::prover::Prover;
use crate::{authority::TestAuthority, clock::ManualClock, fail::OrFail};

/// The key of a sender. Tokens are bound to it with [`TokenDraft::bound_to_key`](crate::TokenDraft::bound_to_key), and it signs a proof for each request.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use axum::{Router, routing::get};
/// use service_only::{Dpop, service_only};
/// use service_only_testkit::{TestAuthority, assert_allowed, assert_denied, call};
///
/// #[service_only]
/// async fn stock() {}
///
/// let authority = TestAuthority::new();
/// let verifier = authority.verifier_builder().dpop(Dpop::new("https://orders.internal")).build().unwrap();
/// let app = call(Router::new().route("/stock", get(stock)).with_state(verifier));
///
/// let key = authority.dpop_key();
/// let token = authority.service("billing").bound_to_key(&key).token();
/// let proof = key.proof("GET", "https://orders.internal/stock", &token);
/// assert_allowed!(app.get("/stock").dpop(&token, &proof).await);
///
/// // A proof is accepted once, and for its own request.
/// assert_denied!(app.get("/stock").dpop(&token, &proof).await, 401);
/// let other = key.proof("POST", "https://orders.internal/stock", &token);
/// assert_denied!(app.get("/stock").dpop(&token, &other).await, 401);
/// # }
/// ```
#[derive(Clone)]
pub struct TestDpopKey {
    key: Arc<SigningKey>,
    clock: ManualClock,
}

impl TestAuthority {
    /// Generates a key of a sender, for ES256. Its proofs use the clock of this authority.
    #[track_caller]
    pub fn dpop_key(&self) -> TestDpopKey {
        self.dpop_key_of(Algorithm::ES256)
    }

    /// Generates a key of a sender.
    ///
    /// # Panics
    /// When the algorithm uses a secret.
    #[track_caller]
    pub fn dpop_key_of(&self, algorithm: Algorithm) -> TestDpopKey {
        let key = SigningKey::generate(algorithm).or_fail("the key of a sender");
        key.public_jwk().or_fail("a proof needs a key pair");
        TestDpopKey { key: Arc::new(key), clock: self.clock().clone() }
    }
}

impl TestDpopKey {
    /// The RFC 7638 thumbprint.
    pub fn thumbprint(&self) -> [u8; 32] {
        self.key.public_jwk().map(|jwk| jwk.thumbprint()).unwrap_or_default()
    }

    /// A valid proof for a request with this method, this URL and this token.
    pub fn proof(&self, method: &str, url: &str, token: impl AsRef<str>) -> ProofDraft {
        let token = token.as_ref().to_owned();
        let claims = [
            ("ath", json!(hash(&token))),
            ("htm", json!(method)),
            ("htu", json!(url)),
            ("iat", json!(self.clock.now().unix())),
            ("jti", json!(Uuid::new_v4().to_string())),
        ];
        let header = [("alg", json!(self.key.algorithm())), ("jwk", self.jwk()), ("typ", json!("dpop+jwt"))];
        self.draft(&header, &claims, token)
    }

    pub(crate) fn draft(
        &self,
        header: &[(&str, Value)],
        claims: &[(&str, Value)],
        token: String,
    ) -> ProofDraft {
        let named = |members: &[(&str, Value)]| {
            members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        ProofDraft {
            header: named(header),
            claims: named(claims),
            signer: Signer::Key(self.clone()),
            owner: self.clone(),
            token,
        }
    }

    /// Another key of the same kind.
    pub(crate) fn stranger(&self) -> Self {
        let key = SigningKey::generate(self.key.algorithm()).or_fail("the key of a stranger");
        Self { key: Arc::new(key), clock: self.clock.clone() }
    }

    pub(crate) fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    /// Whether two signatures of one text differ, as those of ECDSA with a random number do.
    pub(crate) fn signs_in_several_ways(&self) -> bool {
        matches!(self.algorithm(), Algorithm::ES256 | Algorithm::ES384)
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().unix()
    }

    /// The public key as a JWK.
    pub fn jwk(&self) -> Value {
        serde_json::to_value(self.key.public_jwk()).or_fail("a public key as JSON")
    }
}

impl fmt::Debug for TestDpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestDpopKey").field("jkt", &encoded(&self.thumbprint())).finish_non_exhaustive()
    }
}

/// A proof that is not yet signed. It starts valid, and you change one property at a time. The classes of the family
/// `dpop`, such as [`Defect::ProofReplayed`](crate::Defect::ProofReplayed), are hostile requests with such proofs.
#[must_use = "nothing is signed until `text` is called"]
#[derive(Debug, Clone)]
pub struct ProofDraft {
    // Sorted, so that the text does not depend on the features of serde_json that a program enables.
    pub(crate) header: BTreeMap<String, Value>,
    pub(crate) claims: BTreeMap<String, Value>,
    pub(crate) signer: Signer,
    pub(crate) owner: TestDpopKey,
    pub(crate) token: String,
}

#[derive(Debug, Clone)]
pub(crate) enum Signer {
    Key(TestDpopKey),
    /// HMAC with this secret.
    Secret(Vec<u8>),
    Nobody,
}

impl ProofDraft {
    /// Sets a claim to any JSON value.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.claims.insert(name.into(), value.into());
        self
    }

    /// Removes a claim.
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets a member of the header to any JSON value.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.header.insert(name.into(), value.into());
        self
    }

    /// Removes a member of the header.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Sets the nonce of the server.
    pub fn nonce(self, nonce: impl Into<String>) -> Self {
        self.claim("nonce", nonce.into())
    }

    /// Sets when the proof was signed.
    pub fn signed_at(self, at: Timestamp) -> Self {
        self.claim("iat", at.unix())
    }

    /// Signs with another key, whose public half is in the header only if you set it.
    pub fn signed_by(self, key: &TestDpopKey) -> Self {
        Self { signer: Signer::Key(key.clone()), ..self }
    }

    /// The text of the proof.
    #[track_caller]
    pub fn text(&self) -> String {
        self.signed(&json!(self.claims).to_string())
    }

    /// Signs any text as the payload.
    #[track_caller]
    pub(crate) fn signed(&self, payload: &str) -> String {
        let signed =
            format!("{}.{}", encoded(json!(self.header).to_string().as_bytes()), encoded(payload.as_bytes()));
        let signature = match &self.signer {
            Signer::Key(key) => key.key.sign(signed.as_bytes()).or_fail("the signature of a proof"),
            Signer::Secret(secret) => {
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
                aws_lc_rs::hmac::sign(&key, signed.as_bytes()).as_ref().to_vec()
            }
            Signer::Nobody => Vec::new(),
        };
        format!("{signed}.{}", encoded(&signature))
    }
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The `ath` of a token.
pub(crate) fn hash(token: &str) -> String {
    encoded(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}
