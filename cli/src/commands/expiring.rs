//! `service-token expiring`: lists valid tokens that expire soon, with an exit code for a timer. For
//! Prometheus it exports the state of all tokens and keys.

use clap::Args;
use service_only::clock::Timestamp;
use service_only_store::{Store, TokenFilter};

use super::list;
use crate::config::{Config, Lifetime};
use crate::exit::Exit;
use crate::known;
use crate::output::{self, Report};
use crate::problem::{Outcome, Problem};
use crate::store::{self, StoreAndConfig, refused};
use crate::unlisted;

const EXAMPLES: &str = "\
Exit codes: 0 none expires within that time, 1 some do. It cannot tell: 2 usage, 4 the store cannot be used,
9 an unknown service or issuer.

Examples:
  service-token expiring --within 30d
  service-token expiring --within 7d --format json || notify-the-team
  service-token expiring --format prometheus > service-only.prom.new && mv service-only.prom.new service-only.prom";

/// List the valid tokens that expire soon; the exit code is 1 if the list is not empty
///
/// The list excludes revoked and expired tokens. The format `prometheus` counts the tokens of one issuer
/// by their remaining lifetime, and reports the state and age of its keys. A service of the configuration without a
/// valid token has the count 0.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExpiringOptions {
    /// Maximum remaining lifetime, such as `30d`; optional for Prometheus, which then has exit code 0
    #[arg(long, value_name = "DURATION")]
    within: Option<Lifetime>,
    #[command(flatten)]
    store: StoreAndConfig,
    #[command(flatten)]
    of: list::Whose,
    #[command(flatten)]
    limit: list::Limit,
    #[command(flatten)]
    order: list::Order,
    /// Output format. `prometheus` prints metrics of every token and key, whatever --within is
    #[arg(long, value_enum, default_value_t)]
    format: Report,
}

pub(crate) fn run(options: &ExpiringOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let (now, mut filter) = (store::now(), options.of.filter());
    let Some(format) = options.format.format() else {
        filter.issuer = filter.issuer.or(config.as_ref().map(|config| config.issuer.clone()));
        let text = exposition(&url, config.as_ref(), &filter, now)?;
        let own = config.as_ref().filter(|config| filter.issuer.as_deref() == Some(config.issuer.as_str()));
        let soon = match options.within {
            Some(within) => is_any(&url, config.as_ref(), &soon(filter, within, now))?,
            None => false,
        };
        output::metrics(&text)?;
        if let Some(config) = own {
            unlisted::warn_of_holders(&url, config)?;
        }
        return Ok(exit(soon));
    };
    let within = options.within.ok_or_else(|| {
        Problem::usage("no remaining lifetime is given").help("pass `--within DURATION`, such as `30d`")
    })?;
    let listing = list::Listing { format, limit: options.limit, order: options.order };
    let printed = list::print(&url, config.as_ref(), &soon(filter, within, now), now, listing)?;
    Ok(exit(printed > 0))
}

fn exit(some_expire: bool) -> Exit {
    if some_expire { Exit::Found } else { Exit::Done }
}

/// Selects the valid tokens that expire within that time.
fn soon(filter: TokenFilter, Lifetime(within): Lifetime, now: Timestamp) -> TokenFilter {
    TokenFilter { expires_by: Some(now.plus(within)), ..list::active(filter, now) }
}

fn is_any(url: &str, config: Option<&Config>, filter: &TokenFilter) -> Outcome<bool> {
    store::run(async {
        let store = Store::open(url).await.map_err(|error| refused(&error))?;
        let first = store.tokens_after(filter, None, 1).await.map_err(|error| refused(&error))?;
        if first.is_empty() {
            known::filter(&store, config, filter).await?;
        }
        Ok(!first.is_empty())
    })
}

/// Exports all tokens and keys of an issuer. It has no filter by service, because each alert names its
/// service.
fn exposition(url: &str, config: Option<&Config>, filter: &TokenFilter, now: Timestamp) -> Outcome<String> {
    if filter.service.is_some() {
        return Err(Problem::usage("the format `prometheus` always covers every service")
            .help("leave `--service` out; each line names its service"));
    }
    let issuer = filter.issuer.as_deref().ok_or_else(|| {
        Problem::usage("no issuer").help("pass `--issuer ISSUER`, the issuer of the tokens and keys")
    })?;
    store::run(async {
        let store = Store::open(url).await.map_err(|error| refused(&error))?;
        known::issuer(&store, config, issuer).await?;
        let listed = config.filter(|config| config.issuer == issuer).map(Config::listed).unwrap_or_default();
        store.exposition(issuer, &listed, now).await.map_err(|error| refused(&error))
    })
}
