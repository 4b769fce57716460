//! `service-token audit export` and `checkpoint`: the whole tree, or its signed root, for another place.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use service_only_evidence::tree::{self, Checkpoint, LogPublicKey};

use super::{TreeOptions, refused};
use crate::change::DryRun;
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};

const EXPORT_EXAMPLES: &str = "\
Examples:
  service-token audit export static --audit audit.jsonl --key audit.key.pub";

/// Export the tree with its records as a static log (C2SP tlog-tiles), for other tools
#[derive(Args, Debug)]
#[command(after_help = EXPORT_EXAMPLES)]
pub(in crate::commands::audit) struct ExportOptions {
    /// New folder for the export
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// The log; its rotated files are found beside it
    #[arg(long, value_name = "FILE")]
    audit: PathBuf,
    #[command(flatten)]
    tree: TreeOptions,
    #[command(flatten)]
    dry_run: DryRun,
}

pub(in crate::commands::audit) fn export(options: &ExportOptions) -> Outcome<Exit> {
    let key = options.tree.key(&options.audit)?;
    if options.dry_run.dry_run {
        let (_, checkpoint) = last_checkpoint(&options.tree, &options.audit, &key)?;
        check_new(&options.to)?;
        output::lines(&format!("would export {} records to {}", checkpoint.size, options.to.display()))?;
        return Ok(Exit::Done);
    }
    let entries =
        tree::export(&options.audit, options.tree.tree.as_deref(), &key, &options.to).map_err(refused)?;
    output::note(&format!("{entries} records were exported to `{}`", options.to.display()));
    Ok(Exit::Done)
}

/// Checks that the folder of an export does not exist, or is empty.
fn check_new(to: &Path) -> Outcome<()> {
    if !to.exists() {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(to).map_err(|error| Problem::io("read", to, &error))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Problem::new(ProblemCode::Io, format!("`{}` is not empty", to.display()))
            .help("name a new folder")),
    }
}

/// The text of the last signed checkpoint, and what it says.
fn last_checkpoint(tree: &TreeOptions, log: &Path, key: &LogPublicKey) -> Outcome<(String, Checkpoint)> {
    let path = tree.folder(log).join("checkpoint");
    let text = std::fs::read_to_string(&path).map_err(|error| Problem::io("read", &path, &error))?;
    let checkpoint = Checkpoint::read(&text, key).map_err(|error| {
        Problem::new(ProblemCode::BadKey, error.to_string()).at(format!("`{}`", path.display()))
    })?;
    Ok((text, checkpoint))
}

const CHECKPOINT_EXAMPLES: &str = "\
Examples:
  service-token audit checkpoint audit.jsonl --key audit.key.pub > kept.checkpoint";

/// Print the last signed checkpoint, to keep it elsewhere
#[derive(Args, Debug)]
#[command(after_help = CHECKPOINT_EXAMPLES)]
pub(in crate::commands::audit) struct CheckpointOptions {
    /// The log
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    tree: TreeOptions,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(in crate::commands::audit) fn checkpoint(options: &CheckpointOptions) -> Outcome<Exit> {
    let key = options.tree.key(&options.file)?;
    let (text, checkpoint) = last_checkpoint(&options.tree, &options.file, &key)?;
    match options.format {
        Format::Text => output::lines(text.trim_end())?,
        Format::Json => output::json(&json!({
            "origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root(),
            "lost": checkpoint.lost, "foreign": checkpoint.foreign, "closed": checkpoint.closed, "note": text,
        }))?,
    }
    Ok(Exit::Done)
}
