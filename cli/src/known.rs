//! Checks that a name in an option exists: a mistyped name is an error, never an empty answer.
//!
//! An issuer, a service or a key exists if the store has a token or a key of it, or if the configuration
//! names it.

use std::collections::BTreeSet;

use service_only_store::{Store, TokenFilter};

use crate::config::Config;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::refused;

/// The maximum number of names that an error lists.
const LISTED: usize = 5;

/// The similarity, from 0 to 1, above which an error suggests another name.
const ALIKE: f64 = 0.8;

/// The problem for an unknown name.
pub(crate) fn unknown<'a>(
    reason: impl Into<String>,
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Problem {
    let known: Vec<&str> = BTreeSet::from_iter(known).into_iter().collect();
    let best = nearest(name, known.iter().copied()).filter(|(alike, _)| *alike >= ALIKE);
    let help = match (best, known.as_slice()) {
        (Some((_, best)), _) => format!("did you mean `{best}`?"),
        (None, []) => "there is none at all; check that this is the right place to look".to_owned(),
        (None, known) => {
            let shown: Vec<_> = known.iter().take(LISTED).map(|name| format!("`{name}`")).collect();
            let more = if known.len() > LISTED { ", and others" } else { "" };
            format!("there are {}{more}", shown.join(", "))
        }
    };
    Problem::new(ProblemCode::NotFound, reason).help(help)
}

/// The known name that is most similar to this one, and how similar it is.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<(f64, &'a str)> {
    let name = name.to_lowercase();
    let scored = known.map(|one| (strsim::jaro_winkler(&name, &one.to_lowercase()), one));
    scored.max_by(|(a, _), (b, _)| a.total_cmp(b))
}

/// Refuses an issuer that neither the store nor the configuration has.
pub(crate) async fn issuer(store: &Store, config: Option<&Config>, issuer: &str) -> Outcome<()> {
    let mut known = store.issuers().await.map_err(|error| refused(&error))?;
    known.extend(config.map(|config| config.issuer.clone()));
    if known.iter().any(|known| known == issuer) {
        return Ok(());
    }
    let reason = format!("`{}` has no token and no key of an issuer `{issuer}`", store.place());
    Err(unknown(reason, issuer, known.iter().map(String::as_str)))
}

/// Refuses a service that neither the store nor the configuration has.
pub(crate) async fn service(
    store: &Store,
    config: Option<&Config>,
    issuer: Option<&str>,
    service: &str,
) -> Outcome<()> {
    if store.has_service(issuer, service).await.map_err(|error| refused(&error))? {
        return Ok(());
    }
    let minted = store.services(issuer).await.map_err(|error| refused(&error))?;
    let config = config.filter(|config| issuer.is_none_or(|issuer| issuer == config.issuer));
    let configured = config.into_iter().flat_map(|config| config.services.keys()).map(|name| name.as_str());
    if configured.clone().any(|known| known == service) {
        output::note(&format!("the registry has no token of `{service}`, which the configuration lists"));
        return Ok(());
    }
    let of = issuer.map(|issuer| format!(" of `{issuer}`")).unwrap_or_default();
    let reason = format!("`{}` has no token of a service `{service}`{of}", store.place());
    Err(unknown(reason, service, minted.iter().map(String::as_str).chain(configured)))
}

/// Refuses a key that is not in the journal and signed no recorded token.
pub(crate) async fn key(store: &Store, config: Option<&Config>, issuer: &str, kid: &str) -> Outcome<()> {
    let mut known = store.key_names(issuer).await.map_err(|error| refused(&error))?;
    let configured = config.filter(|config| config.issuer == issuer);
    known.extend(configured.and_then(|config| config.key.kid.clone()));
    if known.iter().any(|known| known == kid) {
        return Ok(());
    }
    let reason = format!("the registry has no key `{kid}` of `{issuer}`, and no token that it signed");
    Err(unknown(reason, kid, known.iter().map(String::as_str)))
}

/// Refuses a filter whose issuer or service matches nothing.
pub(crate) async fn filter(store: &Store, config: Option<&Config>, filter: &TokenFilter) -> Outcome<()> {
    if let Some(name) = &filter.issuer {
        issuer(store, config, name).await?;
    }
    match &filter.service {
        Some(name) => service(store, config, filter.issuer.as_deref(), name).await,
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(name: &str, known: &[&str]) -> String {
        unknown("x", name, known.iter().copied()).remedy().unwrap_or_default().to_owned()
    }

    #[test]
    fn name_that_is_nearly_right_is_proposed() {
        let known = ["orders", "inventory", "tenant-deletion-orchestrator"];
        for (typed, meant) in [
            ("ordres", "orders"),
            ("Orders", "orders"),
            ("order", "orders"),
            ("inventroy", "inventory"),
            ("tenant-deletion", "tenant-deletion-orchestrator"),
        ] {
            assert_eq!(help(typed, &known), format!("did you mean `{meant}`?"), "{typed}");
        }
        assert_eq!(help("billing", &["orders", "mail"]), "there are `mail`, `orders`");
        assert!(help("x", &["a", "b", "c", "d", "e", "f"]).ends_with("`e`, and others"));
        assert!(help("x", &[]).contains("right place"));
    }
}
