//! `service-token expiring`: lists valid tokens that expire soon, with an exit code for a timer. For
//! Prometheus it exports the state of all tokens and keys.

use clap::Args;
use service_only::clock::Timestamp;
use service_only_store::{ListedToken, Store, TokenFilter, TokenState};

use super::list;
use crate::config::{Config, Lifetime};
use crate::exit::Exit;
use crate::known;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};
use crate::store::{self, StoreAndConfig, refused};

const EXAMPLES: &str = "\
Exit codes: 0 none expires within that time, 1 some do, 2 usage, a service or an issuer that is not
known, or the store could not be read.

Examples:
  service-token expiring --within 30d
  service-token expiring --within 7d --format json || notify-the-team
  service-token expiring --format prometheus > service-only.prom.new && mv service-only.prom.new service-only.prom";

/// List the valid tokens that expire soon; the exit code is 1 if the list is not empty
///
/// The list excludes revoked and expired tokens. The format `prometheus` counts the tokens of one issuer
/// by their remaining lifetime, and reports the state and age of its keys.
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
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Report,
}

/// How the tokens are reported.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
enum Report {
    /// For people and shell scripts.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For the textfile collector of Prometheus' node_exporter: every token and key, whatever --within says.
    Prometheus,
}

pub(crate) fn run(options: &ExpiringOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let (now, mut filter) = (store::now(), options.of.filter());
    let format = match options.format {
        Report::Text => Format::Text,
        Report::Json => Format::Json,
        Report::Prometheus => {
            filter.issuer = filter.issuer.or(config.as_ref().map(|config| config.issuer.clone()));
            let text = exposition(&url, config.as_ref(), &filter, now)?;
            let soon = options.within.map(|within| expiring(&url, config.as_ref(), filter, within, now));
            let soon = soon.transpose()?;
            output::lines(text.trim_end())?;
            return Ok(exit(&soon.unwrap_or_default()));
        }
    };
    let within = options.within.ok_or_else(|| {
        Problem::usage("no remaining lifetime is given").help("pass `--within DURATION`, such as `30d`")
    })?;
    let tokens = expiring(&url, config.as_ref(), filter, within, now)?;
    list::print(&tokens, now, format)?;
    Ok(exit(&tokens))
}

fn exit(soon: &[ListedToken]) -> Exit {
    if soon.is_empty() { Exit::Done } else { Exit::NotAuthentic }
}

/// The valid tokens that expire within that time.
fn expiring(
    url: &str,
    config: Option<&Config>,
    filter: TokenFilter,
    Lifetime(within): Lifetime,
    now: Timestamp,
) -> Outcome<Vec<ListedToken>> {
    let by = now.plus(within);
    let filter = TokenFilter { expires_after: Some(now), expires_by: Some(by), ..filter };
    let mut tokens = list::read(url, config, &filter)?;
    tokens.retain(|token| token.state(now) == TokenState::Active);
    Ok(tokens)
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
        known::issuer(Some(&store), config, issuer).await?;
        store.exposition(issuer, now).await.map_err(|error| refused(&error))
    })
}
