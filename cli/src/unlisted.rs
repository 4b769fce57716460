//! Valid tokens of services that the configuration does not list: the service was renamed or removed, and its token
//! still works, or the configuration lacks it, and `renew` skips it.

use std::collections::BTreeSet;

use service_only::claims::ServiceName;
use service_only::clock::Timestamp;
use service_only_store::{ListedToken, Store, TokenState};

use crate::config::Config;
use crate::output;
use crate::problem::Outcome;
use crate::store::{self, now, refused, valid_holders};

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
        if let Some(config) = self.config.filter(|_| !self.services.is_empty()) {
            output::warning(&in_words(config, &self.services));
        }
    }
}

pub(crate) fn is_listed(config: &Config, service: &str) -> bool {
    config.services.keys().map(ServiceName::as_str).any(|listed| listed == service)
}

/// Warns if a service that the configuration does not list has a valid token.
pub(crate) fn warn_of_holders(url: &str, config: &Config) -> Outcome<()> {
    let holders = store::run(async {
        let store = Store::open(url).await.map_err(|error| refused(&error))?;
        holders(&store, config).await
    })?;
    if !holders.is_empty() {
        output::warning(&in_words(config, &holders));
    }
    Ok(())
}

/// The services with a valid token that the configuration does not list.
pub(crate) async fn holders(store: &Store, config: &Config) -> Outcome<BTreeSet<String>> {
    let services = store.services(Some(&config.issuer)).await.map_err(|error| refused(&error))?;
    let unlisted: Vec<_> =
        services.iter().map(String::as_str).filter(|service| !is_listed(config, service)).collect();
    valid_holders(store, &config.issuer, &unlisted, now()).await
}

pub(crate) fn in_words(config: &Config, services: &BTreeSet<String>) -> String {
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
