//! `service-token keys`: lists the signing keys of the journal, with state, age and the services that still need them.

use clap::Args;
use serde_json::{Value, json};
use service_only::clock::Timestamp;
use service_only::keys::KeyState;
use service_only_store::rotation::Journal;
use service_only_store::{KeyRecord, Store};

use crate::config::Config;
use crate::exit::Exit;
use crate::known;
use crate::members;
use crate::output::{self, Cell, Format, Table, Tally};
use crate::problem::Outcome;
use crate::store::{self, StoreAndConfig, refused};
use crate::unlisted;

const EXAMPLES: &str = "\
Examples:
  service-token keys
  service-token keys --sort used --reverse
  service-token keys --format json

Exit codes: 0 done, 2 usage, 4 the store cannot be used, 9 an unknown issuer.";

/// List the signing keys of the store, with state and age
///
/// A key is `prepared`, `active`, `retiring` or `retired`. The list tells how many services have a valid token of
/// each key, until when, and when a verifier last saw one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct KeysOptions {
    #[command(flatten)]
    store: StoreAndConfig,
    /// Only keys of this issuer
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
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

/// The columns that sort keys.
#[derive(Copy, Clone, Debug, Default, clap::ValueEnum)]
enum SortedBy {
    /// By issuer, the oldest key first
    #[default]
    Age,
    /// Prepared, active, retiring, then retired
    State,
    /// By the key id
    Kid,
    /// By the end of the key's tokens, a key without one first
    Until,
    /// By the last use, a key without one first
    Used,
}

impl SortedBy {
    fn sort(self, keys: &mut [Listed]) {
        match self {
            Self::Age => {}
            Self::State => keys.sort_by_key(|listed| match listed.key.state {
                KeyState::Prepared => 0,
                KeyState::Active => 1,
                KeyState::Retiring => 2,
                KeyState::Retired => 3,
            }),
            Self::Kid => keys.sort_by(|one, other| one.key.kid.cmp(&other.key.kid)),
            Self::Until => keys.sort_by_key(|listed| listed.until),
            Self::Used => keys.sort_by_key(|listed| listed.last_used),
        }
    }
}

/// One key, and what the registry knows of its tokens.
#[derive(Clone)]
pub(crate) struct Listed {
    pub(crate) key: KeyRecord,
    pub(crate) is_revoked: bool,
    /// The services with a valid token of it.
    pub(crate) services: Vec<String>,
    /// When the last of these tokens expires.
    pub(crate) until: Option<Timestamp>,
    pub(crate) last_used: Option<Timestamp>,
    /// When its planned life ends, while it signs.
    pub(crate) ends: Option<Timestamp>,
}

pub(crate) fn run(options: &KeysOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let now = store::now();
    let mut keys = store::run(async {
        let store = Store::open(&url).await.map_err(|error| refused(&error))?;
        let (config, issuer) = (config.as_ref(), options.issuer.as_deref());
        let keys = read(&store, config, issuer, now).await?;
        unlisted::warn_of_all(&store, config, issuer).await?;
        Ok(keys)
    })?;
    options.sort.sort(&mut keys);
    if options.reverse {
        keys.reverse();
    }
    if keys.is_empty() {
        output::note("the journal has no key; the first `service-token rotate` registers the key that signs");
    }
    match options.format {
        Format::Json => output::json(&keys.iter().map(|key| key.json(now)).collect::<Vec<_>>())?,
        Format::Text => print(&keys, now)?,
    }
    Ok(Exit::Done)
}

/// The keys of all issuers, or of one that is known.
pub(crate) async fn read(
    store: &Store,
    config: Option<&Config>,
    issuer: Option<&str>,
    now: Timestamp,
) -> Outcome<Vec<Listed>> {
    let mut keys = Vec::new();
    for (issuer, journal) in journals(store, config, issuer).await? {
        let config = config.filter(|config| config.issuer == issuer);
        keys.extend(journal.keys.iter().map(|key| Listed::new(key, &journal, config, now)));
    }
    Ok(keys)
}

