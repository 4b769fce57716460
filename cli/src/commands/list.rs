//! `service-token list`: lists the recorded tokens and their states.

use clap::Args;
use comfy_table::{Table, presets::NOTHING};
use service_only::clock::Timestamp;
use service_only_store::{ListedToken, Store, TokenFilter, TokenRecord};

use crate::config::Config;
use crate::escape;
use crate::exit::Exit;
use crate::known;
use crate::members;
use crate::output::{self, Format};
use crate::problem::Outcome;
use crate::store::{self, StoreAndConfig, refused};

/// The number of tokens that one query reads, and that one table aligns.
const PAGE: u32 = 1_000;

/// The limit of a list for people.
const DEFAULT_LIMIT: u64 = 1_000;

/// How far the tokens beyond the limit are counted.
const MOST_COUNTED: u32 = 10_000;

const EXAMPLES: &str = "\
Examples:
  service-token list
  service-token list --service orders --active
  service-token list --limit 20
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

/// The number of tokens to list.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// List at most this many tokens, those that expire first; a note contains the number of the others
    /// [default: 1000 as text, all as JSON]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

impl Limit {
    /// JSON is for programs, which would take a part for the whole.
    fn of(self, format: Format) -> Option<u64> {
        self.limit.or((format == Format::Text).then_some(DEFAULT_LIMIT))
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
    #[command(flatten)]
    limit: Limit,
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
    let now = store::now();
    let filter = options.filter(now);
    print(&url, config.as_ref(), &filter, now, Listing { format: options.format, limit: options.limit })?;
    Ok(Exit::Done)
}

impl ListOptions {
    fn filter(&self, now: Timestamp) -> TokenFilter {
        let filter = self.of.filter();
        match (self.active, self.expired, self.revoked) {
            (true, ..) => active(filter, now),
            (_, true, _) => TokenFilter { expires_by: Some(now), revoked: Some(false), ..filter },
            (.., true) => TokenFilter { revoked: Some(true), ..filter },
            _ => filter,
        }
    }
}

/// Selects the valid tokens of a filter.
pub(crate) fn active(filter: TokenFilter, now: Timestamp) -> TokenFilter {
    TokenFilter { expires_after: Some(now), revoked: Some(false), ..filter }
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

/// How a list is written.
#[derive(Clone, Copy)]
pub(crate) struct Listing {
    pub(crate) format: Format,
    pub(crate) limit: Limit,
}

/// Prints one line per token, or one JSON array, page by page. Returns how many tokens it printed.
pub(crate) fn print(
    url: &str,
    config: Option<&Config>,
    filter: &TokenFilter,
    now: Timestamp,
    listing: Listing,
) -> Outcome<u64> {
    store::run(async {
        let store = Store::open(url).await.map_err(|error| refused(&error))?;
        let most = listing.limit.of(listing.format).unwrap_or(u64::MAX);
        let mut printed = 0;
        let mut last: Option<TokenRecord> = None;
        loop {
            let wanted = u32::try_from(most - printed).unwrap_or(PAGE).min(PAGE);
            let page = store.tokens_after(filter, last.as_ref(), wanted).await;
            let page = page.map_err(|error| refused(&error))?;
            if page.is_empty() && printed == 0 {
                known::filter(&store, config, filter).await?;
            }
            print_page(&page, now, listing.format, printed == 0)?;
            printed += page.len() as u64;
            let is_last = page.len() < wanted as usize;
            last = page.into_iter().next_back().map(|listed| listed.token);
            if is_last || printed == most {
                end_pages(listing.format)?;
                let full = last.filter(|_| !is_last);
                return match full {
                    Some(last) => tell_the_rest(&store, filter, &last, printed).await.map(|()| printed),
                    None => Ok(printed),
                };
            }
        }
    })
}

fn print_page(tokens: &[ListedToken], now: Timestamp, format: Format, is_first: bool) -> Outcome<()> {
    match format {
        Format::Json => {
            let mut text = String::new();
            for (place, listed) in tokens.iter().enumerate() {
                text.push(if is_first && place == 0 { '[' } else { ',' });
                text.push_str(&output::json_text(&store::json(listed, now))?);
            }
            if is_first && tokens.is_empty() {
                text.push('[');
            }
            output::result_bytes(text.as_bytes())
        }
        Format::Text if tokens.is_empty() => Ok(()),
        Format::Text => output::lines(&table(tokens, now, is_first).trim_fmt()),
    }
}

fn end_pages(format: Format) -> Outcome<()> {
    match format {
        Format::Json => output::result("]"),
        Format::Text => Ok(()),
    }
}

/// Notes how many tokens are beyond the limit.
async fn tell_the_rest(store: &Store, filter: &TokenFilter, last: &TokenRecord, printed: u64) -> Outcome<()> {
    let rest = store.tokens_after(filter, Some(last), MOST_COUNTED + 1).await;
    let rest = rest.map_err(|error| refused(&error))?.len() as u64;
    let tokens = if rest == 1 { "token matches" } else { "tokens match" };
    match rest {
        0 => {}
        rest if rest > u64::from(MOST_COUNTED) => output::note(&format!(
            "more than {MOST_COUNTED} more tokens match; name a service or a state, or pass a larger `--limit`"
        )),
        rest => output::note(&format!("{rest} more {tokens}; `--limit {}` lists all", printed + rest)),
    }
    Ok(())
}

const HEADER: [&str; 6] = ["jti", "service", "state", "expires", "kid", "note"];

fn table(tokens: &[ListedToken], now: Timestamp, with_header: bool) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if with_header {
        table.set_header(HEADER);
    }
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
