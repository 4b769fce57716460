//! The expectations of a verifier, and the function that builds the verifier.
//!
//! The options of `verify` and each case of a batch use the same function, so that both mean the same.

use std::time::Duration;

use service_only::{
    Algorithm, KeySet, TrustedIssuer, Verifier,
    audit::NoAudit,
    clock::{FixedClock, Timestamp},
    error::BuildError,
    revocation::MemoryRevocations,
};

use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;

/// The expectations, before validation.
pub(crate) struct Expectations<'a> {
    pub(crate) issuer: Option<&'a str>,
    pub(crate) audience: Option<&'a str>,
    /// If empty, the algorithms of the keys.
    pub(crate) algorithms: &'a [Algorithm],
    pub(crate) profile: Profile,
    pub(crate) leeway: Duration,
    /// `None` means the system clock.
    pub(crate) now: Option<Timestamp>,
    /// `None` means that a token ends only when it expires.
    pub(crate) revocations: Option<MemoryRevocations>,
}

impl Expectations<'_> {
    pub(crate) fn verifier(&self, keys: KeySet) -> Outcome<Verifier> {
        let issuer = self.issuer.filter(|issuer| !issuer.is_empty()).ok_or_else(|| {
            Problem::new(ProblemCode::BadConfig, "no issuer is expected")
                .help("pass `--issuer ISSUER`, the `iss` that tokens must have")
        })?;
        // The answer on standard output is the record of the decision, so no audit sink is needed.
        let mut trusted = match self.profile {
            Profile::Compatible => TrustedIssuer::compatible(issuer),
            Profile::Strict => TrustedIssuer::strict(issuer),
        }
        .keys(keys);
        if let Some(audience) = self.audience {
            trusted = trusted.audience(audience);
        }
        if !self.algorithms.is_empty() {
            trusted = trusted.algorithms(self.algorithms.iter().copied());
        }
        let mut builder = Verifier::builder().trust(trusted).leeway(self.leeway).audit(NoAudit);
        if let Some(revocations) = &self.revocations {
            builder = builder.revocation(revocations.clone());
        }
        if let Some(now) = self.now {
            builder = builder.clock(FixedClock(now));
        }
        builder.build().map_err(refused)
    }
}

/// The builder's message is for a programmer, so this message names the option that would help.
fn refused(error: BuildError) -> Problem {
    match error {
        BuildError::NoAudience(_) => {
            Problem::new(ProblemCode::BadConfig, "strict tokens need an audience, and none is expected")
                .help("pass `--audience AUDIENCE`, the name of the called service")
        }
        error => Problem::new(ProblemCode::BadConfig, error.to_string()),
    }
}