/// The journals of all issuers, or of one that is known.
pub(super) async fn journals(
    store: &Store,
    config: Option<&Config>,
    issuer: Option<&str>,
) -> Outcome<Vec<(String, Journal)>> {
    let issuers = match issuer {
        Some(issuer) => {
            known::issuer(store, config, issuer).await?;
            vec![issuer.to_owned()]
        }
        None => store.issuers().await.map_err(|error| refused(&error))?,
    };
    let mut journals = Vec::new();
    for issuer in issuers {
        let journal = store.journal(&issuer).await.map_err(|error| refused(&error))?;
        journals.push((issuer, journal));
    }
    Ok(journals)
}

impl Listed {
    fn new(key: &KeyRecord, journal: &Journal, config: Option<&Config>, now: Timestamp) -> Self {
        let held = journal.holders.iter().filter(|holder| holder.kid == key.kid && holder.last_expiry > now);
        let used = journal.uses.iter().filter(|used| used.kid == key.kid);
        let life = config.map(|config| config.rotation.settings.key_life);
        let ends = key.expires_at.or_else(|| Some(key.active_at?.plus(life?)));
        Self {
            is_revoked: journal.revoked.contains(&key.kid),
            services: held.clone().map(|holder| holder.service.clone()).collect(),
            until: held.map(|holder| holder.last_expiry).max(),
            last_used: used.map(|used| used.last_seen).max(),
            ends: ends.filter(|_| key.state == KeyState::Active),
            key: key.clone(),
        }
    }

    /// When it entered its state.
    fn since(&self) -> Option<Timestamp> {
        match self.key.state {
            KeyState::Prepared => Some(self.key.prepared_at),
            KeyState::Active => self.key.active_at,
            KeyState::Retiring => self.key.retiring_at,
            KeyState::Retired => self.key.retired_at,
        }
    }

    pub(crate) fn json(&self, now: Timestamp) -> Value {
        let key = &self.key;
        json!({
            "kid": key.kid,
            "issuer": key.issuer,
            "algorithm": key.algorithm,
            "state": key.state.as_str(),
            "revoked": self.is_revoked,
            "age_s": now.since(key.prepared_at).unwrap_or_default().as_secs(),
            "prepared": members::instant(key.prepared_at),
            "since": self.since().map(members::instant),
            "ends": self.ends.map(members::instant),
            "services": self.services,
            "tokens_until": self.until.map(members::instant),
            "last_used": self.last_used.map(members::instant),
            "file": key.file,
        })
    }
}

fn print(keys: &[Listed], now: Timestamp) -> Outcome<()> {
    let mut table = Table::new([
        "kid",
        "state",
        "revoked",
        "algorithm",
        "issuer",
        "age",
        "since",
        "ends",
        "services",
        "tokens until",
        "last used",
    ]);
    let mut tally = Tally::default();
    for listed in keys {
        let key = &listed.key;
        tally.add(key.state.as_str());
        table.row([
            Cell::id(&key.kid),
            Cell::state(key.state.as_str()),
            Cell::state(if listed.is_revoked { "revoked" } else { "" }),
            Cell::word(&key.algorithm),
            Cell::word(&key.issuer),
            Cell::word(age(key.prepared_at, now)),
            Cell::Instant(listed.since()),
            Cell::Instant(listed.ends),
            Cell::word(listed.services.len().to_string()),
            Cell::Instant(listed.until),
            Cell::Instant(listed.last_used),
        ]);
    }
    tally.shortened(table.shortens_ids(now));
    table.print(now)?;
    tally.tell("key", "keys");
    Ok(())
}

/// How long ago, such as `80 d`.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    let relative = output::relative(at, now);
    relative.strip_suffix(" ago").unwrap_or(&relative).to_owned()
}
