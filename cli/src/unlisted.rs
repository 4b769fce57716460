//! Valid tokens of services that the configuration does not list: the service was renamed or removed, and its token
//! still works, or the configuration lacks it, and `renew` skips it.

use std::collections::BTreeSet;

use service_only::claims::ServiceName;
use service_only::clock::Timestamp;
use service_only_store::{ListedToken, Store, TokenState};

use crate::config::Config;
use crate::output;
use crate::problem::Outcome;
use crate::store::{self, now, refused};

/// The largest number of names in a warning.
const NAMED: usize = 5;

/// Collects the services that a configuration does not list.
pub(crate) struct Unlisted<'a> {
    config: Option<&'a Config>,
    now: Timestamp,
    services: BTreeSet<String>,
}

impl<'a> Unlisted<'a> {
    /// Without a configuration, no service counts as unlisted.
    pub(crate) fn of(config: Option<&'a Config>, now: Timestamp) -> Self {
        Self { config, now, services: BTreeSet::new() }
    }

    pub(crate) fn meet(&mut self, listed: &ListedToken) {
        let Some(config) = self.config.filter(|config| config.issuer == listed.token.issuer) else { return };
        let service = &listed.token.service;
        if !is_listed(config, service) && listed.state(self.now) == TokenState::Active {
            self.services.insert(service.clone());
        }
    }

    pub(crate) fn warn(&self) {
        if let Some(config) = self.config {
            warn(config, &self.services);
        }
    }
}

pub(crate) fn is_listed(config: &Config, service: &str) -> bool {
    config.services.keys().map(ServiceName::as_str).any(|listed| listed == service)
}

/// Warns if a service that the configuration does not list has a valid token.
pub(crate) fn warn_of_holders(url: &str, config: &Config) -> Outcome<()> {
    store::run(async {
        let store = Store::open(url).await.map_err(|error| refused(&error))?;
        warn_of_all(&store, Some(config), None).await
    })
}

/// Does the same for a command that reads the tokens of one issuer, or of all.
pub(crate) async fn warn_of_all(store: &Store, config: Option<&Config>, issuer: Option<&str>) -> Outcome<()> {
    let is_read = |config: &&Config| issuer.is_none_or(|issuer| issuer == config.issuer);
    if let Some(config) = config.filter(is_read) {
        warn(config, &holders(store, config).await?);
    }
    Ok(())
}

/// Warns if one of these services, which a command met, is not in the configuration and has a valid token.
pub(crate) async fn warn_of(
    store: &Store,
    config: Option<&Config>,
    issuer: &str,
    met: &BTreeSet<String>,
) -> Outcome<()> {
    let Some(config) = config.filter(|config| config.issuer == issuer) else { return Ok(()) };
    if met.iter().all(|service| is_listed(config, service)) {
        return Ok(());
    }
    let holders = holders(store, config).await?.intersection(met).cloned().collect();
    warn(config, &holders);
    Ok(())
}

/// The services with a valid token that the configuration does not list.
pub(crate) async fn holders(store: &Store, config: &Config) -> Outcome<BTreeSet<String>> {
    let services = store.services_with_valid_token(&config.issuer, now()).await;
    let services = services.map_err(|error| refused(&error))?;
    Ok(services.into_iter().filter(|service| !is_listed(config, service)).collect())
}

fn warn(config: &Config, services: &BTreeSet<String>) {
    if !services.is_empty() {
        output::warning(&in_words(config, services));
    }
}

fn in_words(config: &Config, services: &BTreeSet<String>) -> String {
    let named: Vec<_> = services.iter().take(NAMED).map(|service| format!("`{service}`")).collect();
    let more = match services.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} others"),
    };
    format!(
        "`{}` does not list services that have a valid token: {}{more}; add them under `[services]`, or revoke their tokens with `service-token revoke --service NAME --before now`",
        config.path.display(),
        named.join(", ")
    )
}
