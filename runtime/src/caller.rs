//! Proof that a service was verified. It has one constructor, which only the verifier calls.

mod audit_fragment;

use std::{borrow::Cow, fmt, sync::Arc};

pub(crate) use self::audit_fragment::{Fragment, MAX_FRAGMENT};
use crate::{
    audit::Subject,
    claims::{Scopes, ServiceClaims, UserClaims},
    denial::Denial,
    keys::KeyId,
    peer::{PeerCertificate, Proof},
    recorder::{Attempt, Attempts, Identified, Recorded, Recorder, Refused},
    rejection::Rejection,
    revocation::PresentedToken,
    times::{Moment, Times},
    trusted::Acceptance,
};

/// A verified service.
///
/// A value of this type proves that the verifier checked the signature, the issuer, the audience, the times and the
/// kind of a token.
///
/// You can keep a caller in a job or a stream. Each guarded function that you pass it to checks it again: its key,
/// the times of its token, revocation and the policy. Nothing checks it in between, so a long stream calls a
/// guarded function for each message.
///
/// It is cheap to clone. A guarded handler may take it as an optional argument. On a handler without
/// `#[service_only]`, this argument alone authenticates the request.
///
/// In axum, `Option<Caller>` does not compile, because it would admit unauthenticated requests as `None`:
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
/// A caller belongs to the attempt that it was verified for, and each attempt writes one audit record. The record is
/// written when the handler or the guarded function ends, or when it refuses with [`Caller::refuse`]. Without either,
/// the attempt ends when the caller that the verifier returned is dropped. To store a caller, store a clone: a clone
/// does not delay the record.
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
    /// The only constructor. It takes the claims of a token that the verifier accepted, the facts that the acceptance
    /// is based on, and the recorder to which that verifier records decisions about them.
    pub(crate) fn verified(claims: ServiceClaims, acceptance: Acceptance, recorder: Arc<Recorder>) -> Self {
        let verified = Verified { claims, acceptance, recorder, fragment: Fragment::default() };
        Self { verified: Arc::new(verified), attempts: Attempts::default() }
    }

    /// Refuses the caller from within a handler or a guarded function. Use it for rules that a policy cannot express,
    /// such as a tenant that does not belong to the caller.
    ///
    /// The response is the same as for any other 403. Only the audit record contains the reason, with the code
    /// [`refused`](crate::error::Code::Refused). The record of the attempt has the decision "deny", and no second
    /// record follows. Return the result of this method: it is a response in axum and actix, and converts to a
    /// `tonic::Status`, an `http::Response` and a [`Denial`]. A caller whose attempt has ended, such as a stored one,
    /// gets a separate record.
    ///
    /// If a handler is not an `async fn` but returns a future, its attempt ends when the function returns.
    /// Write an `async fn` if you refuse later. If two guarded functions run at the same time with one `&Caller`,
    /// give each a clone.
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

    /// Whether the token has `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().contains(scope)
    }

    /// The `jti` claim: the identifier of the token, for logs.
    pub fn jti(&self) -> Option<&str> {
        self.claims().jti.as_deref()
    }

    /// The issuer whose key signed the token.
    pub fn issuer(&self) -> &str {
        &self.claims().issuer
    }

    /// The key that signed the token, if it has a name.
    pub fn key_id(&self) -> Option<&KeyId> {
        self.verified.acceptance.key_id()
    }

    /// The proof that the sender of the token gave; `None` for a bearer token.
    pub fn proof(&self) -> Option<Proof> {
        self.verified.acceptance.proof()
    }

    /// All claims.
    pub fn claims(&self) -> &ServiceClaims {
        &self.verified.claims
    }

    /// The facts about the token that a revocation store needs, at this instant.
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
    /// times, its revocation. `good_since` is the epoch of the revocations in which the token was valid, if known;
    /// without it, this method queries the store.
    ///
    /// # Errors
    /// When the verifier would refuse the token if it arrived now.
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

    /// The attempts that the caller belongs to.
    pub(crate) fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// The same caller without an attempt. A caller inside an attempt must not own that attempt.
    pub(crate) fn without_attempt(&self) -> Self {
        Self { verified: Arc::clone(&self.verified), attempts: Attempts::default() }
    }

    /// Builds the refusal of this caller, whose token was accepted.
    pub(crate) fn refused(&self, denial: Denial) -> Refused {
        Refused { who: self.identified(), ..denial.into() }
    }

    /// Hands the ownership of the attempt to the caller of this method, and stays linked to it.
    pub(crate) fn release(&mut self) -> Option<Arc<Attempt>> {
        self.attempts.release()
    }
}

