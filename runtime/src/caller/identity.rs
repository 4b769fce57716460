//! A verified caller of either kind: a service or a user.

use std::{borrow::Cow, sync::Arc};

use serde::de::DeserializeOwned;

use super::{Caller, User};
#[cfg(any(feature = "actix", feature = "axum"))]
use crate::denial::Code;
#[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
use crate::peer::PeerCertificate;
use crate::{
    authorize::{PathParameters, user_refused},
    claims::InvalidClaims,
    denial::Denial,
    evidence::Evidence,
    policy::Policy,
    recorder::{Attempt, Attempts, Identified, Recorded, Recorder, Refused},
    rejection::Rejection,
    revocation::PresentedToken,
    times::Moment,
    trusted::Acceptance,
};

/// A verified service or user: the caller of a handler under `#[callers]`, or of a gateway, which admits both.
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

    /// The claims of the token as a type of your program, as [`Caller::claims_as`].
    ///
    /// # Errors
    /// When the claims lack a field of the type, or a claim has another type.
    pub fn claims_as<T>(&self) -> Result<Arc<T>, InvalidClaims>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        match self {
            Self::Service(caller) => caller.claims_as(),
            Self::User(user) => user.claims_as(),
        }
    }

    /// Whether the verifier with this recorder accepted the token. Two verifiers never share a recorder. The identity
    /// keeps its recorder alive, so no later recorder can have the same address.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn is_of(&self, recorder: &Arc<Recorder>) -> bool {
        Arc::ptr_eq(self.recorder(), recorder)
    }

    /// Refuses an identity whose claims do not have the type that a handler reads.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) fn refuse_claims(&self, error: &InvalidClaims) -> Rejection {
        let denial = Denial::new(Code::ClaimNotAllowed, error.to_string());
        match self {
            Self::Service(caller) => caller.refuse_by(denial),
            Self::User(user) => user.refuse_by(denial),
        }
    }

    /// Builds the refusal of an authenticated identity.
    pub(crate) fn refused(&self, denial: Denial) -> Refused {
        super::refused(self.acceptance(), self.identified(), denial)
    }

    fn acceptance(&self) -> &Acceptance {
        match self {
            Self::Service(caller) => &caller.verified.acceptance,
            Self::User(user) => user.acceptance(),
        }
    }

    /// Whether the service or the user meets a policy.
    ///
    /// # Errors
    /// When it does not, or the policy is not for its kind.
    pub(crate) fn meets(
        &self,
        policy: &Policy<'_>,
        path: PathParameters<'_>,
        at: Moment,
    ) -> Result<(), Denial> {
        match self {
            Self::Service(caller) => caller.meets(policy, path, at),
            Self::User(user) => user.meets(policy, path, at),
        }
    }

    /// Takes a service that meets a policy.
    ///
    /// # Errors
    /// When it is a user, or a service that does not meet the policy.
    pub(crate) fn into_service_that_meets(
        self,
        policy: &Policy<'_>,
        path: PathParameters<'_>,
        at: Moment,
    ) -> Result<Caller, Refused> {
        match self {
            Self::Service(caller) => match caller.meets(policy, path, at) {
                Ok(()) => Ok(caller),
                Err(denial) => Err(caller.refused(denial)),
            },
            user @ Self::User(_) => Err(user.refused(user_refused())),
        }
    }

    /// Checks again what may have changed since the token was accepted.
    ///
    /// # Errors
    /// When the verifier would refuse the token if it arrived now.
    pub(crate) fn check_again(&self, at: Moment, good_since: Option<u64>) -> Result<(), Denial> {
        match self {
            Self::Service(caller) => caller.check_again(at, good_since),
            Self::User(user) => user.check_again(at, good_since),
        }
    }

    /// The same identity without an attempt.
    pub(crate) fn without_attempt(&self) -> Self {
        match self {
            Self::Service(caller) => Self::Service(caller.without_attempt()),
            Self::User(user) => Self::User(user.without_attempt()),
        }
    }

    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        match self {
            Self::Service(caller) => caller.recorder(),
            Self::User(user) => user.recorder(),
        }
    }

    /// Hands the ownership of the attempt to the caller of this method, and stays linked to it.
    pub(crate) fn release(&mut self) -> Option<Arc<Attempt>> {
        match self {
            Self::Service(caller) => caller.attempts.release(),
            Self::User(user) => user.release(),
        }
    }

    /// The facts about the token that a revocation store needs, at this instant.
    pub(crate) fn presented(&self, at: Moment) -> PresentedToken<'_> {
        match self {
            Self::Service(caller) => caller.presented(at),
            Self::User(user) => user.presented(at),
        }
    }

    /// Checks the proof that the token needs, for a request that presents it.
    pub(crate) fn check_proof(&self, evidence: Evidence<'_>, at: Moment) -> Result<(), Denial> {
        self.acceptance().check_proof(evidence, at)
    }

    /// The thumbprint of the key that the token is bound to, if it is bound to one.
    pub(crate) fn bound_key(&self) -> Option<[u8; 32]> {
        self.acceptance().bound_key()
    }

    /// Whether the token is a Workload Identity Token, which is sent in a separate header.
    #[cfg(all(feature = "experimental-wimse", any(feature = "actix", feature = "axum", feature = "tower")))]
    pub(crate) fn is_workload(&self) -> bool {
        self.acceptance().proof() == Some(crate::proof::Proof::Wpt)
    }

    /// Whether the request has the certificate that names this caller, if no token does.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tower"))]
    pub(crate) fn is_of_connection(&self, peer: Option<&PeerCertificate>) -> bool {
        self.acceptance().is_of_connection(peer)
    }

    /// The attempts that the identity belongs to.
    pub(crate) fn attempts(&self) -> &Attempts {
        match self {
            Self::Service(caller) => &caller.attempts,
            Self::User(user) => user.attempts(),
        }
    }
}

impl From<Caller> for Identity {
    fn from(caller: Caller) -> Self {
        Self::Service(caller)
    }
}

impl From<User> for Identity {
    fn from(user: User) -> Self {
        Self::User(user)
    }
}

impl Recorded for Identity {
    fn identified(&self) -> Option<Arc<dyn Identified>> {
        match self {
            Self::Service(caller) => caller.identified(),
            Self::User(user) => user.identified(),
        }
    }

    fn owning(self, attempt: Arc<Attempt>) -> Self {
        match self {
            Self::Service(caller) => Self::Service(caller.owning(attempt)),
            Self::User(user) => Self::User(user.owning(attempt)),
        }
    }
}
