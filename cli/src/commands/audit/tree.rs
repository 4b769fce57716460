//! `service-token audit verify`, `prove`, `check`, `export` and `checkpoint`, and the key of `keygen --audit`: the tree
//! beside the log.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use service_only_evidence::tree::{
    self, Checkpoint, Intact, LogKey, LogPublicKey, ProofError, Tampering, Verdict, VerifyOptions,
};
use service_only_store::Store;
use zeroize::Zeroizing;

use crate::escape;
use crate::exit::Exit;
use crate::key_file;
use crate::new_file::{self, NewFile, Overwrite};
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, StoreAndConfig};

/// Where the tree and its key are.
#[derive(Args, Debug)]
pub(super) struct TreeOptions {
    /// Public key of the log, or a file with it
    /// [default: the key beside the log, which a person who can write the log can replace]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Folder of the tree [default: `FILE.tree`]
    #[arg(long, value_name = "DIR")]
    tree: Option<PathBuf>,
}

impl TreeOptions {
    fn given_key(&self) -> Outcome<Option<LogPublicKey>> {
        self.key.as_deref().map(public_key).transpose()
    }

    /// The given key, or the one beside the log.
    fn key(&self, log: &Path) -> Outcome<LogPublicKey> {
        if let Some(key) = self.given_key()? {
            return Ok(key);
        }
        let path = self.folder(log).join("key");
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Problem::io("read", &path, &error)
                .help("the log has no tree, or `--tree DIR` names another folder")
        })?;
        LogPublicKey::from_text(&text).map_err(|error| {
            Problem::new(ProblemCode::BadKey, error.to_string()).at(format!("`{}`", path.display()))
        })
    }

    fn folder(&self, log: &Path) -> PathBuf {
        self.tree.clone().unwrap_or_else(|| folder_of(log))
    }
}

/// The folder of the tree of a log.
pub(crate) fn folder_of(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".tree");
    name.into()
}

/// The public key of a log, or of a file.
pub(crate) fn public_key(given: &str) -> Outcome<LogPublicKey> {
    let path = Path::new(given);
    let text = if path.is_file() {
        String::from_utf8_lossy(&key_file::read(path)?).into_owned()
    } else {
        given.to_owned()
    };
    LogPublicKey::from_text(&text).map_err(|error| {
        Problem::new(ProblemCode::BadKey, format!("`--key`: {error}"))
            .help("`keygen --audit` wrote the public key to a file that ends in `.pub`")
    })
}

const VERIFY_EXAMPLES: &str = "\
Exit codes: 0 the log is intact, 1 it was tampered with, 2 the files leave the question open, 4 the store cannot be
used.

Examples:
  service-token audit verify /var/log/bakery/audit.jsonl --key audit.pub
  service-token audit verify audit.jsonl --key audit.pub --store postgres://operator@db/tokens
  service-token audit verify audit.jsonl --key audit.pub --since yesterday.checkpoint";

/// Verify that no line of a log was changed, removed, added or moved
///
/// Reads the log, its rotated files, the tree and the signed checkpoints. Names the first bad record and
/// the kind of change. Only a checkpoint from elsewhere reveals that log and tree were set back together:
/// one of `--since`, or those that the service has stored in the registry's database.
#[derive(Args, Debug)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(super) struct VerifyLogOptions {
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

