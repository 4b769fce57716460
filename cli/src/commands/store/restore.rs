//! `service-token store restore`: fills an empty store from a backup.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use service_only_store::{BackupSummary, Store};

use super::backup::in_words;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};
use crate::store::{self, StoreAndConfig, refused};

const EXAMPLES: &str = "\
Examples:
  service-token store init --store sqlite:restored.db
  service-token store restore backup.jsonl --store sqlite:restored.db

Exit codes: 0 all of it is restored, 2 usage, the store is not empty, the backup is not complete, or the store
could not be written; nothing was restored.";

/// Fill an empty store from a backup
///
/// The store must exist and be empty: `store init` creates it. The whole backup is restored, or nothing. What was
/// written after the backup is lost: revoke again what was revoked since.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RestoreOptions {
    /// File that `store backup` wrote
    file: PathBuf,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &RestoreOptions) -> Outcome<Exit> {
    let (url, _) = options.store.find()?;
    let file = File::open(&options.file).map_err(|error| Problem::io("read", &options.file, &error))?;
    let (place, summary) = store::run(async {
        let store = Store::connect(&url).await.map_err(|error| refused(&error))?;
        Ok((store.place().to_owned(), read(&store, file).await?))
    })?;
    match options.format {
        Format::Json => output::json(&json!({
            "store": place, "rows": summary.rows, "last_revocation": summary.sequence,
        }))?,
        Format::Text => output::lines(&format!("{place}: {}", in_words(&summary)))?,
    }
    output::note("revoke again what was revoked after the backup was made");
    Ok(Exit::Done)
}

/// Restores the backup in a file.
pub(super) async fn read(store: &Store, file: File) -> Outcome<BackupSummary> {
    let restored = store.restore(&mut BufReader::new(file).lines()).await;
    restored.map_err(|error| refused(&error).and("nothing was restored"))
}
