//! What a verifier expects of every token, and the verifier that expects it.
//!
//! One way from expectations to a verifier, for the options of `verify` and for each case of a
//! batch, so that both mean the same.

use std::time::Duration;

use service_only::{Algorithm, FixedClock, KeySet, NoAudit, Timestamp, Verifier};

use crate::problem::{Outcome, Problem, ProblemCode};

/// The expectations, before they are checked.
pub(crate) struct Expectations<'a> {
    pub(crate) issuer: Option<&'a str>,
    pub(crate) audience: Option<&'a str>,
    /// Empty: those that the keys are for.
    pub(crate) algorithms: &'a [Algorithm],
    pub(crate) leeway: Duration,
    /// `None`: the system's clock.
    pub(crate) now: Option<i64>,
}

impl Expectations<'_> {
    pub(crate) fn verifier(&self, keys: KeySet) -> Outcome<Verifier> {
        let issuer = self.issuer.filter(|issuer| !issuer.is_empty()).ok_or_else(|| {
            Problem::new(ProblemCode::BadConfig, "no issuer is expected")
                .help("name the `iss` that tokens must have: `--issuer ISSUER`")
        })?;
        // The answer on standard output is the record of the decision; there is no service to audit.
        let mut builder = Verifier::builder().issuer(issuer).keys(keys).leeway(self.leeway).audit(NoAudit);
        if let Some(audience) = self.audience {
            builder = builder.audience(audience);
        }
        if !self.algorithms.is_empty() {
            builder = builder.algorithms(self.algorithms.iter().copied());
        }
        if let Some(now) = self.now {
            builder = builder.clock(FixedClock(Timestamp::from_unix(now)));
        }
        builder.build().map_err(|error| Problem::new(ProblemCode::BadConfig, error.to_string()))
    }
}
