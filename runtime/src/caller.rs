//! Proof that a service was verified. There is one constructor, and only the verifier calls it.

use std::{fmt, sync::Arc};

use crate::{
    audit::KeptSaid,
    authorize::Facts,
    claims::{HeldClaims, Scopes, ServiceClaims, UserClaims},
    denial::Denial,
    keys::KeyId,
    recorder::Recorder,
    revocation::PresentedToken,
    verifier::{Acceptance, Moment, Times},
};

/// A verified service. That one exists means: the signature, the issuer, the audience, the times and
/// the kind of its token were checked.
///
/// A caller that is kept, by a job or a stream, is checked again whenever it is given to a guarded function: its key, the
/// times of its token, revocation, and the policy. Nothing checks it in between, so a long stream calls a guarded
/// function for each message.
///
/// Cheap to clone. As an argument of a handler it is optional; on a handler without
/// `#[service_only]` it authenticates by itself.
///
/// In axum, `Option<Caller>` would let strangers in as nobody, and does not compile:
///
#[cfg_attr(feature = "axum", doc = "```compile_fail,E0277")]
#[cfg_attr(not(feature = "axum"), doc = "```text")]
/// use axum::{Router, routing::get};
/// use service_only::{Caller, Verifier};
///
/// async fn list(_: Option<Caller>) {}
///
/// let router: Router<Verifier> = Router::new().route("/", get(list));
/// ```
#[derive(Clone)]
pub struct Caller(Arc<Verified>);

struct Verified {
    claims: HeldClaims,
    key_id: Option<KeyId>,
    acceptance: Acceptance,
    recorder: Arc<Recorder>,
    said: KeptSaid,
}

impl Caller {
    /// The one constructor: claims whose token the verifier has accepted, what it was accepted on, and where that
    /// verifier records what is decided about them.
    pub(crate) fn verified(
        claims: HeldClaims,
        key_id: Option<KeyId>,
        acceptance: Acceptance,
        recorder: Arc<Recorder>,
    ) -> Self {
        Self(Arc::new(Verified { claims, key_id, acceptance, recorder, said: KeptSaid::default() }))
    }

    /// The name of the calling service.
    pub fn service(&self) -> &str {
        self.0.claims.service()
    }

    /// The `role` claim.
    pub fn role(&self) -> Option<&str> {
        self.0.claims.role()
    }

    /// The scopes of the token.
    pub fn scopes(&self) -> &Scopes {
        self.0.claims.scope()
    }

    /// Whether the token carries `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().contains(scope)
    }

    /// The `jti` claim: the token's name for logs.
    pub fn jti(&self) -> Option<&str> {
        self.0.claims.jti()
    }

    /// The issuer whose key signed the token.
    pub fn issuer(&self) -> &str {
        self.0.claims.issuer()
    }

    /// The key that signed the token, where it has a name.
    pub fn key_id(&self) -> Option<&KeyId> {
        self.0.key_id.as_ref()
    }

    /// When the token was issued, where it says so.
    pub(crate) fn issued_at(&self) -> Option<i64> {
        self.0.claims.iat()
    }

    /// When the token expires.
    pub(crate) fn expires_at(&self) -> i64 {
        self.0.claims.exp()
    }

    /// How many audiences the token has.
    pub(crate) fn audiences(&self) -> usize {
        self.0.claims.audiences()
    }

    /// What a revocation store is asked about, at this instant.
    pub(crate) fn presented(&self, at: Moment) -> PresentedToken<'_> {
        self.0.claims.presented(self.key_id(), at)
    }

    /// All claims.
    pub fn claims(&self) -> &ServiceClaims {
        self.0.claims.unfolded()
    }

    /// Checks again what may have changed since the token was accepted, in the order of the stages: its key, its
    /// times, its revocation. `good_since` is the epoch of the revocations in which it was good, where that is
    /// known; without it the store is asked.
    ///
    /// # Errors
    /// As the token itself would be refused, if it came now.
    pub(crate) fn check_again(&self, at: Moment, good_since: Option<u64>) -> Result<(), Denial> {
        let (claims, acceptance) = (&self.0.claims, &self.0.acceptance);
        acceptance.check_key()?;
        let times = Times { exp: claims.exp(), nbf: claims.nbf(), iat: claims.iat() };
        acceptance.check_times(&times, at)?;
        let Some(revocation) = &self.recorder().revocation else { return Ok(()) };
        revocation.check_since(good_since, times.prove_the_age(at), || self.presented(at))?;
        Ok(())
    }

    /// The kind of the token, as the audit writes it.
    pub(crate) fn profile(&self) -> &'static str {
        self.0.acceptance.profile()
    }

    /// What every record of it says, once it was recorded twice and if it can be joined.
    pub(crate) fn said(&self, join: impl FnOnce() -> Option<Box<str>>) -> Option<&str> {
        self.0.said.get(join)
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    /// Whether the verifier that verified it is the one with this recorder. No two verifiers share one,
    /// and the caller keeps it alive, so that no later one can stand at its address.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) fn is_of(&self, recorder: &Recorder) -> bool {
        std::ptr::eq(self.recorder(), recorder)
    }
}

impl Facts for Caller {
    fn issuer(&self) -> &str {
        self.issuer()
    }

    fn service(&self) -> &str {
        self.service()
    }

    fn role(&self) -> Option<&str> {
        self.role()
    }

    fn scope(&self) -> &Scopes {
        self.scopes()
    }

    fn iat(&self) -> Option<i64> {
        self.issued_at()
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("service", &self.service())
            .field("issuer", &self.issuer())
            .field("jti", &self.jti())
            .finish_non_exhaustive()
    }
}

/// Whom a token stands for, where users are let through as well: at a gateway.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Identity {
    /// A verified service.
    Service(Caller),
    /// A verified user (`type: "access"`). A guarded handler refuses one with 403.
    User(User),
}

/// A verified user. Like [`Caller`], it exists only because the verifier accepted a token. Nothing checks it again later:
/// authenticate each request, and keep no user for longer.
#[derive(Debug, Clone)]
pub struct User(Arc<UserClaims>);

impl User {
    pub(crate) fn verified(claims: UserClaims) -> Self {
        Self(Arc::new(claims))
    }

    /// The user's id: `user_id`, or `sub` where that is absent.
    pub fn id(&self) -> Option<&str> {
        self.0.user_id.as_deref().or(self.0.sub.as_deref())
    }

    /// All claims.
    pub fn claims(&self) -> &UserClaims {
        &self.0
    }
}
