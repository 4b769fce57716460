//! `service-token store restore`: fills an empty store from a backup.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use service_only_store::{BackupSummary, Store};

use super::backup::in_words;
use crate::change::DryRun;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, StoreAndConfig, refused};

const EXAMPLES: &str = "\
Examples:
  service-token store init --store sqlite:restored.db
  service-token store restore backup.jsonl --store sqlite:restored.db

Exit codes: 0 all of it is restored, 2 usage, the store is not empty, or the backup is not complete, 4 the store
cannot be used; nothing was restored.";

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
    dry_run: DryRun,
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
        if options.dry_run.dry_run {
            let store = Store::open(&url).await.map_err(|error| refused(&error))?;
            check_empty(&store).await?;
            return Ok((store.place().to_owned(), attempt(file).await?));
        }
        let store = Store::connect(&url).await.map_err(|error| refused(&error))?;
        Ok((store.place().to_owned(), read(&store, file).await?))
    })?;
    let tried = options.dry_run.dry_run;
    match options.format {
        Format::Json => output::json(&json!({
            "dry_run": tried, "store": place, "rows": summary.rows, "last_revocation": summary.sequence,
        }))?,
        Format::Text => output::lines(&format!(
            "{}{place}: {}",
            if tried { "would restore into " } else { "" },
            in_words(&summary)
        ))?,
    }
    if tried {
        return Ok(Exit::Done);
    }
    output::note("revoke again what was revoked after the backup was made");
    Ok(Exit::Done)
}

/// Restores the backup into a store that is thrown away: that checks all of it.
async fn attempt(file: File) -> Outcome<BackupSummary> {
    let folder = tempfile::tempdir()
        .map_err(|error| Problem::io("create a folder in", &std::env::temp_dir(), &error))?;
    let url = format!("sqlite:{}", folder.path().join("tried.db").display());
    let store = Store::create(&url).await.map_err(|error| refused(&error))?;
    let summary = read(&store, file).await;
    store.close().await;
    summary
}

/// Refuses a store that has content.
pub(super) async fn check_empty(store: &Store) -> Outcome<()> {
    let issuers = store.issuers().await.map_err(|error| refused(&error))?;
    let head = store.head().await.map_err(|error| refused(&error))?;
    if issuers.is_empty() && head.sequence == 0 {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::BadBackup, format!("`{}` is not empty", store.place()))
        .help("create another store with `service-token store init --store URL`"))
}

/// Restores the backup in a file.
pub(super) async fn read(store: &Store, file: File) -> Outcome<BackupSummary> {
    let restored = store.restore(&mut BufReader::new(file)).await;
    restored.map_err(|error| refused(&error).and("nothing was restored"))
}
