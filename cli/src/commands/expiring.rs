//! `service-token expiring`: the good tokens that end soon, with an exit code for a timer to act on.

use clap::Args;
use service_only::store::{Store, TokenFilter, TokenState};

use super::{Exit, list};
use crate::config::Lifetime;
use crate::output::Format;
use crate::problem::Outcome;
use crate::store::{self, StoreAndConfig};

const EXAMPLES: &str = "\
Exit codes: 0 none expires within that time, 1 some do, 2 usage, or the store could not be asked.

Examples:
  service-token expiring --within 30d
  service-token expiring --within 7d --format json || notify-the-team";

/// List the good tokens that expire soon; the exit code says whether there are any
///
/// Tokens that are revoked or have expired already are not among them.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExpiringOptions {
    /// How soon, such as `30d`
    #[arg(long, value_name = "DURATION")]
    within: Lifetime,
    #[command(flatten)]
    store: StoreAndConfig,
    #[command(flatten)]
    of: list::Whose,
    /// How results are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &ExpiringOptions) -> Outcome<Exit> {
    let (url, _) = options.store.find()?;
    let now = store::now();
    let within = i64::try_from(options.within.0.as_secs()).unwrap_or(i64::MAX);
    let filter = TokenFilter {
        expires_after: Some(now),
        expires_by: Some(now.saturating_add(within)),
        ..options.of.filter()
    };
    let mut tokens = store::work(async { Store::open(&url).await?.tokens(&filter).await })?;
    tokens.retain(|token| token.state(now) == TokenState::Active);
    list::print(&tokens, now, options.format)?;
    Ok(if tokens.is_empty() { Exit::Done } else { Exit::NotAuthentic })
}
