//! Proof that a user was verified.

use std::{borrow::Cow, fmt, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    audit::Subject,
    authorize::{Asking, Known, PathParameters, authorize_user},
    claims::{Actor, InvalidClaims, TokenMembers, UserClaims},
    denial::{Code, Denial},
    keys::KeyId,
    policy::Policy,
    proof::Proof,
    recorder::{Attempt, Attempts, Identified, Recorded, Recorder},
    rejection::Rejection,
    revocation::PresentedToken,
    times::{Moment, Times},
    trusted::Acceptance,
};

/// A verified user.
///
/// Like a [`Caller`](crate::Caller), it exists only after the verifier has accepted a token, and each guarded function that you pass it to
/// checks it again. A handler under `#[users_only]` takes it as an argument. On a handler without an attribute, this
/// argument alone authenticates the request, and a service is refused with 403.
#[derive(Clone)]
pub struct User {
    verified: Arc<VerifiedUser>,
    attempts: Attempts,
}

struct VerifiedUser {
    claims: UserClaims,
    members: TokenMembers,
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
    /// The only constructor, as that of a [`Caller`](crate::Caller).
    pub(crate) fn verified(
        claims: UserClaims,
        members: TokenMembers,
        acceptance: Acceptance,
        recorder: Arc<Recorder>,
    ) -> Self {
        let verified = VerifiedUser { claims, members, acceptance, recorder };
        Self { verified: Arc::new(verified), attempts: Attempts::default() }
    }

    /// The user's id: `user_id`, or `sub` if that is absent.
    pub fn id(&self) -> Option<&str> {
        self.claims().id()
    }

    /// The party that acts for the user, as [`Caller::actor`](crate::Caller::actor).
    pub fn actor(&self) -> Option<&Actor> {
        self.claims().actor.as_ref()
    }

    /// The claims that every user's token can have, typed. For other claims, see [`User::claim`].
    pub fn claims(&self) -> &UserClaims {
        &self.verified.claims
    }

    /// A claim of the token by its name, as [`Caller::claim`](crate::Caller::claim).
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.verified.members.get(name, self.claims())
    }

    /// The claims of the token as a type of your program, as [`Caller::claims_as`](crate::Caller::claims_as).
    ///
    /// # Errors
    /// When the claims lack a field of the type, or a claim has another type.
    pub fn claims_as<T>(&self) -> Result<Arc<T>, InvalidClaims>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.verified.members.typed(self.claims())
    }

    /// Refuses the user, as [`Caller::refuse`](crate::Caller::refuse) does for a service.
    #[must_use = "the record says that the user was refused, so return this"]
    pub fn refuse(&self, reason: impl Into<Cow<'static, str>>) -> Rejection {
        self.refuse_by(Denial::new(Code::Refused, reason))
    }

    pub(crate) fn refuse_by(&self, denial: Denial) -> Rejection {
        self.verified.recorder.refuse_accepted(self.attempts.current(), denial, self.verified.clone())
    }

    /// Whether the user meets a policy.
    ///
    /// # Errors
    /// When it does not, or the policy is for services only.
    pub(crate) fn meets(
        &self,
        policy: &Policy<'_>,
        path: PathParameters<'_>,
        at: Moment,
    ) -> Result<(), Denial> {
        let UserClaims { actor, role, roles, scope, iat, .. } = self.claims();
        // The name under which the verifier trusts the issuer, which `iss` of some kinds is not.
        let (issuer, proof) = (self.acceptance().issuer(), self.acceptance().proof());
        let (actor, role) = (actor.as_ref(), role.as_deref());
        let asking = Asking { issuer, service: None, actor, role, roles, scope, iat: *iat, proof };
        let known = Known { path, sets: &self.recorder().sets };
        authorize_user(&asking, |name| self.claim(name), policy, known, at)
    }

    /// The same user without an attempt.
    pub(crate) fn without_attempt(&self) -> Self {
        Self { verified: Arc::clone(&self.verified), attempts: Attempts::default() }
    }

    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.verified.recorder
    }

    pub(crate) fn acceptance(&self) -> &Acceptance {
        &self.verified.acceptance
    }

    /// Hands the ownership of the attempt to the caller of this method, and stays linked to it.
    pub(crate) fn release(&mut self) -> Option<Arc<Attempt>> {
        self.attempts.release()
    }

    /// The attempts that the user belongs to.
    pub(crate) fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// Checks again what may have changed since the token was accepted, as for a caller.
    ///
    /// # Errors
    /// When the verifier would refuse the token if it arrived now.
    pub(crate) fn check_again(&self, at: Moment, good_since: Option<u64>) -> Result<(), Denial> {
        let VerifiedUser { claims, acceptance, recorder, .. } = &*self.verified;
        let times = Times { exp: claims.exp, nbf: claims.nbf, iat: claims.iat };
        super::check_again(acceptance, recorder, (times, at), good_since, || self.presented(at))
    }

    /// The facts about the token that a revocation store needs, at this instant.
    pub(crate) fn presented(&self, at: Moment) -> PresentedToken<'_> {
        let (claims, acceptance) = (self.claims(), self.acceptance());
        PresentedToken {
            issuer: acceptance.issuer(),
            jti: claims.jti.as_deref(),
            service: None,
            issued_at: at.proven_issue(claims.iat),
            key_id: acceptance.key_id().map(KeyId::as_str),
        }
    }
}

impl Recorded for User {
    fn identified(&self) -> Option<Arc<dyn Identified>> {
        Some(self.verified.clone())
    }

    fn owning(self, attempt: Arc<Attempt>) -> Self {
        Self { attempts: Attempts::own(attempt), ..self }
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("User").field(self.claims()).finish()
    }
}
