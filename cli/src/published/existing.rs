//! The published set, as its file contains it.
//!
//! Each entry is kept as it was read: verifiers other than ours may use members that this program does not know.

use std::path::Path;

use serde_json::{Value, json};
use service_only::{__satellite::PRIVATE_MEMBERS, Algorithm, KeySet};

use super::Unknown;
use crate::key_file;
use crate::problem::{Outcome, Problem, ProblemCode};

/// The entries of a published set.
#[derive(Debug, Default)]
pub(crate) struct ExistingSet {
    place: String,
    entries: Vec<Entry>,
    /// Why the file is replaced without a look at its keys.
    replaced: Option<String>,
}

/// One entry of a published set.
#[derive(Debug)]
pub(crate) struct Entry {
    jwk: Value,
    position: usize,
    /// The first algorithm that a verifier uses it for; `None` if a verifier cannot use it.
    algorithm: Option<Algorithm>,
}

impl ExistingSet {
    /// Reads the set. A missing or an empty file has no keys to keep.
    pub(crate) fn read(path: &Path, unknown: Unknown) -> Outcome<Self> {
        let place = format!("`{}`", path.display());
        // A file that cannot be looked at is not a missing file.
        if !path.try_exists().map_err(|error| Problem::io("look at", path, &error))? {
            return Ok(Self { place, ..Self::default() });
        }
        let read =
            key_file::read(path).and_then(|bytes| entries(&bytes).map_err(|why| unreadable(&place, &why)));
        match (read, unknown) {
            (Ok(entries), _) => Ok(Self { place, entries, replaced: None }),
            (Err(problem), Unknown::Keep) => Err(problem),
            (Err(problem), Unknown::KeepReadable | Unknown::Drop) => {
                let replaced = Some(format!("{}; it is replaced", problem.reason()));
                Ok(Self { place, entries: Vec::new(), replaced })
            }
        }
    }

    /// Adds the entries of another set.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self.replaced = self.replaced.or(other.replaced);
        self
    }

    pub(super) fn replaced(&self) -> Option<&str> {
        self.replaced.as_deref()
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn jwks(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().map(Entry::jwk)
    }

    pub(crate) fn kids(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(Entry::kid)
    }
}

impl Entry {
    fn new(position: usize, jwk: Value) -> Self {
        let algorithm = usable(std::slice::from_ref(&jwk)).and_then(|set| set.algorithms().first().copied());
        Self { jwk, position, algorithm }
    }

    pub(super) fn jwk(&self) -> &Value {
        &self.jwk
    }

    pub(super) fn kid(&self) -> Option<&str> {
        kid_of(&self.jwk)
    }

    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The name for messages.
    pub(super) fn name(&self) -> String {
        match self.kid() {
            Some(kid) => format!("`{kid}`"),
            None => format!("key {}", self.position + 1),
        }
    }

    pub(super) fn has_secret(&self) -> bool {
        self.jwk.get("kty").is_some_and(|kty| kty == "oct")
            || PRIVATE_MEMBERS.iter().any(|member| self.jwk.get(member).is_some())
    }
}

pub(super) fn kid_of(jwk: &Value) -> Option<&str> {
    jwk.get("kid").and_then(Value::as_str).filter(|kid| !kid.is_empty())
}

/// Whether two entries with one `kid` have the same public key. A set skips an entry that repeats another.
pub(super) fn same_key(one: &Value, other: &Value) -> bool {
    let alone = [one, other].iter().all(|jwk| usable(std::slice::from_ref(*jwk)).is_some());
    let repeats = || usable(&[one.clone(), other.clone()]).is_some_and(|set| !set.skipped().is_empty());
    one == other || (alone && repeats())
}

fn usable(keys: &[Value]) -> Option<KeySet> {
    KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes()).ok()
}

fn entries(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if text.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    // The reason never quotes the file, which may be another file than the operator meant.
    let mut set: Value = serde_json::from_slice(text)
        .map_err(|error| format!("it is not JSON (line {}, column {})", error.line(), error.column()))?;
    match set.get_mut("keys").map(Value::take) {
        Some(Value::Array(keys)) => {
            Ok(keys.into_iter().enumerate().map(|(at, jwk)| Entry::new(at, jwk)).collect())
        }
        _ => Err("it has no array `keys`".to_owned()),
    }
}

fn unreadable(place: &str, why: &str) -> Problem {
    Problem::new(ProblemCode::BadKey, format!("{place} is not a JWK set: {why}"))
        .help("repair it, because a new set would lack its keys; `--drop-unknown` replaces it")
}
