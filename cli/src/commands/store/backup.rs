//! `service-token store backup`: writes the content of a store into a new file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use service_only_store::{BackupSummary, Store};

use crate::change::DryRun;
use crate::exit::Exit;
use crate::new_file::{self, Overwrite, StagedFile};
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, StoreAndConfig, refused};

const EXAMPLES: &str = "\
Examples:
  service-token store backup backup.jsonl
  service-token store backup backup.jsonl --format json

Exit codes: 0 the backup is complete, 2 usage, or the file is there already, 4 the store
cannot be used.";

/// Write all tokens, revocations and keys of the store into a new file
///
/// The file has one JSON line for each row, is the same for SQLite and PostgreSQL, and is readable by its owner
/// alone (0600). It has no token and no private key. Other programs can read and write meanwhile.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct BackupOptions {
    /// File to write, which must not exist
    file: PathBuf,
    #[command(flatten)]
    store: StoreAndConfig,
    #[command(flatten)]
    dry_run: DryRun,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &BackupOptions) -> Outcome<Exit> {
    let (url, _) = options.store.find()?;
    let path = &options.file;
    if options.dry_run.dry_run {
        new_file::check_targets(&[path.as_path()], Overwrite::Refuse)?;
        let summary = store::run(async {
            let store = Store::open(&url).await.map_err(|error| refused(&error))?;
            store.back_up(&mut |_| Ok(())).await.map_err(|error| refused(&error))
        })?;
        print(&summary, path, options)?;
        return Ok(Exit::Done);
    }
    // Opens the store first: a mistyped address leaves no file.
    let summary = store::run(async {
        let store = Store::open(&url).await.map_err(|error| refused(&error))?;
        let staged = StagedFile::new(path)
            .map_err(|problem| problem.help("name a new file; a backup never replaces another"))?;
        let summary = write(&store, staged.file()).await?;
        staged.publish()?;
        Ok(summary)
    })?;
    print(&summary, path, options)?;
    Ok(Exit::Done)
}

/// Writes a backup into a file, and waits until it is on the disk.
pub(super) async fn write(store: &Store, file: &File) -> Outcome<BackupSummary> {
    let mut writer = BufWriter::new(file);
    let summary = store.back_up(&mut |line| writer.write_all(line.as_bytes())).await;
    let summary = summary.map_err(|error| refused(&error))?;
    let flushed = writer.flush().and_then(|()| writer.get_ref().sync_all());
    flushed.map_err(|error| Problem::new(ProblemCode::Io, format!("cannot write the backup: {error}")))?;
    Ok(summary)
}

fn print(summary: &BackupSummary, path: &Path, options: &BackupOptions) -> Outcome<()> {
    let dry_run = options.dry_run.dry_run;
    match options.format {
        Format::Json => output::json(&json!({
            "dry_run": dry_run, "file": path.display().to_string(), "rows": summary.rows, "last_revocation": summary.sequence,
        })),
        Format::Text => {
            let would = if dry_run { "would write " } else { "" };
            output::lines(&format!("{would}{}: {}", path.display(), in_words(summary)))
        }
    }
}

/// The numbers of tokens, revocations and keys.
pub(super) fn in_words(summary: &BackupSummary) -> String {
    let count = |table: &str| summary.rows.get(table).copied().unwrap_or(0);
    format!("{} tokens, {} revocations, {} keys", count("tokens"), count("revocations"), count("keys"))
}
