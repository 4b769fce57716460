//! Proof that a service was verified. There is one constructor, and only the verifier calls it.

mod audit_fragment;

use std::{borrow::Cow, fmt, sync::Arc};

pub(crate) use self::audit_fragment::{Fragment, MAX_FRAGMENT};
use crate::{
    audit::Subject,
    claims::{Scopes, ServiceClaims, UserClaims},
    denial::Denial,
    keys::KeyId,
    recorder::{Attempt, Attempts, Identified, Recorded, Recorder, Refused},
    rejection::Rejection,
    revocation::PresentedToken,
    times::{Moment, Times},
    trusted::Acceptance,
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
///
/// It belongs to the attempt that it was verified for, whose one record is written when the handler or the guarded
/// function ends, or when it refuses with [`Caller::refuse`]. Without either, the attempt ends when the caller that
/// the verifier returned is dropped. To store a caller, store a clone: a clone does not delay the record.
#[derive(Clone)]
pub struct Caller {
    verified: Arc<Verified>,
    attempts: Attempts,
}

struct Verified {
    claims: ServiceClaims,
    acceptance: Acceptance,
    recorder: Arc<Recorder>,
    fragment: Fragment,
}

impl Caller {
    /// The one constructor: claims whose token the verifier has accepted, what it was accepted on, and where that
    /// verifier records what is decided about them.
    pub(crate) fn verified(claims: ServiceClaims, acceptance: Acceptance, recorder: Arc<Recorder>) -> Self {
        let verified = Verified { claims, acceptance, recorder, fragment: Fragment::default() };
        Self { verified: Arc::new(verified), attempts: Attempts::default() }
    }

    /// Refuses the caller from within a handler or a guarded function: for what no policy can say, such as a tenant
    /// that is not the caller's own.
    ///
    /// The response is that of any other 403. The reason is only in the record, under the code
    /// [`refused`](crate::error::Code::Refused); the record of the attempt says "deny", and there is no other. Return what
    /// this returns: it is a response in axum and actix, and converts to a `tonic::Status`, an `http::Response`
    /// and a [`Denial`]. A caller whose attempt has ended, such as a stored one, gets a record of its own.
    ///
    /// The attempt of a handler that is not an `async fn`, and returns a future, ends when the function returns.
    /// Write an `async fn` where you refuse later. Of two guarded functions that run at the same time with one
    /// `&Caller`, give each a clone.
    ///
    #[cfg_attr(feature = "axum", doc = "```")]
    #[cfg_attr(not(feature = "axum"), doc = "```text")]
    /// use axum::extract::Path;
    /// use service_only::{Caller, Rejection, service_only};
    ///
    /// #[service_only]
    /// async fn delete_tenant(Path(tenant): Path<String>, caller: Caller) -> Result<String, Rejection> {
    ///     if tenant != caller.service() {
    ///         return Err(caller.refuse(format!("`{tenant}` is not the tenant of the caller")));
    ///     }
    ///     Ok(tenant)
    /// }
    /// ```
    #[must_use = "the record says that the caller was refused, so return this"]
    pub fn refuse(&self, reason: impl Into<Cow<'static, str>>) -> Rejection {
        let attempt = self.attempts.current();
        self.recorder().refuse_accepted(attempt, reason.into(), self.verified.clone())
    }

    /// The name of the calling service.
    pub fn service(&self) -> &str {
        self.claims().service.as_str()
    }

    /// The `role` claim.
    pub fn role(&self) -> Option<&str> {
        self.claims().role.as_deref()
    }

    /// The scopes of the token.
    pub fn scopes(&self) -> &Scopes {
        &self.claims().scope
    }

    /// Whether the token carries `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().contains(scope)
    }

    /// The `jti` claim: the token's name for logs.
    pub fn jti(&self) -> Option<&str> {
        self.claims().jti.as_deref()
    }

    /// The issuer whose key signed the token.
    pub fn issuer(&self) -> &str {
        &self.claims().issuer
    }

    /// The key that signed the token, where it has a name.
    pub fn key_id(&self) -> Option<&KeyId> {
        self.verified.acceptance.key_id()
    }

    /// All claims.
    pub fn claims(&self) -> &ServiceClaims {
        &self.verified.claims
    }

    /// What a revocation store is asked about, at this instant.
    pub(crate) fn presented(&self, at: Moment) -> PresentedToken<'_> {
        let claims = self.claims();
        PresentedToken {
            issuer: &claims.issuer,
            jti: claims.jti.as_deref(),
            service: Some(claims.service.as_str()),
            issued_at: at.proven_issue(claims.iat),
            key_id: self.key_id().map(KeyId::as_str),
        }
    }

    /// Checks again what may have changed since the token was accepted, in the order of the stages: its key, its
    /// times, its revocation. `good_since` is the epoch of the revocations in which it was good, where that is
    /// known; without it the store is asked.
    ///
    /// # Errors
    /// As the token itself would be refused, if it came now.
    pub(crate) fn check_again(&self, at: Moment, good_since: Option<u64>) -> Result<(), Denial> {
        let (claims, acceptance) = (&self.verified.claims, &self.verified.acceptance);
        acceptance.check_key()?;
        let times = Times { exp: claims.exp, nbf: claims.nbf, iat: claims.iat };
        acceptance.check_times(&times, at)?;
        let Some(revocation) = &self.recorder().revocation else { return Ok(()) };
        revocation.check_since(good_since, times.prove_the_age(at), || self.presented(at))?;
        Ok(())
    }

    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.verified.recorder
    }

    /// The attempts that it belongs to.
    pub(crate) fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// The same caller, who belongs to no attempt: one within an attempt must not own it.
    pub(crate) fn without_attempt(&self) -> Self {
        Self { verified: Arc::clone(&self.verified), attempts: Attempts::default() }
    }

    /// A refusal of this caller, whose token was accepted.
    pub(crate) fn refused(&self, denial: Denial) -> Refused {
        Refused { who: self.identified(), ..denial.into() }
    }

    /// Gives its attempt to another owner, and stays linked.
    pub(crate) fn release(&mut self) -> Option<Arc<Attempt>> {
        self.attempts.release()
    }
}

