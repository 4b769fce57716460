//! Tokens that are bound to a key of their sender (DPoP, RFC 9449 section 6.1).

use serde_json::json;

use super::{TokenDraft, base64url};
use crate::{
    dpop::{Prover, TestDpopKey},
    fail::fail,
};

impl TokenDraft {
    /// Binds the token to the key of a sender (RFC 9449 section 6.1). A verifier accepts it only with a proof of this key.
    pub fn bound_to_key(self, key: &TestDpopKey) -> Self {
        self.claim("cnf", json!({ "jkt": base64url(key.thumbprint()) }))
    }

    /// Binds the token to the key of a sender, which adds a proof to each request of [`fixtures`](Self::fixtures) and of an
    /// [attack](crate::Attack). The attack then also sends hostile proofs.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use axum::{Router, routing::get};
    /// use http::Method;
    /// use service_only::service_only;
    /// use service_only_testkit::{TestAuthority, attack};
    ///
    /// #[service_only(services("billing"))]
    /// async fn stock() {}
    ///
    /// let authority = TestAuthority::new().dpop("https://orders.internal");
    /// let app = Router::new().route("/stock", get(stock)).with_state(authority.verifier());
    /// attack(app)
    ///     .as_caller(authority.service("billing").proven_by(&authority.dpop_key()))
    ///     .audit(authority.audit())
    ///     .endpoint(Method::GET, "/stock")
    ///     .run()
    ///     .await;
    /// # }
    /// ```
    ///
    /// # Panics
    /// When the authority knows no URL of the service, see [`TestAuthority::dpop`](crate::TestAuthority::dpop).
    #[track_caller]
    pub fn proven_by(self, key: &TestDpopKey) -> Self {
        let Some(url) = self.authority.service_url().map(str::to_owned) else {
            fail("a proof names the URL of the service; name it with `TestAuthority::dpop`")
        };
        let draft = self.bound_to_key(key);
        Self { prover: Some(Prover::new(key.clone(), url)), ..draft }
    }

    /// The sender of the requests, if it adds a proof to each.
    pub(crate) fn prover(&self) -> Option<&Prover> {
        self.prover.as_ref()
    }

    /// Names a nonce that the service accepts no longer.
    pub(crate) fn with_stale_nonce(self, nonce: &str) -> Self {
        let prover = self.prover.map(|prover| prover.with_stale_nonce(nonce.to_owned()));
        Self { prover, ..self }
    }
}
