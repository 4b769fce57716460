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
use crate::service_token::ServiceToken;
use crate::signing::{self, SigningOptions, TokenOptions};
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

impl<'a> Acceptance<'a> {
    /// The expectations of the configuration. Without one, the options are all that a verifier can be configured with.
    pub(crate) fn of(
        signing: &'a SigningOptions,
        config: Option<&'a Config>,
        options: &'a TokenOptions,
        issuer: &Issuer,
    ) -> Self {
        let is_intended = options.refused.dangerously_mint_refused;
        let expectations = match config {
            Some(config) => Expectations {
                issuer: Some(&config.issuer),
                audience: config.audience.as_deref(),
                algorithms: &[],
                profile: config.profile.unwrap_or_default(),
                leeway: Duration::ZERO,
                now: None,
                revocations: None,
            },
            None => Expectations {
                issuer: signing.issuer.as_deref(),
                audience: signing::audience(None, options),
                algorithms: &[],
                profile: signing::profile(None, options),
                leeway: Duration::ZERO,
                now: None,
                revocations: None,
            },
        };
        let other_key = match config {
            Some(config) if signing.key.is_some() && !is_intended => other_key(config, issuer),
            _ => None,
        };
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
