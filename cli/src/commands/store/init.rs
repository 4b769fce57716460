//! `service-token store init`: creates the store, or upgrades the store of an older program.

use clap::Args;
use serde_json::json;
use service_only_store::{Store, StoreError};

use crate::change::DryRun;
use crate::escape;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::Outcome;
use crate::store::{self, StoreAndConfig};

const EXAMPLES: &str = "\
Examples:
  service-token store init
  service-token store init --store postgres://operator@db/tokens
  service-token store init --format json

Exit codes: 0 there is a store, 2 usage, 4 it cannot be created.";

/// Create the store: its file, tables and indexes
///
/// A file is readable by its owner alone (0600). An existing store keeps its content, and gets the tables and
/// indexes that an older program did not create; with millions of tokens, that takes minutes and blocks
/// programs that mint.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitOptions {
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &InitOptions) -> Outcome<Exit> {
    let (url, _) = options.store.find()?;
    let found = Found::at(&url)?;
    let dry_run = options.dry_run.dry_run;
    let place = match dry_run {
        true => found.place().to_owned(),
        false => store::work(Store::create(&url))?.place().to_owned(),
    };
    match options.format {
        Format::Json => {
            output::json(&json!({ "dry_run": dry_run, "store": place, "outcome": found.outcome() }))?
        }
        Format::Text if dry_run => output::result(&escape::one_line(&found.sentence()))?,
        Format::Text => output::result(&place)?,
    }
    Ok(Exit::Done)
}

/// What is at the address before. Missing indexes and tables of the same schema version are added too, and not told.
enum Found {
    Store(String),
    Nothing(String),
    NoTables(String),
    Older { place: String, found: i64, known: i64 },
}

impl Found {
    fn at(url: &str) -> Outcome<Self> {
        match store::run(async { Ok(Store::open(url).await) })? {
            Ok(store) => Ok(Self::Store(store.place().to_owned())),
            Err(StoreError::Missing { place }) => Ok(Self::Nothing(place)),
            Err(StoreError::Empty { place }) => Ok(Self::NoTables(place)),
            Err(StoreError::Older { place, found, known }) => Ok(Self::Older { place, found, known }),
            Err(error) => Err(store::refused(&error)),
        }
    }

    fn place(&self) -> &str {
        match self {
            Self::Store(place) | Self::Nothing(place) | Self::NoTables(place) => place,
            Self::Older { place, .. } => place,
        }
    }

    fn outcome(&self) -> &'static str {
        match self {
            Self::Store(_) => "kept",
            Self::Nothing(_) | Self::NoTables(_) => "created",
            Self::Older { .. } => "upgraded",
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Store(place) => format!("`{place}` is a store already, and keeps its content"),
            Self::Nothing(place) => format!("would create `{place}` with its tables"),
            Self::NoTables(place) => format!("would create the tables of `{place}`"),
            Self::Older { place, found, known } => {
                format!("would upgrade the tables of `{place}` from schema {found} to {known}")
            }
        }
    }
}
