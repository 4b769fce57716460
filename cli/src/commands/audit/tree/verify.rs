//! `service-token audit verify`: the verdict on a log, with the checkpoints of a file or of the store. The dashboard asks
//! the same question.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use service_only_evidence::tree::{self, Intact, LogPublicKey, Tampering, Verdict, VerifyOptions};
use service_only_store::Store;

use super::{TreeOptions, folder_of, key_beside};
use crate::exit::Exit;
use crate::key_file;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem};
use crate::store::{self, StoreAndConfig};

const VERIFY_EXAMPLES: &str = "\
Exit codes: 0 the log is intact, 1 it was tampered with, 2 the files leave the question open, 4 the store cannot be
used.

Examples:
  service-token audit verify /var/log/bakery/audit.jsonl --key audit.key.pub
  service-token audit verify audit.jsonl --key audit.key.pub --store postgres://operator@db/tokens
  service-token audit verify audit.jsonl --key audit.key.pub --since yesterday.checkpoint";

/// Verify that no line of a log was changed, removed, added or moved
///
/// Reads the log, its rotated files, the tree and the signed checkpoints. Names the first bad record and
/// the kind of change. Only a checkpoint from elsewhere reveals that log and tree were set back together:
/// one of `--since`, or those that the service has stored in the registry's database.
#[derive(Args, Debug)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(in crate::commands::audit) struct VerifyLogOptions {
    /// The log; its rotated files are found beside it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// File with a checkpoint from elsewhere, whose records must still be there; repeatable
    #[arg(long, value_name = "CHECKPOINT")]
    since: Vec<PathBuf>,
    /// Require the first record too; otherwise, old files may be deleted
    #[arg(long)]
    complete: bool,
    #[command(flatten)]
    tree: TreeOptions,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(in crate::commands::audit) fn verify(options: &VerifyLogOptions) -> Outcome<Exit> {
    let key = options.tree.given_key()?;
    if key.is_none() {
        output::warning(
            "the key is the one beside the log, which a person who can write the log can replace; pass `--key`",
        );
    }
    let since = options
        .since
        .iter()
        .map(|path| key_file::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    let asked = VerifyOptions {
        key,
        since: since.collect::<Outcome<Vec<_>>>()?,
        folder: options.tree.tree.clone(),
        complete: options.complete,
    };
    let store = options.store.find_if_any()?.map(|(url, _)| url);
    let Verified { verdict, stored } = verified(&options.file, asked, store.as_deref());
    match stored {
        Stored::Unavailable(problem) => {
            return Err(problem.help(
                "the stored checkpoints cannot be compared, so the end of the log may have been cut off; pass `--since`, or try again",
            ));
        }
        Stored::Compared { place, origin, count } => {
            output::note(&format!("the store `{place}` has {count} checkpoints of `{origin}`"));
        }
        Stored::NotAsked => {}
    }
    match options.format {
        Format::Json => output::json(&as_json(&verdict))?,
        Format::Text => {
            let (word, text) = in_words(&verdict);
            output::verdict(matches!(verdict, Verdict::Intact(_)), word, &format!(": {text}"))?;
        }
    }
    Ok(match verdict {
        Verdict::Intact(_) => Exit::Done,
        Verdict::Tampered(_) => Exit::Found,
        Verdict::Undecided(_) => Exit::Misuse,
    })
}

pub(crate) fn as_json(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Intact(intact) => json!({ "verdict": "intact", "log": intact }),
        Verdict::Tampered(tampering) => json!({ "verdict": "tampered", "tampering": tampering }),
        Verdict::Undecided(text) => json!({ "verdict": "undecided", "reason": text }),
    }
}

/// The verdict as a word, and its reason.
pub(crate) fn in_words(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Intact(intact) => ("intact", described(intact)),
        Verdict::Tampered(tampering) => {
            ("tampered", format!("{}: {}", tampering.change.as_str(), found(tampering)))
        }
        Verdict::Undecided(text) => ("undecided", text.clone()),
    }
}

/// The verdict on a log, and what the store added to it.
pub(crate) struct Verified {
    pub(crate) verdict: Verdict,
    pub(crate) stored: Stored,
}

/// The checkpoints of a log in the store.
pub(crate) enum Stored {
    /// No store is named, the log has no key, or the files alone show a change.
    NotAsked,
    /// The verdict includes these.
    Compared { place: String, origin: String, count: usize },
    /// The store cannot be read. The verdict is that of the files alone, and the log may have been set back.
    Unavailable(Problem),
}

/// Verifies a log, also against the checkpoints that the store has of it. Not to be called within a task.
pub(crate) fn verified(log: &Path, mut options: VerifyOptions, store: Option<&str>) -> Verified {
    let folder = options.folder.clone().unwrap_or_else(|| folder_of(log));
    // Without a key, the verdict is undecided whatever the store has.
    let key = options.key.clone().or_else(|| key_beside(&folder).ok());
    // Before the files: the service stores a checkpoint after it is in the file.
    let stored = match (store, key) {
        (Some(store), Some(key)) => match stored_checkpoints(store, &key) {
            Ok((place, notes)) => {
                let (origin, count) = (key.name().to_owned(), notes.len());
                options.since.extend(notes);
                Stored::Compared { place, origin, count }
            }
            Err(problem) => Stored::Unavailable(problem),
        },
        _ => Stored::NotAsked,
    };
    match (tree::verify(log, &options), stored) {
        (verdict @ Verdict::Tampered(_), Stored::Unavailable(_)) => {
            Verified { verdict, stored: Stored::NotAsked }
        }
        (verdict, stored) => Verified { verdict, stored },
    }
}

/// The checkpoints of a log in a store, and the name of the store.
fn stored_checkpoints(store: &str, key: &LogPublicKey) -> Outcome<(String, Vec<String>)> {
    store::work(async {
        let store = Store::open(store).await?;
        let notes = store.checkpoints(key.name()).await?;
        let place = store.place().to_owned();
        store.close().await;
        Ok((place, notes))
    })
}

fn described(intact: &Intact) -> String {
    let mut text = format!(
        "{} of {} records of `{}` are as they were written",
        intact.compared, intact.size, intact.origin
    );
    if intact.from > 0 {
        text.push_str(&format!("; the files of the first {} were deleted", intact.from));
    }
    if intact.unsealed > 0 {
        text.push_str(&format!("; {} more have no checkpoint yet", intact.unsealed));
    }
    if intact.lost > 0 {
        text.push_str(&format!("; {} records were lost before they were written", intact.lost));
    }
    text
}

fn found(tampering: &Tampering) -> String {
    match (&tampering.file, tampering.line) {
        (Some(file), Some(line)) => format!("{}:{line}: {}", file.display(), tampering.text),
        _ => tampering.text.clone(),
    }
}
