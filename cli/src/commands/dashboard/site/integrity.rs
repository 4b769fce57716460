//! Whether the logs are as they were written: `service-token audit verify` at the start, and again from time to time, with
//! the checkpoints of the store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use service_only::clock::Timestamp;
use service_only_evidence::tree::{LogPublicKey, Verdict, VerifyOptions, files_of};

use crate::commands::audit::tree::folder_of;
use crate::commands::audit::tree::verify::{Stored, Verified, as_json, in_words, verified};
use crate::members;
use crate::output;
use crate::store;

/// The shortest time between two verifications. Each reads the whole log.
const AGAIN: Duration = Duration::from_secs(600);

/// The same after the store could not be read.
const SOON: Duration = Duration::from_secs(30);

/// A verification is made again after this many times its duration.
const REST: u32 = 20;

/// What is known of one log.
#[derive(Clone, Debug)]
pub(crate) enum Seal {
    /// It has no tree.
    None,
    /// The first verification is not complete.
    Reading,
    Verified {
        verdict: Verdict,
        /// How many checkpoints of the store were compared, if there is a store.
        stored: Option<usize>,
        at: Timestamp,
    },
}

impl Seal {
    /// The verdict of the files and the store. Without its store, a log that looks intact may have been set back.
    fn of(verified: Verified) -> Self {
        let Verified { verdict, stored } = verified;
        let at = store::now();
        match (stored, verdict) {
            (Stored::NotAsked, verdict) => Self::Verified { verdict, stored: None, at },
            (Stored::Compared { count, .. }, verdict) => Self::Verified { verdict, stored: Some(count), at },
            (Stored::Unavailable(problem), _) => {
                let reason = problem.reason();
                let text = format!("the checkpoints of the store cannot be compared with the log: {reason}");
                Self::Verified { verdict: Verdict::Undecided(text), stored: None, at }
            }
        }
    }
}

/// The seals of the logs, in the order of their paths.
#[derive(Clone)]
pub(crate) struct Integrity {
    logs: Arc<RwLock<Vec<(PathBuf, Seal)>>>,
    pub(crate) has_key: bool,
}

impl Integrity {
    /// Starts the verification of each log that has a tree, with the checkpoints of a store.
    pub(crate) fn follow(paths: &[PathBuf], key: Option<LogPublicKey>, store: Option<String>) -> Self {
        let paths: BTreeSet<_> = paths.iter().cloned().collect();
        let sealed: Vec<_> = paths.iter().filter(|path| folder_of(path).is_dir()).cloned().collect();
        // A rotated file is verified with its log.
        let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let files = sealed.iter().flat_map(|log| files_of(log).unwrap_or_default());
        let rotated: BTreeSet<_> = files.map(|file| real(&file)).collect();
        let logs = paths.into_iter().filter_map(|path| match sealed.contains(&path) {
            true => Some((path, Seal::Reading)),
            false => (!rotated.contains(&real(&path))).then_some((path, Seal::None)),
        });
        let logs = Arc::new(RwLock::new(logs.collect::<Vec<_>>()));
        let integrity = Self { has_key: key.is_some(), logs: Arc::clone(&logs) };
        if !sealed.is_empty() {
            let options = VerifyOptions { key, ..VerifyOptions::default() };
            let verifier = Verifier { sealed, options, store, logs: Arc::downgrade(&logs) };
            let started =
                std::thread::Builder::new().name("audit-verify".to_owned()).spawn(move || verifier.run());
            if let Err(error) = started {
                output::warning(&format!("the logs are not verified, a thread cannot start: {error}"));
            }
        }
        integrity
    }

    pub(crate) fn logs(&self) -> Vec<(PathBuf, Seal)> {
        self.logs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn json(&self) -> Value {
        let one = |(path, seal): (PathBuf, Seal)| {
            let mut value = match &seal {
                Seal::None => json!({ "verdict": null, "reason": "the log has no tree" }),
                Seal::Reading => {
                    json!({ "verdict": null, "reason": "the first verification is not complete" })
                }
                Seal::Verified { verdict, stored, at } => {
                    let mut value = as_json(verdict);
                    if let Some(members) = value.as_object_mut() {
                        members.insert("stored_checkpoints".to_owned(), json!(stored));
                        members.insert("verified_at".to_owned(), json!(members::instant(*at)));
                    }
                    value
                }
            };
            if let Some(members) = value.as_object_mut() {
                members.insert("file".to_owned(), json!(path.display().to_string()));
            }
            value
        };
        self.logs().into_iter().map(one).collect()
    }
}

/// The thread that verifies.
struct Verifier {
    sealed: Vec<PathBuf>,
    options: VerifyOptions,
    store: Option<String>,
    logs: Weak<RwLock<Vec<(PathBuf, Seal)>>>,
}

impl Verifier {
    fn run(self) {
        loop {
            let begun = Instant::now();
            let mut again = AGAIN;
            for path in &self.sealed {
                let verified = verified(path, self.options.clone(), self.store.as_deref());
                if matches!(verified.stored, Stored::Unavailable(_)) {
                    again = SOON;
                }
                let Some(logs) = self.logs.upgrade() else { return };
                let mut logs = logs.write().unwrap_or_else(PoisonError::into_inner);
                if let Some((_, seal)) = logs.iter_mut().find(|(log, _)| log == path) {
                    let new = Seal::of(verified);
                    tell(path, seal, &new);
                    *seal = new;
                }
            }
            std::thread::sleep(again.max(begun.elapsed() * REST));
        }
    }
}

/// Reports a verdict other than `intact` once.
fn tell(path: &Path, before: &Seal, now: &Seal) {
    let Seal::Verified { verdict, .. } = now else { return };
    let is_known = matches!(before, Seal::Verified { verdict: known, .. } if known == verdict);
    if !is_known && !matches!(verdict, Verdict::Intact(_)) {
        let (word, text) = in_words(verdict);
        output::warning(&format!("`{}` is {word}: {text}", path.display()));
    }
}
