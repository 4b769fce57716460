//! `service-token store init`: creates the store, or upgrades the store of an older program.

use clap::Args;
use service_only_store::{Store, StoreError};

use crate::change::DryRun;
use crate::escape;
use crate::exit::Exit;
use crate::output;
use crate::problem::Outcome;
use crate::store::{self, StoreAndConfig};

const EXAMPLES: &str = "\
Examples:
  service-token store init
  service-token store init --store postgres://operator@db/tokens

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
}

pub(crate) fn run(options: &InitOptions) -> Outcome<Exit> {
    let (url, _) = options.store.find()?;
    if options.dry_run.dry_run {
        return preview(&url);
    }
    let store = store::work(Store::create(&url))?;
    output::result(store.place())?;
    Ok(Exit::Done)
}

/// Tells what is there. Missing indexes and tables of the same schema version are added too, and not told here.
fn preview(url: &str) -> Outcome<Exit> {
    let opened = store::run(async { Ok(Store::open(url).await) })?;
    let line = match opened {
        Ok(store) => format!("`{}` is a store already, and keeps its content", store.place()),
        Err(StoreError::Missing { place }) => format!("would create `{place}` with its tables"),
        Err(StoreError::Empty { place }) => format!("would create the tables of `{place}`"),
        Err(StoreError::Older { place, found, known }) => {
            format!("would upgrade the tables of `{place}` from schema {found} to {known}")
        }
        Err(error) => return Err(store::refused(&error)),
    };
    output::result(&escape::one_line(&line))?;
    Ok(Exit::Done)
}
