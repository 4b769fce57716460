//! `service-token list`: lists the recorded tokens and their states.
//!
//! The store sorts by expiry, in both directions. The order by state is three of its lists, one after the other. For any
//! other column, the tokens are sorted in memory, and their number is limited: an index for each column would make each
//! mint slower.

use std::collections::VecDeque;

use clap::Args;
use service_only::clock::Timestamp;
use service_only_store::{ListedToken, Store, TokenFilter, TokenRecord};

use crate::config::Config;
use crate::exit::Exit;
use crate::known;
use crate::output::{self, Cell, Format, Table, Tally};
use crate::problem::{Outcome, Problem};
use crate::store::{self, StoreAndConfig, refused};
use crate::unlisted::Unlisted;

/// The number of tokens that one query reads, and that one table aligns.
const PAGE: u32 = 1_000;

/// The limit of a list for people.
const DEFAULT_LIMIT: u64 = 1_000;

/// How many tokens are sorted in memory. They take about 30 MiB.
const MOST_SORTED: u32 = 50_000;

/// How far the tokens beyond the limit are counted.
const MOST_COUNTED: u32 = 10_000;

const EXAMPLES: &str = "\
Examples:
  service-token list
  service-token list --service orders --active
  service-token list --sort service --limit 20
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
    /// List at most this many tokens, the first ones of the order; a note contains the number of the others
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

/// The order of listed tokens.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Order {
    /// Sort by this column. `expires` and `state` sort any number of tokens. For the other columns, at most 50,000 tokens
    /// may match
    #[arg(long, value_enum, value_name = "COLUMN", default_value_t)]
    sort: SortedBy,
    /// Sort in the opposite direction
    #[arg(long)]
    reverse: bool,
}

/// The columns that sort tokens.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
enum SortedBy {
    /// The earliest expiry first
    #[default]
    Expires,
    /// The earliest issue first
    Issued,
    /// By the name of the service
    Service,
    /// Active, then revoked, then expired
    State,
    /// By the key that signed
    Key,
}

impl Order {
    /// Whether the store has this order. Otherwise the tokens are sorted in memory.
    fn is_of_store(self) -> bool {
        matches!(self.sort, SortedBy::Expires | SortedBy::State)
    }

    /// The lists of the store that make up this order, one after the other.
    fn lists(self, filter: &TokenFilter, now: Timestamp) -> Vec<TokenFilter> {
        // With a filter by state, all tokens that match have one state.
        if self.sort != SortedBy::State || filter.revoked.is_some() {
            return vec![filter.clone()];
        }
        let mut lists =
            vec![active(filter.clone(), now), revoked(filter.clone()), expired(filter.clone(), now)];
        if self.reverse {
            lists.reverse();
        }
        lists
    }

    fn sort(self, tokens: &mut [ListedToken]) {
        match self.sort {
            SortedBy::Expires | SortedBy::State => {}
            SortedBy::Issued => tokens.sort_by_key(|listed| listed.token.issued_at),
            SortedBy::Service => tokens.sort_by(|one, other| one.token.service.cmp(&other.token.service)),
            SortedBy::Key => tokens.sort_by(|one, other| one.token.kid.cmp(&other.token.kid)),
        }
        if self.reverse {
            tokens.reverse();
        }
    }
}

/// List the minted tokens of the registry, sorted by expiry
///
/// The registry does not store the tokens themselves, so the list never contains one. The revocation of a
/// token is deleted 400 days after the token expires. From then on, the list shows the token as `expired`. An
/// unknown service or issuer is an error.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    store: StoreAndConfig,
    #[command(flatten)]
    of: Whose,
    #[command(flatten)]
    limit: Limit,
    #[command(flatten)]
    order: Order,
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
    let listing = Listing { format: options.format, limit: options.limit, order: options.order };
    print(&url, config.as_ref(), &filter, now, listing)?;
    Ok(Exit::Done)
}

impl ListOptions {
    fn filter(&self, now: Timestamp) -> TokenFilter {
        let filter = self.of.filter();
        match (self.active, self.expired, self.revoked) {
            (true, ..) => active(filter, now),
            (_, true, _) => expired(filter, now),
            (.., true) => revoked(filter),
            _ => filter,
        }
    }
}

/// Selects the valid tokens of a filter.
pub(crate) fn active(filter: TokenFilter, now: Timestamp) -> TokenFilter {
    TokenFilter { expires_after: Some(now), revoked: Some(false), ..filter }
}

fn expired(filter: TokenFilter, now: Timestamp) -> TokenFilter {
    TokenFilter { expires_by: Some(now), revoked: Some(false), ..filter }
}

fn revoked(filter: TokenFilter) -> TokenFilter {
    TokenFilter { revoked: Some(true), ..filter }
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
    pub(crate) order: Order,
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
        let order = listing.order;
        let most = listing.limit.of(listing.format).unwrap_or(u64::MAX);
        let mut tokens = Tokens::new(&store, order.lists(filter, now), order);
        let mut pages = Pages { now, format: listing.format, printed: 0, tally: Tally::default() };
        let mut unlisted = Unlisted::of(config, now);
        loop {
            let wanted = u32::try_from(most - pages.printed).unwrap_or(PAGE).min(PAGE);
            let page = tokens.next(wanted).await?;
            if page.is_empty() && pages.printed == 0 {
                known::filter(&store, config, filter).await?;
            }
            let is_last = page.len() < wanted as usize;
            page.iter().for_each(|listed| unlisted.meet(listed));
            pages.write(&page)?;
            if output::is_closed() {
                return Ok(pages.printed);
            }
            if is_last || pages.printed == most {
                let printed = pages.printed;
                pages.end()?;
                unlisted.warn();
                if !is_last {
                    tell_the_rest(&mut tokens, printed).await?;
                }
                return Ok(printed);
            }
        }
    })
}

