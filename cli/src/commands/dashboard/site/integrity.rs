//! Whether the logs are as they were written: `service-token audit verify` at the start, and again from time to time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use service_only::clock::Timestamp;
use service_only_evidence::tree::{self, LogPublicKey, Verdict, VerifyOptions};

use crate::commands::audit::tree::{as_json, folder_of, in_words};
use crate::members;
use crate::output;
use crate::store;

/// The shortest time between two verifications. Each reads the whole log.
const AGAIN: Duration = Duration::from_secs(600);

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
        at: Timestamp,
    },
}

/// The seals of the logs, in the order of the logs.
#[derive(Clone)]
pub(crate) struct Integrity {
    logs: Arc<RwLock<Vec<(PathBuf, Seal)>>>,
    pub(crate) has_key: bool,
}

impl Integrity {
    /// Starts the verification of each log that has a tree.
    pub(crate) fn follow(paths: &[PathBuf], key: Option<LogPublicKey>) -> Self {
        let seal = |path: &PathBuf| match folder_of(path).is_dir() {
            true => Seal::Reading,
            false => Seal::None,
        };
        let logs: Vec<_> = paths.iter().map(|path| (path.clone(), seal(path))).collect();
        let sealed = logs.iter().enumerate().filter(|(_, (_, seal))| matches!(seal, Seal::Reading));
        let sealed: Vec<_> = sealed.map(|(place, (path, _))| (place, path.clone())).collect();
        let integrity = Self { has_key: key.is_some(), logs: Arc::new(RwLock::new(logs)) };
        if !sealed.is_empty() {
            let shared = Arc::downgrade(&integrity.logs);
            let options = VerifyOptions { key, ..VerifyOptions::default() };
            let verify = move || {
                loop {
                    let begun = Instant::now();
                    for (place, path) in &sealed {
                        let verdict = tree::verify(path, &options);
                        let Some(logs) = shared.upgrade() else { return };
                        let mut logs = logs.write().unwrap_or_else(PoisonError::into_inner);
                        if let Some((_, seal)) = logs.get_mut(*place) {
                            tell(path, seal, &verdict);
                            *seal = Seal::Verified { verdict, at: store::now() };
                        }
                    }
                    std::thread::sleep(AGAIN.max(begun.elapsed() * REST));
                }
            };
            if let Err(error) = std::thread::Builder::new().name("audit-verify".to_owned()).spawn(verify) {
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
                Seal::Verified { verdict, at } => {
                    let mut value = as_json(verdict);
                    if let Some(members) = value.as_object_mut() {
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

/// Reports a verdict other than `intact` once.
fn tell(path: &Path, before: &Seal, verdict: &Verdict) {
    let is_known = matches!(before, Seal::Verified { verdict: known, .. } if known == verdict);
    if !is_known && !matches!(verdict, Verdict::Intact(_)) {
        let (word, text) = in_words(verdict);
        output::warning(&format!("`{}` is {word}: {text}", path.display()));
    }
}