impl Identified for Verified {
    fn subject(&self) -> Subject<'_> {
        let (kid, profile) = (self.acceptance.key_id().map(KeyId::as_str), self.acceptance.profile());
        Subject {
            service: Some(&self.claims),
            kid,
            profile: Some(profile),
            fragment: self.fragment.get(&self.claims, kid, profile),
            ..Subject::default()
        }
    }
}

impl Recorded for Caller {
    fn identified(&self) -> Option<Arc<dyn Identified>> {
        Some(self.verified.clone())
    }

    fn owning(self, attempt: Arc<Attempt>) -> Self {
        Self { attempts: Attempts::own(attempt), ..self }
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

impl Identity {
    /// Refuses whoever it is, as [`Caller::refuse`] does a service.
    #[must_use = "the record says that the token was refused, so return this"]
    pub fn refuse(&self, reason: impl Into<Cow<'static, str>>) -> Rejection {
        match self {
            Self::Service(caller) => caller.refuse(reason),
            Self::User(user) => user.refuse(reason),
        }
    }

    /// Whether the verifier that accepted it is the one with this recorder. No two verifiers share one, and the
    /// identity keeps it alive, so that no later one can stand at its address.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn is_of(&self, recorder: &Arc<Recorder>) -> bool {
        let own = match self {
            Self::Service(caller) => caller.recorder(),
            Self::User(user) => &user.verified.recorder,
        };
        Arc::ptr_eq(own, recorder)
    }

    /// A refusal of an identity that was authenticated.
    pub(crate) fn refused(&self, denial: Denial) -> Refused {
        Refused { who: self.identified(), ..denial.into() }
    }

    /// What a revocation store is asked about, at this instant.
    pub(crate) fn presented(&self, at: Moment) -> PresentedToken<'_> {
        match self {
            Self::Service(caller) => caller.presented(at),
            Self::User(user) => user.presented(at),
        }
    }

    /// The attempts that it belongs to.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn attempts(&self) -> &Attempts {
        match self {
            Self::Service(caller) => &caller.attempts,
            Self::User(user) => &user.attempts,
        }
    }
}

impl Recorded for Identity {
    fn identified(&self) -> Option<Arc<dyn Identified>> {
        match self {
            Self::Service(caller) => caller.identified(),
            Self::User(user) => Some(user.verified.clone()),
        }
    }

    fn owning(self, attempt: Arc<Attempt>) -> Self {
        match self {
            Self::Service(caller) => Self::Service(caller.owning(attempt)),
            Self::User(user) => Self::User(User { attempts: Attempts::own(attempt), ..user }),
        }
    }
}

/// A verified user. Like [`Caller`], it exists only because the verifier accepted a token. Nothing checks it again later:
/// authenticate each request, and keep no user for longer.
#[derive(Clone)]
pub struct User {
    verified: Arc<VerifiedUser>,
    attempts: Attempts,
}

struct VerifiedUser {
    claims: UserClaims,
    acceptance: Acceptance,
    recorder: Arc<Recorder>,
}

impl Identified for VerifiedUser {
    fn subject(&self) -> Subject<'_> {
        Subject {
            user: Some(&self.claims),
            kid: self.acceptance.key_id().map(KeyId::as_str),
            profile: Some(self.acceptance.profile()),
            ..Subject::default()
        }
    }
}

impl User {
    pub(crate) fn verified(claims: UserClaims, acceptance: Acceptance, recorder: Arc<Recorder>) -> Self {
        let verified = VerifiedUser { claims, acceptance, recorder };
        Self { verified: Arc::new(verified), attempts: Attempts::default() }
    }

    /// The user's id: `user_id`, or `sub` where that is absent.
    pub fn id(&self) -> Option<&str> {
        self.claims().id()
    }

    /// All claims.
    pub fn claims(&self) -> &UserClaims {
        &self.verified.claims
    }

    /// Refuses the user, as [`Caller::refuse`] does a service.
    #[must_use = "the record says that the user was refused, so return this"]
    pub fn refuse(&self, reason: impl Into<Cow<'static, str>>) -> Rejection {
        self.verified.recorder.refuse_accepted(self.attempts.current(), reason.into(), self.verified.clone())
    }

    /// What a revocation store is asked about, at this instant.
    fn presented(&self, at: Moment) -> PresentedToken<'_> {
        let (claims, acceptance) = (self.claims(), &self.verified.acceptance);
        PresentedToken {
            issuer: acceptance.issuer(),
            jti: claims.jti.as_deref(),
            service: None,
            issued_at: at.proven_issue(claims.iat),
            key_id: acceptance.key_id().map(KeyId::as_str),
        }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("User").field(self.claims()).finish()
    }
}
