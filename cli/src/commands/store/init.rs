//! `service-token store init`: creates the store, or upgrades the store of an older program.

use clap::Args;
use service_only_store::Store;

use crate::exit::Exit;
use crate::output;
use crate::problem::Outcome;
use crate::store::{self, StoreAndConfig};

const EXAMPLES: &str = "\
Examples:
  service-token store init
  service-token store init --store postgres://operator@db/tokens

Exit codes: 0 there is a store, 2 usage, or it cannot be created.";

/// Create the store: its file, tables and indexes
///
/// A file is readable by its owner alone (0600). An existing store keeps its content, and gets the tables and
/// indexes that an older program did not create; with millions of tokens, that takes minutes and blocks
/// programs that mint.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InitOptions {
    #[command(flatten)]
    store: StoreAndConfig,
}

pub(crate) fn run(options: &InitOptions) -> Outcome<Exit> {
    let (url, _) = options.store.find()?;
    let store = store::work(Store::create(&url))?;
    output::result(store.place())?;
    Ok(Exit::Done)
}
