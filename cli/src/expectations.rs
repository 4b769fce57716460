//! What a verifier expects of every token, and the verifier that expects it.
//!
//! One way from expectations to a verifier, for the options of `verify` and for each case of a
//! batch, so that both mean the same.

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

/// The expectations, before they are checked.
pub(crate) struct Expectations<'a> {
    pub(crate) issuer: Option<&'a str>,
    pub(crate) audience: Option<&'a str>,
    /// Empty: those that the keys are for.
    pub(crate) algorithms: &'a [Algorithm],
    pub(crate) profile: Profile,
    pub(crate) leeway: Duration,
    /// `None`: the system's clock.
    pub(crate) now: Option<i64>,
    /// `None`: only expiry ends a token.
    pub(crate) revocations: Option<MemoryRevocations>,
}

impl Expectations<'_> {
    pub(crate) fn verifier(&self, keys: KeySet) -> Outcome<Verifier> {
        let issuer = self.issuer.filter(|issuer| !issuer.is_empty()).ok_or_else(|| {
            Problem::new(ProblemCode::BadConfig, "no issuer is expected")
                .help("name the `iss` that tokens must have: `--issuer ISSUER`")
        })?;
        // The answer on standard output is the record of the decision; there is no service to audit.
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
            builder = builder.clock(FixedClock(Timestamp::from_unix(now)));
        }
        builder.build().map_err(refused)
    }
}

/// The builder's words are for a program, so the option that would help is named beside them.
fn refused(error: BuildError) -> Problem {
    match error {
        BuildError::NoAudience(_) => Problem::new(
            ProblemCode::BadConfig,
            "a strict token is for somebody, and no audience is expected",
        )
        .help("name the service that is called: `--audience AUDIENCE`"),
        error => Problem::new(ProblemCode::BadConfig, error.to_string()),
    }
}