pub(super) fn verify(options: &VerifyLogOptions) -> Outcome<Exit> {
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
    let mut since = since.collect::<Outcome<Vec<_>>>()?;
    let stored = stored_checkpoints(options)?;
    let unavailable = match stored {
        Ok(notes) => {
            since.extend(notes);
            None
        }
        // The files can still show that the log was tampered with.
        Err(problem) => Some(problem),
    };
    let asked = VerifyOptions { key, since, folder: options.tree.tree.clone(), complete: options.complete };
    let verdict = tree::verify(&options.file, &asked);
    if let Some(problem) = unavailable.filter(|_| !matches!(verdict, Verdict::Tampered(_))) {
        return Err(problem.help(
            "the stored checkpoints cannot be compared, so the end of the log may have been cut off; pass `--since`, or try again",
        ));
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

/// The checkpoints of the log in the store; none without a store. The inner error is a store that cannot be read.
fn stored_checkpoints(options: &VerifyLogOptions) -> Outcome<Outcome<Vec<String>>> {
    let Some((url, _)) = options.store.find_if_any()? else { return Ok(Ok(Vec::new())) };
    // Without a key, the answer is undecided whatever the store has.
    let Ok(key) = options.tree.key(&options.file) else { return Ok(Ok(Vec::new())) };
    let origin = key.name().to_owned();
    let read = store::run(async {
        let opened = Store::open(&url).await.map_err(|error| store::refused(&error))?;
        let notes = opened.checkpoints(&origin).await.map_err(|error| store::refused(&error))?;
        Ok((opened.place().to_owned(), notes))
    });
    Ok(read.map(|(place, notes)| {
        let count = notes.len();
        output::note(&format!("the store `{place}` has {count} checkpoints of `{origin}`"));
        notes
    }))
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

const PROVE_EXAMPLES: &str = "\
Examples:
  service-token audit prove 019b76da-0c1e-7a52-8b6e-2f7c0d9e4a11 --audit audit.jsonl --out evidence
  service-token audit check evidence.proof evidence.record --key audit.pub";

/// Prove that one record is in the log, for a person who does not have the log
///
/// Writes the record and its proof (C2SP tlog-proof). `audit check` and other tools verify them.
#[derive(Args, Debug)]
#[command(after_help = PROVE_EXAMPLES)]
pub(super) struct ProveOptions {
    /// Id of the record
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
}

pub(super) fn prove(options: &ProveOptions) -> Outcome<Exit> {
    let key = options.tree.key(&options.audit)?;
    let id = options.id.trim_start_matches("urn:uuid:");
    let proof = tree::prove(&options.audit, options.tree.tree.as_deref(), &key, id).map_err(refused)?;
    let name = options.out.clone().unwrap_or_else(|| PathBuf::from(escape::one_line(id)));
    let with = |extension: &str| {
        let mut name = name.clone().into_os_string();
        name.push(extension);
        PathBuf::from(name)
    };
    let files = [
        NewFile::secret(with(".record"), Zeroizing::new(proof.line)),
        NewFile::secret(with(".proof"), Zeroizing::new(proof.text.into_bytes())),
    ];
    new_file::write_all(&files, Overwrite::from_force(options.force))?;
    output::result(&format!("{} {}", with(".proof").display(), with(".record").display()))?;
    Ok(Exit::Done)
}

/// Check the proof of one record, without the log
#[derive(Args, Debug)]
#[command(after_help = PROVE_EXAMPLES)]
pub(super) struct CheckProofOptions {
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

pub(super) fn check(options: &CheckProofOptions) -> Outcome<Exit> {
    let key = TreeOptions { key: Some(options.key.clone()), tree: None }.given_key()?;
    let key = key.ok_or_else(|| Problem::usage("no key").help("pass `--key KEY`"))?;
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

const EXPORT_EXAMPLES: &str = "\
Examples:
  service-token audit export static --audit audit.jsonl --key audit.pub";

/// Export the tree with its records as a static log (C2SP tlog-tiles), for other tools
#[derive(Args, Debug)]
#[command(after_help = EXPORT_EXAMPLES)]
pub(super) struct ExportOptions {
    /// New folder for the export
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// The log; its rotated files are found beside it
    #[arg(long, value_name = "FILE")]
    audit: PathBuf,
    #[command(flatten)]
    tree: TreeOptions,
}

pub(super) fn export(options: &ExportOptions) -> Outcome<Exit> {
    let key = options.tree.key(&options.audit)?;
    let entries =
        tree::export(&options.audit, options.tree.tree.as_deref(), &key, &options.to).map_err(refused)?;
    output::note(&format!("{entries} records were exported to `{}`", options.to.display()));
    Ok(Exit::Done)
}

const CHECKPOINT_EXAMPLES: &str = "\
Examples:
  service-token audit checkpoint audit.jsonl --key audit.pub > kept.checkpoint";

/// Print the last signed checkpoint, to keep it elsewhere
#[derive(Args, Debug)]
#[command(after_help = CHECKPOINT_EXAMPLES)]
pub(super) struct CheckpointOptions {
    /// The log
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    tree: TreeOptions,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn checkpoint(options: &CheckpointOptions) -> Outcome<Exit> {
    let key = options.tree.key(&options.file)?;
    let path = options.tree.folder(&options.file).join("checkpoint");
    let text = std::fs::read_to_string(&path).map_err(|error| Problem::io("read", &path, &error))?;
    let checkpoint = Checkpoint::read(&text, &key).map_err(|error| {
        Problem::new(ProblemCode::BadKey, error.to_string()).at(format!("`{}`", path.display()))
    })?;
    match options.format {
        Format::Text => output::lines(text.trim_end())?,
        Format::Json => output::json(&json!({
            "origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root(),
            "lost": checkpoint.lost, "foreign": checkpoint.foreign, "closed": checkpoint.closed, "note": text,
        }))?,
    }
    Ok(Exit::Done)
}

fn refused(error: ProofError) -> Problem {
    let code = match error {
        ProofError::Checkpoint(_) => ProblemCode::BadKey,
        _ => ProblemCode::Io,
    };
    Problem::new(code, error.to_string())
}

/// Generates the key of a log: the private key, and the public one in a file that ends in `.pub`.
pub(crate) fn keygen(name: &str, out: &Path, overwrite: Overwrite, format: Format) -> Outcome<Exit> {
    let (key, private) = LogKey::generate(name).map_err(|error| {
        Problem::usage(format!("`--audit`: {error}")).help("such as `bakery.example/orders`")
    })?;
    let mut public_path = out.as_os_str().to_owned();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    new_file::check_targets(&[out, &public_path], overwrite)?;
    let public = key.public().to_string();
    let content = Zeroizing::new(format!("{}\n", private.as_str()).into_bytes());
    let files = [NewFile::secret(out, content), NewFile::public(&public_path, format!("{public}\n"))];
    new_file::write_all(&files, overwrite)?;
    match format {
        Format::Text => output::result(&escape::one_line(&public))?,
        Format::Json => output::json(&json!({
            "log": name, "public_key": public, "file": out.display().to_string(),
            "public_file": public_path.display().to_string(),
        }))?,
    }
    Ok(Exit::Done)
}
