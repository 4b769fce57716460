//! A refusal with everything that was known about the token, and how an accepted token is recorded.

use std::{convert::Infallible, sync::Arc, time::Duration};

use uuid::Uuid;

use super::{Attempt, Identified, event};
use crate::{
    audit::{AuditEvent, Line, RequestContext, Subject},
    clock::Timestamp,
    denial::Denial,
    keys::KeyId,
};

/// The result of a decision that accepts.
pub(crate) trait Recorded: Sized {
    /// The service or the user that the record describes.
    fn identified(&self) -> Option<Arc<dyn Identified>>;

    /// Makes the value the first owner of its attempt.
    fn owning(self, attempt: Arc<Attempt>) -> Self;
}

/// For decisions that never accept.
impl Recorded for Infallible {
    fn identified(&self) -> Option<Arc<dyn Identified>> {
        None
    }

    fn owning(self, _: Arc<Attempt>) -> Self {
        self
    }
}

/// A denial, and what its record can contain about the token.
pub(crate) struct Refused {
    pub(crate) denial: Denial,
    /// The service or the user, if the token was accepted.
    pub(crate) who: Option<Arc<dyn Identified>>,
    /// The key whose signature verified, if the claims were refused.
    pub(crate) key_id: Option<KeyId>,
    /// The name in a token that was not accepted, escaped and truncated.
    pub(crate) unverified_service: Option<String>,
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self { denial, who: None, key_id: None, unverified_service: None }
    }
}

impl Refused {
    pub(crate) fn subject(&self) -> Subject<'_> {
        match &self.who {
            Some(who) => who.subject(),
            None => Subject {
                kid: self.key_id.as_ref().map(KeyId::as_str),
                unverified_service: self.unverified_service.as_deref(),
                ..Subject::default()
            },
        }
    }

    pub(crate) fn event<'e>(
        &'e self,
        times: (Uuid, Timestamp, Duration),
        request: RequestContext<'e>,
        line: Line,
    ) -> AuditEvent<'e> {
        event(times, Some(&self.denial), self.subject(), request, line)
    }
}
