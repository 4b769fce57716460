//! Refuses to mint with a key whose tokens verifiers do not accept.
//!
//! Without this check, a token would be recorded and delivered, and each call with it would get a 401. A revoked
//! key is refused by the transaction that records the token.

use service_only::keys::KeyState;
use service_only_store::{Store, TokenRecord};

use super::refused;
use crate::config::Config;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::published::{ExistingSet, Unknown};

/// Checks that the journal and the published set have the key of these tokens. Before the first rotation there is
/// nothing to compare with except the configured key: `other_key` is the problem of any other one.
pub(super) async fn check(
    store: &Store,
    config: Option<&Config>,
    tokens: &[TokenRecord],
    other_key: Option<&Problem>,
) -> Outcome<()> {
    let Some(TokenRecord { issuer, kid, .. }) = tokens.first() else { return Ok(()) };
    let keys = store.keys(issuer).await.map_err(|error| refused(&error))?;
    if keys.is_empty() {
        return other_key.cloned().map_or(Ok(()), Err);
    }
    match keys.iter().find(|key| key.kid == *kid).map(|key| key.state) {
        None => {
            return Err(unusable(format!("the key `{kid}` is not in the journal of `{issuer}`")));
        }
        Some(KeyState::Retired) => return Err(unusable(format!("the key `{kid}` is retired"))),
        Some(_) => {}
    }
    let config = config.filter(|config| config.issuer == *issuer);
    let Some(path) = config.map(|config| &config.rotation.jwks) else { return Ok(()) };
    // Without a set here, as on another machine, the journal decides alone.
    let Ok(set) = ExistingSet::read(path, Unknown::Keep) else { return Ok(()) };
    let mut names = set.kids().peekable();
    if names.peek().is_none() || names.any(|name| name == kid) {
        return Ok(());
    }
    Err(unusable(format!("the key `{kid}` is not in the published set `{}`", path.display())))
}

fn unusable(reason: String) -> Problem {
    Problem::new(ProblemCode::KeyRefused, reason).help(
        "verifiers would refuse the token, so none was made; `service-token rotate` publishes and activates keys, and `--no-store` mints without this check",
    )
}
