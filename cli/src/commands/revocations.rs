//! `service-token revocations`: lists all revocations by number, also undone ones, with who, when and why.

use clap::Args;
use serde_json::{Value, json};
use service_only::clock::Timestamp;
use service_only_store::{Coverage, NewRevocation, RevocationRecord, Store, Undoing};

use crate::exit::Exit;
use crate::known;
use crate::members;
use crate::output::{self, Cell, Format, Table, Tally};
use crate::problem::Outcome;
use crate::store::{self, StoreAndConfig, refused};
use crate::unlisted;

/// The number of rows that one query reads.
const PAGE: u32 = 2_000;

/// The number of revocations whose tokens are counted: each is a query.
const COUNTED: usize = 1_000;

const EXAMPLES: &str = "\
Examples:
  service-token revocations
  service-token revocations --active --format json";

/// List the revocations of the store by number, including undone ones
///
/// `tokens` is the number of tokens of the registry that a revocation covers; it is counted for the first
/// 1,000 revocations of the list. A revocation is `active`, `undone`, or `replaced` by one of the same name
/// that covers more tokens. The revocation of a token is deleted 400 days after the token expires. An undone
/// one is never deleted.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RevocationsOptions {
    #[command(flatten)]
    store: StoreAndConfig,
    /// Only revocations of this issuer's tokens, services and keys
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Only revocations that are in effect
    #[arg(long)]
    active: bool,
    /// Sort by this column
    #[arg(long, value_enum, value_name = "COLUMN", default_value_t)]
    sort: SortedBy,
    /// Sort in the opposite direction
    #[arg(long)]
    reverse: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The columns that sort revocations.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
enum SortedBy {
    /// The earliest first
    #[default]
    Number,
    /// By the state
    State,
    /// By kind and name
    Name,
    /// By the person who revoked
    By,
}

impl SortedBy {
    fn sort(self, entries: &mut [Entry]) {
        let by = |entry: &Entry| entry.revocation.revoked_by.clone();
        match self {
            Self::Number => {}
            Self::State => entries.sort_by_key(|entry| entry.state),
            Self::Name => entries.sort_by(|one, other| one.target().cmp(&other.target())),
            Self::By => entries.sort_by_key(by),
        }
    }
}

/// One revocation, and its current state.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) number: i64,
    pub(crate) revocation: NewRevocation,
    pub(crate) state: &'static str,
    undone: Option<(i64, Undoing)>,
    /// The tokens of the registry that it covers; `None` beyond the first [`COUNTED`] entries.
    covered: Option<Coverage>,
}

pub(crate) fn run(options: &RevocationsOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let now = store::now();
    let entries = store::run(async {
        let store = Store::open(&url).await.map_err(|error| refused(&error))?;
        let mut entries = read(&store).await?;
        if let Some(issuer) = &options.issuer
            && !entries.iter().any(|entry| entry.revocation.issuer == *issuer)
        {
            known::issuer(&store, config.as_ref(), issuer).await?;
        }
        let is_wanted = |entry: &Entry| {
            options.issuer.as_ref().is_none_or(|issuer| entry.revocation.issuer == *issuer)
                && (!options.active || entry.state == "active")
        };
        entries.retain(is_wanted);
        options.sort.sort(&mut entries);
        if options.reverse {
            entries.reverse();
        }
        for entry in entries.iter_mut().take(COUNTED) {
            let revocation = &entry.revocation;
            let covered = store.coverage(&revocation.issuer, &revocation.target, now).await;
            entry.covered = Some(covered.map_err(|error| refused(&error))?);
        }
        unlisted::warn_of_all(&store, config.as_ref(), options.issuer.as_deref()).await?;
        Ok(entries)
    })?;
    match options.format {
        Format::Json => output::json(&entries.iter().map(|entry| entry.json(now)).collect::<Vec<_>>())?,
        Format::Text => print(&entries, now)?,
    }
    Ok(Exit::Done)
}

