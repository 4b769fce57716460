//! `service-token store move`: copies a store into an empty one, such as from SQLite to PostgreSQL.

use std::io::Seek as _;

use clap::Args;
use serde_json::json;
use service_only_store::{BackupSummary, Store};

use super::{backup, restore};
use crate::change::DryRun;
use crate::escape;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, StoreAndConfig, StoreUrl, refused};

const EXAMPLES: &str = "\
Examples:
  service-token store init --store postgres://operator@db/tokens
  service-token store move --to postgres://operator@db/tokens

Exit codes: 0 the new store has everything, 2 usage, or the new store is not empty, 4 one of them cannot be
used, 5 the old store changed meanwhile.";

/// Copy the store into an empty one, such as from SQLite to PostgreSQL
///
/// Stop the programs that mint, revoke and rotate first. The new store must exist and be empty: `store init`
/// creates it. The old store does not change: name the new one in the configuration and in each verifier, then
/// delete the old one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MoveOptions {
    /// Address of the new store, `sqlite:PATH` or `postgres://USER@HOST/DATABASE`
    #[arg(long, value_name = "URL")]
    to: StoreUrl,
    #[command(flatten)]
    dry_run: DryRun,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &MoveOptions) -> Outcome<Exit> {
    let (url, _) = options.store.find()?;
    let to = options.to.warned();
    let (from, to, summary) = store::run(async {
        let source = Store::open(&url).await.map_err(|error| refused(&error))?;
        if options.dry_run.dry_run {
            let target = Store::open(to).await.map_err(|error| refused(&error))?;
            restore::check_empty(&target).await?;
            let summary = source.back_up(&mut |_| Ok(())).await.map_err(|error| refused(&error))?;
            return Ok((source.place().to_owned(), target.place().to_owned(), summary));
        }
        let target = Store::connect(to).await.map_err(|error| refused(&error))?;
        let summary = copy(&source, &target).await?;
        Ok((source.place().to_owned(), target.place().to_owned(), summary))
    })?;
    let tried = options.dry_run.dry_run;
    match options.format {
        Format::Json => output::json(&json!({
            "dry_run": tried, "from": from, "to": to, "rows": summary.rows, "last_revocation": summary.sequence,
        }))?,
        Format::Text => output::lines(&format!(
            "{}{to}: {}",
            if tried { "would copy into " } else { "" },
            backup::in_words(&summary)
        ))?,
    }
    if tried {
        return Ok(Exit::Done);
    }
    output::note(&escape::one_line(&format!(
        "write `{to}` into the configuration and into each verifier, then delete `{from}`"
    )));
    Ok(Exit::Done)
}

async fn copy(source: &Store, target: &Store) -> Outcome<BackupSummary> {
    // Unnamed and readable by this user alone: the system removes it, also after a kill.
    let unwritten = |error| Problem::new(ProblemCode::Io, format!("cannot write a temporary file: {error}"));
    let mut file = tempfile::tempfile().map_err(unwritten)?;
    let summary = backup::write(source, &file).await?;
    file.rewind().map_err(unwritten)?;
    restore::read(target, file).await?;
    // Everything is read once more, which also finds a change during the copy.
    let now = source.back_up(&mut |_| Ok(())).await.map_err(|error| refused(&error))?;
    if now != summary {
        let reason =
            format!("`{}` changed while it was copied, and the new store lacks the change", source.place());
        return Err(Problem::new(ProblemCode::Busy, reason)
            .help("stop the programs that write, and move again into another empty store"));
    }
    Ok(summary)
}
