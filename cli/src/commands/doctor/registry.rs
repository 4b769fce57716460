//! The checks of the store: whether it works, its clock, the tokens of the services, and the reports of the verifiers.

use service_only::claims::ServiceName;
use service_only_store::rotation::{Journal, RotationSettings};
use service_only_store::{Store, StoreError, TokenState};

use super::Report;
use crate::clocks::{self, Clocks};
use crate::commands::verifiers;
use crate::config::Config;
use crate::output;
use crate::problem::Outcome;
use crate::store::{now, refused, valid_holders};
use crate::unlisted;

/// `renew` mints when a third of the lifetime is left. A token with less than a sixth was not renewed.
const NOT_RENEWED: u32 = 6;

/// Opens the store for the other checks.
pub(super) async fn open(report: &mut Report, url: Option<&str>) -> Option<Store> {
    let program = env!("CARGO_PKG_VERSION");
    let Some(url) = url else {
        report.problem(
            "store",
            "no store is named, so tokens are not registered and cannot be revoked for the fleet",
            "write `store` into the configuration, and run `service-token store init`",
        );
        return None;
    };
    let error = match Store::open(url).await {
        Ok(store) => {
            report.ok("store", format!("`{}` answers", store.place()));
            report.ok("versions", format!("service-token {program}, and a store of the same schema"));
            return Some(store);
        }
        Err(error) => error,
    };
    match &error {
        StoreError::Older { place, .. } => {
            report.ok("store", format!("`{place}` answers"));
            report.problem(
                "versions",
                error.to_string(),
                "run `service-token store init` as the owner of the tables",
            );
        }
        StoreError::Newer { place, .. } => {
            report.ok("store", format!("`{place}` answers"));
            let found = format!("service-token {program}: {error}");
            report.problem("versions", found, "upgrade `service-token` on this machine");
        }
        _ => report.failed("store", &refused(&error), "check that the database runs, and its address"),
    }
    None
}

pub(super) async fn clock(report: &mut Report, store: &Store) {
    match Clocks::read(store).await {
        Ok(None) => report.ok("clock", "a SQLite store uses the clock of this machine"),
        Ok(Some(clocks)) if clocks.differ() => {
            report.failed("clock", &clocks::problem(clocks), "correct the clock that is wrong");
        }
        Ok(Some(_)) => report.ok("clock", "this machine and PostgreSQL have the same time"),
        Err(problem) => report.failed("clock", &problem, "check that the database runs"),
    }
}

pub(super) async fn tokens(report: &mut Report, store: &Store, config: &Config) -> Outcome<()> {
    let now = now();
    let services: Vec<_> = config.services.keys().map(ServiceName::as_str).collect();
    let valid = valid_holders(store, &config.issuer, &services, now).await?;
    let names = |services: &mut dyn Iterator<Item = &str>| {
        services.map(|service| format!("`{service}`")).collect::<Vec<_>>().join(", ")
    };
    let missing = names(&mut services.iter().copied().filter(|service| !valid.contains(*service)));
    if !missing.is_empty() {
        report.problem(
            "tokens",
            format!("services of the configuration have no valid token: {missing}"),
            "mint them with `service-token generate --missing --out-dir DIR`",
        );
    }
    let unlisted = unlisted::holders(store, config).await?;
    if !unlisted.is_empty() {
        let named = names(&mut unlisted.iter().map(String::as_str));
        report.problem(
            "tokens",
            format!("services that the configuration does not list have a valid token: {named}"),
            "add them under `[services]`, or run `service-token revoke --service NAME --before now`",
        );
    }
    let newest = store.newest_tokens(&config.issuer, &services).await.map_err(|error| refused(&error))?;
    for listed in newest.iter().filter(|listed| listed.state(now) == TokenState::Active) {
        let token = &listed.token;
        let lifetime = token.expires_at.since(token.issued_at).unwrap_or_default();
        let left = token.expires_at.since(now).unwrap_or_default();
        if left < lifetime / NOT_RENEWED {
            report.problem(
                "tokens",
                format!(
                    "the newest token of `{}` expires {}",
                    token.service,
                    output::relative(token.expires_at, now)
                ),
                "check the timer that runs `service-token renew`, and run it",
            );
        }
    }
    if report.is_clean("tokens") {
        report.ok("tokens", format!("{} services have a valid token", valid.len()));
    }
    Ok(())
}

pub(super) fn verifiers(report: &mut Report, settings: &RotationSettings, journal: &Journal) {
    let now = now();
    let judged = verifiers::judge(journal, settings, now);
    let count = |state: &str| judged.iter().filter(|one| one.state == state).count();
    for one in judged.iter().filter(|one| one.state == "lagging") {
        report.problem(
            "verifiers",
            format!("`{}` lacks the keys {}", one.report.id, one.lacks.join(", ")),
            "check that this verifier can fetch the published set; the log of the verifier contains the error",
        );
    }
    if report.is_clean("verifiers") {
        let (running, silent) = (count("running"), count("silent"));
        report.ok(
            "verifiers",
            match judged.len() {
                0 => {
                    "no verifier reports its keys; a rotation waits for `longest_refresh` instead".to_owned()
                }
                _ => format!("{running} verifiers have all keys, {silent} are silent"),
            },
        );
    }
}