/// All revocations, in the order of their numbers.
pub(crate) async fn read(store: &Store) -> Outcome<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut last = 0;
    loop {
        let page = store.revocations_since(last, PAGE).await.map_err(|error| refused(&error))?;
        let Some(end) = page.last() else { break };
        last = end.sequence;
        entries.extend(page.into_iter().map(Entry::active));
    }
    last = 0;
    loop {
        let page = store.past_since(last, PAGE).await.map_err(|error| refused(&error))?;
        let Some(end) = page.last() else { break };
        last = end.revoked.sequence;
        entries.extend(page.into_iter().map(|past| Entry {
            number: past.revoked.sequence,
            revocation: past.revoked.revocation,
            state: if past.undone.is_some() { "undone" } else { "replaced" },
            undone: past.undone,
            covered: None,
        }));
    }
    entries.sort_by_key(|entry| entry.number);
    Ok(entries)
}

impl Entry {
    pub(crate) fn active(record: RevocationRecord) -> Self {
        let RevocationRecord { sequence: number, revocation, .. } = record;
        Self { number, revocation, state: "active", undone: None, covered: None }
    }

    fn target(&self) -> (&'static str, &str) {
        let (kind, name, _) = store::columns(&self.revocation.target);
        (kind, name)
    }

    fn tokens(&self) -> String {
        match self.covered {
            None => String::new(),
            Some(covered) if covered.complete => covered.tokens.to_string(),
            Some(covered) => format!("{}+", covered.tokens),
        }
    }

    pub(crate) fn json(&self, now: Timestamp) -> Value {
        let (kind, name, until) = store::columns(&self.revocation.target);
        json!({
            "number": self.number,
            "state": self.state,
            "kind": kind,
            "name": name,
            "issuer": self.revocation.issuer,
            "until": until.map(members::instant),
            "revoked": members::instant(self.revocation.revoked_at),
            "revoked_by": self.revocation.revoked_by,
            "reason": self.revocation.reason,
            "age_s": now.since(self.revocation.revoked_at).unwrap_or_default().as_secs(),
            "known_tokens": self.covered.map(|covered| covered.tokens),
            "counted_all": self.covered.map(|covered| covered.complete),
            "undone": self.undone.as_ref().map(|(_, undoing)| members::instant(undoing.undone_at)),
            "undone_by": self.undone.as_ref().and_then(|(_, undoing)| undoing.undone_by.clone()),
            "undone_reason": self.undone.as_ref().map(|(_, undoing)| undoing.reason.clone()),
        })
    }
}

fn print(entries: &[Entry], now: Timestamp) -> Outcome<()> {
    let mut table = Table::new([
        "number", "state", "kind", "name", "up to", "issuer", "tokens", "revoked", "by", "reason", "undone",
    ]);
    let mut tally = Tally::default();
    for entry in entries {
        let revocation = &entry.revocation;
        let (kind, name, until) = store::columns(&revocation.target);
        let undone = entry.undone.as_ref().map(|(_, undoing)| {
            let by = undoing.undone_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
            format!("{}{by}: {}", output::relative(undoing.undone_at, now), undoing.reason)
        });
        tally.add(entry.state);
        table.row([
            Cell::word(entry.number.to_string()),
            Cell::state(entry.state),
            Cell::word(kind),
            // The name of a service is a name, and not an id.
            if kind == "service" { Cell::word(name) } else { Cell::id(name) },
            // A token has its expiry here, which tells nothing about the revocation.
            Cell::Instant(until.filter(|_| kind == "service")),
            Cell::word(&revocation.issuer),
            // A revocation of one token covers that one. The column is left out if it is empty.
            Cell::word(if kind == "token" { String::new() } else { entry.tokens() }),
            Cell::Instant(Some(revocation.revoked_at)),
            Cell::word(revocation.revoked_by.as_deref().unwrap_or_default()),
            Cell::text(revocation.reason.as_deref().unwrap_or_default()),
            Cell::text(undone.unwrap_or_default()),
        ]);
    }
    tally.shortened(table.shortens_ids(now));
    table.print(now)?;
    tally.tell("revocation", "revocations");
    Ok(())
}
