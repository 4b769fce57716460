//! Attacks that no single token can test: a token was accepted, and then something happened.

use std::time::Duration;

use service_only::{
    Verifier, VerifyingKey, clock::Timestamp, error::Code, issue::SigningKey, keys::KeyRing,
    revocation::MemoryRevocations,
};

use crate::{
    authority::TestAuthority,
    draft::TokenDraft,
    fail::{OrFail, fail},
    token::FixtureToken,
};

/// An event after which an accepted token must be refused.
///
/// The catalogue of [`Defect`](crate::Defect) needs one token and one app. Here the app needs its own
/// verifier, so each incident [creates one](Incident::stage):
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use axum::{Router, routing::get};
/// use service_only::service_only;
/// use service_only_testkit::{Incident, TestAuthority, assert_allowed, assert_denied, call};
///
/// #[service_only(services("orders"))]
/// async fn stock() {}
///
/// for incident in Incident::ALL {
///     let authority = TestAuthority::new();
///     let scene = incident.stage(&authority.service("orders"));
///     let app = call(Router::new().route("/stock", get(stock)).with_state(scene.verifier().clone()));
///
///     assert_allowed!(app.get("/stock").bearer(scene.token()).await);
///     scene.strike();
///     assert_denied!(app.get("/stock").bearer(scene.token()).await, incident.code().status());
/// }
/// # }
/// ```
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Incident {
    /// The key was rotated out, and its overlap has ended.
    RetiredKey,
    /// The token was revoked by its `jti`, and is sent again.
    RevokedToken,
    /// All tokens of its service were revoked, and one is sent again.
    RevokedService,
    /// The key was revoked, with all tokens that it signed.
    RevokedKey,
    /// The token has expired in the meantime.
    Outlived,
}

impl Incident {
    /// All incidents.
    pub const ALL: [Self; 5] =
        [Self::RetiredKey, Self::RevokedToken, Self::RevokedService, Self::RevokedKey, Self::Outlived];

    /// The name of the incident, for a report or a snapshot.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RetiredKey => "retired_key",
            Self::RevokedToken => "revoked_token",
            Self::RevokedService => "revoked_service",
            Self::RevokedKey => "revoked_key",
            Self::Outlived => "outlived",
        }
    }

    /// The attack, in a sentence.
    pub const fn attack(self) -> &'static str {
        match self {
            Self::RetiredKey => {
                "A stolen key signs a token after the key was replaced and its overlap ended."
            }
            Self::RevokedToken => "A stolen token is used again after it was revoked.",
            Self::RevokedService => {
                "A stolen token of a service is used after all tokens of the service were revoked."
            }
            Self::RevokedKey => "A stolen key signs a token after the key was revoked.",
            Self::Outlived => {
                "A token expires after it was verified, and is sent again while it may still be cached."
            }
        }
    }

    /// The reference that requires this refusal.
    pub const fn source(self) -> &'static str {
        match self {
            Self::RetiredKey | Self::RevokedKey => "NIST SP 800-57 part 1 section 5.3",
            Self::RevokedToken | Self::RevokedService => "RFC 7009 section 2.1",
            Self::Outlived => "RFC 7519 section 4.1.4",
        }
    }

    /// The code of the denial that the token must get afterwards.
    pub const fn code(self) -> Code {
        match self {
            Self::RetiredKey => Code::UnknownKey,
            Self::RevokedToken | Self::RevokedService | Self::RevokedKey => Code::Revoked,
            Self::Outlived => Code::Expired,
        }
    }

    /// Creates a verifier that accepts `draft`, until [`Scene::strike`].
    #[track_caller]
    pub fn stage(self, draft: &TokenDraft) -> Scene {
        let authority = draft.authority().clone();
        let revocations = MemoryRevocations::with_limit(16, authority.clock().clone());
        let ring = KeyRing::with_clock(
            authority.key().verifying_key(),
            TokenDraft::DEFAULT_LIFETIME,
            authority.clock().clone(),
        )
        .or_fail("the ring of a test authority");
        let builder = authority.verifier_builder().keys(ring.clone()).revocation(revocations.clone());
        let verifier = builder.build().or_fail("the verifier of an incident");
        Scene { incident: self, draft: draft.clone(), token: draft.token(), verifier, ring, revocations }
    }
}

/// An accepted token, and the incident that will happen to it. [`Incident::stage`] creates it.
#[derive(Debug)]
pub struct Scene {
    incident: Incident,
    draft: TokenDraft,
    token: FixtureToken,
    verifier: Verifier,
    ring: KeyRing,
    revocations: MemoryRevocations,
}

impl Scene {
    /// The verifier for the app.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The token: accepted before the incident, and refused afterwards.
    pub fn token(&self) -> &FixtureToken {
        &self.token
    }

    /// Makes the incident happen.
    ///
    /// # Panics
    /// When the token has no `jti` or no `service`, which a revocation needs.
    #[track_caller]
    pub fn strike(&self) {
        let authority = self.draft.authority();
        let now = Timestamp::from_unix(self.draft.now());
        match self.incident {
            Incident::RetiredKey => self.rotate(authority),
            Incident::RevokedToken => {
                let jti = self.claim("jti");
                self.revocations
                    .revoke_token(authority.iss(), &jti, now.plus(Duration::from_secs(3600)))
                    .or_fail("a revocation");
            }
            Incident::RevokedService => {
                let service = self.claim("service");
                self.revocations.revoke_service(authority.iss(), &service, now).or_fail("a revocation");
            }
            Incident::RevokedKey => {
                self.revocations.revoke_key(authority.iss(), authority.kid()).or_fail("a revocation");
            }
            Incident::Outlived => authority.clock().advance(self.life()),
        }
    }

    #[track_caller]
    fn rotate(&self, authority: &TestAuthority) {
        let next: VerifyingKey = SigningKey::verifying_key(&authority.impostor());
        self.ring.prepare(next).or_fail("the next key");
        self.ring.activate(authority.impostor().kid().as_str()).or_fail("the next key");
        self.ring.retire(authority.kid()).or_fail("the retired key");
    }

    /// The remaining lifetime of the token.
    fn life(&self) -> Duration {
        let exp = self.draft.held("exp").and_then(serde_json::Value::as_i64).unwrap_or_default();
        Duration::from_secs(u64::try_from(exp - self.draft.now()).unwrap_or_default())
    }

    #[track_caller]
    fn claim(&self, name: &str) -> String {
        match self.draft.held(name).and_then(serde_json::Value::as_str) {
            Some(value) => value.to_owned(),
            None => fail(format_args!("the token has no `{name}` to be revoked by")),
        }
    }
}
