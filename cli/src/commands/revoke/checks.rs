//! What is checked before something is revoked: the clocks, and that the token is authentic.

use service_only::clock::Timestamp;
use service_only_store::Store;

use crate::clocks::{self, Clocks};
use crate::commands::presented::{Authenticity, Presented};
use crate::config::Config;
use crate::instant::CLOCKS_DIFFER;
use crate::problem::{Outcome, Problem, ProblemCode};

/// An instant near the current time means "now", which a wrong clock turns into another one: too late, and it covers
/// tokens that are minted afterwards; too early, and it covers too few. An instant that both clocks have passed is safe.
pub(super) async fn check_clock(store: &Store, before: Timestamp) -> Outcome<()> {
    match Clocks::read(store).await? {
        Some(clocks) if clocks.differ() && before.plus(CLOCKS_DIFFER) >= clocks.earlier() => {
            Err(clocks::problem(clocks).and("nothing was revoked").also(
                "set `--before` to an instant that both clocks have passed, or revoke with `--key KID` or by `jti`, which need no instant",
            ))
        }
        _ => Ok(()),
    }
}

/// Refuses a forged token. Its author wants another token to be revoked.
pub(super) async fn check_authentic(
    presented: &Presented,
    store: &Store,
    config: Option<&Config>,
) -> Outcome<()> {
    let jti = &presented.jti;
    match presented.authenticity(store, config).await? {
        Authenticity::Proven => Ok(()),
        Authenticity::Disproven(why) => {
            let reason = format!("the token is not authentic: {why}; nothing was revoked");
            Err(Problem::new(ProblemCode::NotAuthentic, reason).help(format!(
                "a service refuses it; it names the `jti` `{jti}`, which may be that of another token: `service-token show {jti}` shows it"
            )))
        }
        Authenticity::NoKeys => {
            let reason = format!(
                "no key of `{}` is known, so the token may be forged; nothing was revoked",
                presented.issuer
            );
            Err(Problem::new(ProblemCode::NotAuthentic, reason)
                .help("name the configuration of its issuer with `--config FILE`"))
        }
    }
}
