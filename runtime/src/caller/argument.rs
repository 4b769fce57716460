//! The identities that authenticate a request as the argument of a handler without a guard.

use super::{Caller, Identity, User};
use crate::{
    authorize::service_refused,
    policy::Policy,
    recorder::{Recorded, Refused},
    times::Moment,
};

/// A kind of identity that a handler takes as an argument.
pub(crate) trait Argument: Recorded + Clone + Into<Identity> {
    /// Takes the identity of an earlier decision. `None` if it is of another kind, which a new decision refuses.
    fn of(identity: Identity) -> Option<Self>;

    /// Takes an authenticated identity.
    ///
    /// # Errors
    /// When it is of another kind.
    fn admit(identity: Identity, at: Moment) -> Result<Self, Refused>;
}

impl Argument for Caller {
    fn of(identity: Identity) -> Option<Self> {
        match identity {
            Identity::Service(caller) => Some(caller),
            Identity::User(_) => None,
        }
    }

    fn admit(identity: Identity, at: Moment) -> Result<Self, Refused> {
        identity.into_service_that_meets(const { &Policy::any_service() }, &[], at)
    }
}

impl Argument for User {
    fn of(identity: Identity) -> Option<Self> {
        match identity {
            Identity::User(user) => Some(user),
            Identity::Service(_) => None,
        }
    }

    fn admit(identity: Identity, _: Moment) -> Result<Self, Refused> {
        match identity {
            Identity::User(user) => Ok(user),
            Identity::Service(caller) => Err(caller.refused(service_refused())),
        }
    }
}

impl Argument for Identity {
    fn of(identity: Identity) -> Option<Self> {
        Some(identity)
    }

    fn admit(identity: Identity, _: Moment) -> Result<Self, Refused> {
        Ok(identity)
    }
}
