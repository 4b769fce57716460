//! The instant of a decision, and the time claims that are compared with it. It is pure: other code reads the clock.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    denial::{Code, Denial},
};

/// See [`Verifier::MAX_LEEWAY`].
pub(crate) const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// See [`Verifier::MAX_ISSUED_AHEAD`].
pub(crate) const MAX_ISSUED_AHEAD: Duration = Duration::from_secs(60);

/// The instant with which times are compared, and how far the clocks may differ.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    pub(crate) leeway: Duration,
}

impl Moment {
    pub(crate) fn leeway_seconds(self) -> i64 {
        i64::try_from(self.leeway.as_secs()).unwrap_or(i64::MAX)
    }

    /// When the token was issued, if its `iat` proves it. If an `iat` is further ahead than
    /// [`Verifier::MAX_ISSUED_AHEAD`], the clock was wrong, or the value is not in seconds.
    pub(crate) fn proven_issue(self, iat: Option<i64>) -> Option<i64> {
        let allowed = self.leeway.saturating_add(MAX_ISSUED_AHEAD);
        let latest = self.now.plus(allowed).unix();
        iat.filter(|&iat| iat <= latest)
    }
}

/// `exp`, `nbf` and `iat` as whole seconds.
#[derive(Copy, Clone)]
pub(crate) struct Times {
    pub(crate) exp: i64,
    pub(crate) nbf: Option<i64>,
    pub(crate) iat: Option<i64>,
}

impl Times {
    /// Whether `iat`, if there is one, proves the age of the token at this instant.
    pub(crate) fn prove_the_age(&self, at: Moment) -> bool {
        at.proven_issue(self.iat) == self.iat
    }
}

/// Checks `now < exp + leeway` and `now + leeway >= nbf`.
pub(crate) fn check_times(exp: i64, nbf: Option<i64>, at: Moment) -> Result<(), Denial> {
    let (now, leeway) = (at.now, at.leeway_seconds());
    if now.unix() >= exp.saturating_add(leeway) {
        let reason = format!("the token expired at {}, and it is {now}", Timestamp::from_unix(exp));
        return Err(Denial::new(Code::Expired, reason));
    }
    if let Some(nbf) = nbf.filter(|&nbf| now.unix().saturating_add(leeway) < nbf) {
        let reason = format!("the token is valid from {} on, and it is {now}", Timestamp::from_unix(nbf));
        return Err(Denial::new(Code::NotYetValid, reason));
    }
    Ok(())
}
