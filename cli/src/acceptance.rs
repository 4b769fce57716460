//! Checks that `verify` accepts a token with the configuration that it was minted from.
//!
//! `generate`, `renew` and `k8s-secret` use it before they record or print a token. Without the check, a token would be
//! delivered, and each call with it would get a 401. The store decides about the state of the key (`store/mintable.rs`).

use std::time::Duration;

use service_only::clock::Timestamp;
use service_only::issue::Issuer;
use service_only::{KeySet, Policy};

use crate::config::Config;
use crate::expectations::Expectations;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;
use crate::service_token::ServiceToken;
use crate::verdict::Answer;

const REMEDY: &str = "correct the option or the configuration; `--dangerously-mint-refused` mints the token for a verifier with other settings";

/// What `verify` expects of a token.
pub(crate) struct Acceptance<'a> {
    expectations: Expectations<'a>,
    keys: KeySet,
    /// The operator wants the token in any case.
    is_intended: bool,
    /// The key of the command line is not the configured one. A journal that has the key is an exception.
    pub(crate) other_key: Option<Problem>,
}

/// What the command line asks for.
pub(crate) struct Asked<'a> {
    pub(crate) issuer: Option<&'a str>,
    pub(crate) audience: Option<&'a str>,
    pub(crate) profile: Profile,
    pub(crate) names_key: bool,
    /// The operator wants the token in any case.
    pub(crate) is_intended: bool,
}

impl<'a> Acceptance<'a> {
    /// The expectations of the configuration. Without one, the options are all that a verifier can be configured with.
    pub(crate) fn of(asked: &Asked<'a>, config: Option<&'a Config>, issuer: &Issuer) -> Self {
        let (name, audience, profile) = match config {
            Some(config) => {
                (Some(config.issuer.as_str()), config.audience.as_deref(), config.profile.unwrap_or_default())
            }
            None => (asked.issuer, asked.audience, asked.profile),
        };
        let expectations = Expectations {
            issuer: name,
            audience,
            algorithms: &[],
            profile,
            leeway: Duration::ZERO,
            now: None,
            revocations: None,
        };
        let is_intended = asked.is_intended;
        let other_key =
            config.filter(|_| asked.names_key && !is_intended).and_then(|config| other_key(config, issuer));
        Self { expectations, keys: KeySet::from(issuer.key().verifying_key()), is_intended, other_key }
    }

    /// Refuses tokens that `verify` refuses.
    pub(crate) fn check(&self, tokens: &[ServiceToken]) -> Outcome<()> {
        // The clock may change between two tokens, so each is judged at the last `iat`.
        let last = tokens.iter().filter_map(|made| made.token.claims().iat).max();
        let expectations =
            Expectations { now: last.map(Timestamp::from_unix), revocations: None, ..self.expectations };
        let verifier = expectations.verifier(self.keys.clone())?;
        for made in tokens {
            let answer = Answer::of(&verifier, None, &Policy::any_service(), made.token.as_str().as_bytes());
            if let Some(reason) = answer.refusal_without_proof() {
                let reason = format!("`verify` refuses the token of `{}`: {reason}", made.service);
                if !self.is_intended {
                    return Err(Problem::new(ProblemCode::WouldBreak, reason).help(REMEDY));
                }
                output::warning(&reason);
            }
        }
        Ok(())
    }
}

/// The problem of a key that is not the configured one.
fn other_key(config: &Config, issuer: &Issuer) -> Option<Problem> {
    let key = issuer.key();
    // Without the configured key on this machine there is nothing to compare with.
    let own = config.key.load().ok().filter(|own| own.kid() != key.kid())?;
    let reason =
        format!("the key `{}` is not the key of `{}`, `{}`", key.kid(), config.path.display(), own.kid());
    Some(Problem::new(ProblemCode::KeyRefused, reason).help(REMEDY))
}
