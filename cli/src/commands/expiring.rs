//! `service-token expiring`: the good tokens that end soon, with an exit code for a timer to act on, or
//! what there is of all tokens and keys, for Prometheus to act on.

use clap::Args;
use service_only::store::{ListedToken, Store, TokenFilter, TokenState};

use super::{Exit, list};
use crate::config::Lifetime;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};
use crate::store::{self, StoreAndConfig};

const EXAMPLES: &str = "\
Exit codes: 0 none expires within that time, 1 some do, 2 usage, or the store could not be asked.

Examples:
  service-token expiring --within 30d
  service-token expiring --within 7d --format json || notify-the-team
  service-token expiring --format prometheus > service-only.prom.new && mv service-only.prom.new service-only.prom";

/// List the good tokens that expire soon; the exit code says whether there are any
///
/// Tokens that are revoked or have expired already are not among them. For Prometheus, the tokens of one
/// issuer are counted by the time that they have left, and its keys have their state and their age.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExpiringOptions {
    /// How soon, such as `30d`; without it, what is written for Prometheus has exit code 0
    #[arg(long, value_name = "DURATION")]
    within: Option<Lifetime>,
    #[command(flatten)]
    store: StoreAndConfig,
    #[command(flatten)]
    of: list::Whose,
    /// How results are written
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
            filter.issuer = filter.issuer.or(config.map(|config| config.issuer));
            let text = exposition(&url, &filter, now)?;
            let soon = options.within.map(|within| expiring(&url, filter, within, now)).transpose()?;
            output::lines(text.trim_end())?;
            return Ok(exit(&soon.unwrap_or_default()));
        }
    };
    let within = options.within.ok_or_else(|| {
        Problem::usage("how soon is not said").help("pass `--within DURATION`, such as `30d`")
    })?;
    let tokens = expiring(&url, filter, within, now)?;
    list::print(&tokens, now, format)?;
    Ok(exit(&tokens))
}

fn exit(soon: &[ListedToken]) -> Exit {
    if soon.is_empty() { Exit::Done } else { Exit::NotAuthentic }
}

/// The good tokens that end within that time.
fn expiring(url: &str, filter: TokenFilter, within: Lifetime, now: i64) -> Outcome<Vec<ListedToken>> {
    let within = i64::try_from(within.0.as_secs()).unwrap_or(i64::MAX);
    let filter =
        TokenFilter { expires_after: Some(now), expires_by: Some(now.saturating_add(within)), ..filter };
    let mut tokens = store::work(async { Store::open(url).await?.tokens(&filter).await })?;
    tokens.retain(|token| token.state(now) == TokenState::Active);
    Ok(tokens)
}

/// All tokens and keys of an issuer: an alert is about each service, and says so by itself.
fn exposition(url: &str, filter: &TokenFilter, now: i64) -> Outcome<String> {
    if filter.service.is_some() {
        return Err(Problem::usage("what is written for Prometheus is of every service")
            .help("leave `--service` out; each line has its own"));
    }
    let issuer = filter.issuer.as_deref().ok_or_else(|| {
        Problem::usage("no issuer").help("pass `--issuer ISSUER`, whose tokens and keys it is")
    })?;
    store::work(async { Store::open(url).await?.exposition(issuer, now).await })
}