/// The matching tokens, in their order.
struct Tokens<'a> {
    store: &'a Store,
    order: Order,
    /// What is left to read of the store.
    lists: VecDeque<TokenFilter>,
    /// The last token that was read of the first of these lists.
    last: Option<TokenRecord>,
    /// All tokens, if they were sorted in memory.
    sorted: Option<std::vec::IntoIter<ListedToken>>,
}

impl<'a> Tokens<'a> {
    fn new(store: &'a Store, lists: Vec<TokenFilter>, order: Order) -> Self {
        Self { store, order, lists: lists.into(), last: None, sorted: None }
    }

    /// The next tokens: fewer than `most` only at the end.
    async fn next(&mut self, most: u32) -> Outcome<Vec<ListedToken>> {
        if self.order.is_of_store() {
            return self.read(most).await;
        }
        if self.sorted.is_none() {
            self.sorted = Some(self.all_sorted().await?.into_iter());
        }
        Ok(self.sorted.iter_mut().flatten().take(most as usize).collect())
    }

    async fn all_sorted(&mut self) -> Outcome<Vec<ListedToken>> {
        let mut all = Vec::new();
        loop {
            let page = self.read(PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            all.extend(page);
            if all.len() > MOST_SORTED as usize {
                return Err(Problem::usage(format!(
                    "more than {MOST_SORTED} tokens match, too many to sort by this column"
                ))
                .help("sort by `expires` or `state`, or name a service or a state"));
            }
            if is_last {
                self.order.sort(&mut all);
                return Ok(all);
            }
        }
    }

    /// The next tokens in the order of the store.
    async fn read(&mut self, most: u32) -> Outcome<Vec<ListedToken>> {
        // In memory, the direction is that of the column, and not of the store.
        let from_end = self.order.reverse && self.order.is_of_store();
        let mut found = Vec::new();
        while let Some(filter) = self.lists.front() {
            let wanted = most.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
            if wanted == 0 {
                break;
            }
            let page = match from_end {
                false => self.store.tokens_after(filter, self.last.as_ref(), wanted).await,
                true => self.store.tokens_before(filter, self.last.as_ref(), wanted).await,
            };
            let page = page.map_err(|error| refused(&error))?;
            self.last = page.last().map(|listed| listed.token.clone());
            if page.len() < wanted as usize {
                self.lists.pop_front();
                self.last = None;
            }
            found.extend(page);
        }
        Ok(found)
    }
}

/// Writes pages as they are read.
struct Pages {
    now: Timestamp,
    format: Format,
    printed: u64,
    tally: Tally,
}

impl Pages {
    fn end(self) -> Outcome<()> {
        match self.format {
            Format::Json => output::result("]"),
            Format::Text => {
                self.tally.tell("token", "tokens");
                Ok(())
            }
        }
    }

    fn write(&mut self, tokens: &[ListedToken]) -> Outcome<()> {
        let is_first = self.printed == 0;
        self.printed += tokens.len() as u64;
        match self.format {
            Format::Json => {
                let mut text = String::new();
                for (place, listed) in tokens.iter().enumerate() {
                    text.push(if is_first && place == 0 { '[' } else { ',' });
                    text.push_str(&output::json_text(&store::json(listed, self.now))?);
                }
                if is_first && tokens.is_empty() {
                    text.push('[');
                }
                output::result_bytes(text.as_bytes())
            }
            Format::Text => {
                tokens.iter().for_each(|listed| self.tally.add(listed.state(self.now).as_str()));
                let table = table(tokens, self.now, is_first);
                self.tally.shortened(table.shortens_ids(self.now));
                table.print(self.now)
            }
        }
    }
}

/// Notes how many tokens are beyond the limit.
async fn tell_the_rest(tokens: &mut Tokens<'_>, printed: u64) -> Outcome<()> {
    let rest = tokens.next(MOST_COUNTED + 1).await?.len() as u64;
    let matching = if rest == 1 { "token matches" } else { "tokens match" };
    match rest {
        0 => {}
        rest if rest > u64::from(MOST_COUNTED) => output::note(&format!(
            "more than {MOST_COUNTED} more tokens match; name a service or a state, or pass a larger `--limit`"
        )),
        rest => output::note(&format!("{rest} more {matching}; `--limit {}` lists all", printed + rest)),
    }
    Ok(())
}

fn table(tokens: &[ListedToken], now: Timestamp, with_header: bool) -> Table {
    let mut table = Table::new(["jti", "service", "state", "expires", "kid", "note"]);
    if !with_header {
        table = table.without_header();
    }
    for listed in tokens {
        let token = &listed.token;
        table.row([
            Cell::id(&token.jti),
            Cell::word(&token.service),
            Cell::state(listed.state(now).as_str()),
            Cell::Instant(Some(token.expires_at)),
            Cell::id(&token.kid),
            Cell::text(token.note.as_deref().unwrap_or_default()),
        ]);
    }
    table
}
