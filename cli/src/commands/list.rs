//! `service-token list`: lists the recorded tokens and their states.

use clap::Args;
use comfy_table::{Table, presets::NOTHING};
use service_only::clock::Timestamp;
use service_only_store::{ListedToken, Store, TokenFilter, TokenState};

use crate::config::Config;
use crate::escape;
use crate::exit::Exit;
use crate::known;
use crate::members;
use crate::output::{self, Format};
use crate::problem::Outcome;
use crate::store::{self, StoreAndConfig, refused};

const EXAMPLES: &str = "\
Examples:
  service-token list
  service-token list --service orders --active
  service-token list --revoked --format json";

/// Whose tokens are wanted.
#[derive(Args, Clone, Debug)]
pub(crate) struct Whose {
    /// Only tokens of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only tokens of this issuer
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
}

impl Whose {
    pub(crate) fn filter(&self) -> TokenFilter {
        TokenFilter { issuer: self.issuer.clone(), service: self.service.clone(), ..TokenFilter::default() }
    }
}

/// List the minted tokens of the registry, sorted by expiry
///
/// The registry does not store the tokens themselves, so the list never contains one. The revocation of
/// a token is deleted some minutes after the token expires; the token is `expired` then. An unknown
/// service or issuer is an error.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    store: StoreAndConfig,
    #[command(flatten)]
    of: Whose,
    /// Only valid tokens
    #[arg(long, group = "state")]
    active: bool,
    /// Only expired tokens
    #[arg(long, group = "state")]
    expired: bool,
    /// Only revoked tokens, including those of a revoked service or key
    #[arg(long, group = "state")]
    revoked: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &ListOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let filter = options.of.filter();
    let now = store::now();
    let mut tokens = read(&url, config.as_ref(), &filter)?;
    let wanted = [
        (options.active, TokenState::Active),
        (options.expired, TokenState::Expired),
        (options.revoked, TokenState::Revoked),
    ];
    if let Some((_, state)) = wanted.into_iter().find(|(wanted, _)| *wanted) {
        tokens.retain(|token| token.state(now) == state);
    }
    print(&tokens, now, options.format)?;
    Ok(Exit::Done)
}

/// The matching tokens, after a check that the store or the configuration knows the filter's names.
pub(crate) fn read(url: &str, config: Option<&Config>, filter: &TokenFilter) -> Outcome<Vec<ListedToken>> {
    store::run(async {
        let store = Store::open(url).await.map_err(|error| refused(&error))?;
        let tokens = store.tokens(filter).await.map_err(|error| refused(&error))?;
        if tokens.is_empty() {
            known::filter(&store, config, filter).await?;
        }
        Ok(tokens)
    })
}

/// Prints one line per token, or one JSON array.
pub(crate) fn print(tokens: &[ListedToken], now: Timestamp, format: Format) -> Outcome<()> {
    match format {
        Format::Json => output::json(&tokens.iter().map(|token| store::json(token, now)).collect::<Vec<_>>()),
        Format::Text if tokens.is_empty() => Ok(()),
        Format::Text => output::lines(&table(tokens, now).trim_fmt()),
    }
}

fn table(tokens: &[ListedToken], now: Timestamp) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(["jti", "service", "state", "expires", "kid", "note"]);
    for listed in tokens {
        let token = &listed.token;
        let note = escape::one_line(token.note.as_deref().unwrap_or_default());
        table.add_row([
            escape::one_line(&token.jti),
            escape::one_line(&token.service),
            listed.state(now).as_str().to_owned(),
            members::instant(token.expires_at),
            escape::one_line(&token.kid),
            note,
        ]);
    }
    table
}