impl Identified for Verified {
    fn subject(&self) -> Subject<'_> {
        let (kid, profile) = (self.acceptance.key_id().map(KeyId::as_str), self.acceptance.profile());
        let proof = self.acceptance.proof().map(Proof::as_str);
        Subject {
            service: Some(&self.claims),
            kid,
            profile: Some(profile),
            proof,
            fragment: self.fragment.get(&self.claims, kid, (profile, proof)),
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

/// The subject of a token at a gateway, which admits users as well as services.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Identity {
    /// A verified service.
    Service(Caller),
    /// A verified user (`type: "access"`). A guarded handler refuses a user with 403.
    User(User),
}

impl Identity {
    /// Refuses the service or the user, as [`Caller::refuse`] does for a service.
    #[must_use = "the record says that the token was refused, so return this"]
    pub fn refuse(&self, reason: impl Into<Cow<'static, str>>) -> Rejection {
        match self {
            Self::Service(caller) => caller.refuse(reason),
            Self::User(user) => user.refuse(reason),
        }
    }

    /// Whether the verifier with this recorder accepted the token. Two verifiers never share a recorder. The identity
    /// keeps its recorder alive, so no later recorder can have the same address.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn is_of(&self, recorder: &Arc<Recorder>) -> bool {
        let own = match self {
            Self::Service(caller) => caller.recorder(),
            Self::User(user) => &user.verified.recorder,
        };
        Arc::ptr_eq(own, recorder)
    }

    /// Builds the refusal of an authenticated identity.
    pub(crate) fn refused(&self, denial: Denial) -> Refused {
        Refused { who: self.identified(), ..denial.into() }
    }

    /// The facts about the token that a revocation store needs, at this instant.
    pub(crate) fn presented(&self, at: Moment) -> PresentedToken<'_> {
        match self {
            Self::Service(caller) => caller.presented(at),
            Self::User(user) => user.presented(at),
        }
    }

    /// Checks the proof that the token needs, for a request that presents it.
    pub(crate) fn check_proof(&self, peer: Option<&PeerCertificate>, at: Moment) -> Result<(), Denial> {
        match self {
            Self::Service(caller) => caller.verified.acceptance.check_proof(peer, at),
            Self::User(user) => user.verified.acceptance.check_proof(peer, at),
        }
    }

    /// The attempts that the identity belongs to.
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

/// A verified user.
///
/// Like a [`Caller`], it exists only after the verifier has accepted a token. Nothing checks it again later, so
/// authenticate each request and do not keep a user for longer.
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
            proof: self.acceptance.proof().map(Proof::as_str),
            ..Subject::default()
        }
    }
}

impl User {
    pub(crate) fn verified(claims: UserClaims, acceptance: Acceptance, recorder: Arc<Recorder>) -> Self {
        let verified = VerifiedUser { claims, acceptance, recorder };
        Self { verified: Arc::new(verified), attempts: Attempts::default() }
    }

    /// The user's id: `user_id`, or `sub` if that is absent.
    pub fn id(&self) -> Option<&str> {
        self.claims().id()
    }

    /// All claims.
    pub fn claims(&self) -> &UserClaims {
        &self.verified.claims
    }

    /// Refuses the user, as [`Caller::refuse`] does for a service.
    #[must_use = "the record says that the user was refused, so return this"]
    pub fn refuse(&self, reason: impl Into<Cow<'static, str>>) -> Rejection {
        self.verified.recorder.refuse_accepted(self.attempts.current(), reason.into(), self.verified.clone())
    }

    /// The facts about the token that a revocation store needs, at this instant.
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
