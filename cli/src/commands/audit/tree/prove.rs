//! `service-token audit prove` and `check`: one record with its proof, for a person who does not have the log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use service_only_evidence::read::{Place, Record};
use service_only_evidence::tree::{self, ProofError};
use zeroize::Zeroizing;

use super::{TreeOptions, public_key, refused};
use crate::change::{self, DryRun};
use crate::commands::audit::files;
use crate::escape;
use crate::exit::Exit;
use crate::key_file;
use crate::named;
use crate::new_file::{self, NewFile, Overwrite};
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};

const PROVE_EXAMPLES: &str = "\
Examples:
  service-token audit prove 019b76da-0c1e-7a52-8b6e-2f7c0d9e4a11 --audit audit.jsonl --out evidence
  service-token audit check evidence.proof evidence.record --key audit.key.pub";

/// Prove that one record is in the log, for a person who does not have the log
///
/// Writes the record and its proof (C2SP tlog-proof). `audit check` and other tools verify them.
#[derive(Args, Debug)]
#[command(after_help = PROVE_EXAMPLES)]
pub(in crate::commands::audit) struct ProveOptions {
    /// Id of the record, or a unique beginning of it
    #[arg(value_name = "ID")]
    id: String,
    /// The log; its rotated files are found beside it
    #[arg(long, value_name = "FILE")]
    audit: PathBuf,
    /// Writes `NAME.proof` and `NAME.record` [default: the id]
    #[arg(long, value_name = "NAME")]
    out: Option<PathBuf>,
    #[command(flatten)]
    tree: TreeOptions,
    /// Replace existing files
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    dry_run: DryRun,
}

/// The length of an id, a UUID.
const WHOLE: usize = 36;

pub(in crate::commands::audit) fn prove(options: &ProveOptions) -> Outcome<Exit> {
    let key = options.tree.key(&options.audit)?;
    let id = whole(&options.audit, options.id.trim_start_matches("urn:uuid:"))?;
    let proof = tree::prove(&options.audit, options.tree.tree.as_deref(), &key, &id).map_err(refused)?;
    let name = options.out.clone().unwrap_or_else(|| PathBuf::from(escape::one_line(&id)));
    let with = |extension: &str| {
        let mut name = name.clone().into_os_string();
        name.push(extension);
        PathBuf::from(name)
    };
    let overwrite = Overwrite::from_force(options.force);
    if options.dry_run.dry_run {
        let targets = [with(".record"), with(".proof")];
        let targets = targets.each_ref().map(PathBuf::as_path);
        new_file::check_targets(&targets, overwrite)?;
        return change::preview(&targets, Format::Text).map(|()| Exit::Done);
    }
    let files = [
        NewFile::secret(with(".record"), Zeroizing::new(proof.line)),
        NewFile::secret(with(".proof"), Zeroizing::new(proof.text.into_bytes())),
    ];
    new_file::write_all(&files, overwrite)?;
    output::result(&format!("{} {}", with(".proof").display(), with(".record").display()))?;
    Ok(Exit::Done)
}

/// The whole id of a record.
fn whole(log: &Path, id: &str) -> Outcome<String> {
    if id.len() >= WHOLE {
        return Ok(id.to_owned());
    }
    let files = tree::files_of(log).map_err(|error| Problem::io("list the files of", log, &error))?;
    let mut known = BTreeSet::new();
    if !files.is_empty() {
        files::read(&files, &mut |_: Place<'_>, record: &Record<'_>| {
            if named::is_candidate(&record.id, id, known.len()) {
                known.insert(record.id.to_string());
            }
        })?;
    }
    named::record(id, known)
}

/// Check the proof of one record, without the log
#[derive(Args, Debug)]
#[command(after_help = PROVE_EXAMPLES)]
pub(in crate::commands::audit) struct CheckProofOptions {
    /// The proof
    #[arg(value_name = "PROOF")]
    proof: PathBuf,
    /// The record, as one line
    #[arg(value_name = "RECORD")]
    record: PathBuf,
    /// Public key of the log, or a file with it
    #[arg(long, value_name = "KEY")]
    key: String,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(in crate::commands::audit) fn check(options: &CheckProofOptions) -> Outcome<Exit> {
    let key = public_key(&options.key)?;
    let proof = String::from_utf8_lossy(&key_file::read(&options.proof)?).into_owned();
    let line = key_file::read(&options.record)?;
    // A text editor or a shell adds an end to the line.
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let checked = tree::check(&proof, line, &key);
    if options.format == Format::Json {
        output::json(&match &checked {
            Ok(checked) => json!({
                "valid": true, "record": checked.record, "origin": checked.checkpoint.origin,
                "size": checked.checkpoint.size,
            }),
            Err(error) => json!({ "valid": false, "reason": error.to_string() }),
        })?;
    } else {
        match &checked {
            Ok(checked) => {
                let (origin, size) = (&checked.checkpoint.origin, checked.checkpoint.size);
                let text = format!(": it is record {} of {size} of `{origin}`", checked.record);
                output::verdict(true, "the record is in the log", &text)?;
            }
            Err(error) => output::verdict(false, "not proven", &format!(": {error}"))?,
        }
    }
    Ok(match checked {
        Ok(_) => Exit::Done,
        Err(ProofError::Malformed(_) | ProofError::Io(_)) => Exit::Misuse,
        Err(_) => Exit::Found,
    })
}
