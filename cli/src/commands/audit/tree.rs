//! The tree beside the log: where it is, and its key. `verify`, `prove` and `export` are the commands that use it.

mod export;
mod prove;
pub(crate) mod verify;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use service_only_evidence::tree::{LogKey, LogPublicKey, ProofError};
use zeroize::Zeroizing;

pub(super) use self::export::{CheckpointOptions, ExportOptions, checkpoint, export};
pub(super) use self::prove::{CheckProofOptions, ProveOptions, check, prove};
pub(super) use self::verify::{VerifyLogOptions, verify};
use crate::change::{self, Consent, DryRun};
use crate::escape;
use crate::exit::Exit;
use crate::key_file;
use crate::new_file::{self, NewFile, Overwrite};
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};

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
        self.given_key()?.map_or_else(|| key_beside(&self.folder(log)), Ok)
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

/// The public key in the folder of a tree.
fn key_beside(folder: &Path) -> Outcome<LogPublicKey> {
    let path = folder.join("key");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Problem::io("read", &path, &error).help("the log has no tree, or `--tree DIR` names another folder")
    })?;
    LogPublicKey::from_text(&text).map_err(|error| {
        Problem::new(ProblemCode::BadKey, error.to_string()).at(format!("`{}`", path.display()))
    })
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

fn refused(error: ProofError) -> Problem {
    let code = match error {
        ProofError::Checkpoint(_) => ProblemCode::BadKey,
        ProofError::NotFound(_) => ProblemCode::NotFound,
        _ => ProblemCode::Io,
    };
    Problem::new(code, error.to_string())
}

/// Generates the key of a log: the private key, and the public one in a file that ends in `.pub`.
pub(crate) fn keygen(
    name: &str,
    out: &Path,
    force: bool,
    DryRun { dry_run }: DryRun,
    consent: Consent,
    format: Format,
) -> Outcome<Exit> {
    let (key, private) = LogKey::generate(name).map_err(|error| {
        Problem::usage(format!("`--audit`: {error}")).help("such as `bakery.example/orders`")
    })?;
    let mut public_path = out.as_os_str().to_owned();
    public_path.push(".pub");
    let public_path = PathBuf::from(public_path);
    let overwrite = Overwrite::of_key(force);
    new_file::check_targets(&[out], overwrite)?;
    new_file::check_targets(&[&public_path], Overwrite::from_force(force))?;
    if dry_run {
        return change::preview(&[out, &public_path], format).map(|()| Exit::Done);
    }
    consent.ask_before_loss(out)?;
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
