//! Decides which keys are published. Every command that prints or writes a key set asks this module.
//!
//! If the journal has keys, it decides: all keys that are not retired. Otherwise the configured key is the first
//! of the set. In both cases the other keys of the set that is published already stay, because verifiers refuse
//! each token of a dropped key. `rotate` records such a key in the journal as retiring, so that it ends later.

mod existing;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use service_only::Algorithm;
use service_only::clock::Timestamp;
use service_only::keys::KeyState;
use service_only_store::rotation::{Journal, KeyHolder};
use service_only_store::{KeyRecord, Store, StoreError};

pub(crate) use existing::ExistingSet;
use existing::{Entry, kid_of, same_key};

use crate::database::{refused, run};
use crate::escape;
use crate::members;
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::public_jwk::stored_half;

/// What happens to the published keys that neither the journal nor the configuration has.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They stay. A set that cannot be read, or that contains a secret, is an error.
    #[default]
    Keep,
    /// They stay as far as possible. After a leak, no other key may delay the response.
    KeepReadable,
    /// They are removed, as the operator asked.
    Drop,
}

/// Everything that decides about a set.
pub(crate) struct Sources<'a> {
    pub(crate) journal: &'a Journal,
    /// The public halves that are published even if the journal does not have them.
    pub(crate) own: Vec<Value>,
    pub(crate) existing: &'a ExistingSet,
    /// A key that a killed run published and did not record. It has never signed.
    pub(crate) leftover: Option<&'a str>,
    pub(crate) unknown: Unknown,
}

/// The set to publish.
#[derive(Debug, Default)]
pub(crate) struct Published {
    keys: Vec<Value>,
    /// The keys of the existing set that the journal can adopt.
    pub(crate) adoptable: Vec<UnknownKey>,
    /// The keys of the existing set that stay and cannot be adopted, each with the reason.
    pub(crate) unmanaged: Vec<String>,
    /// The keys of the existing set that are left out on request.
    pub(crate) dropped: Vec<String>,
    /// What an operator should know when the set is written.
    warnings: Vec<String>,
}

/// A published key that the journal does not have.
#[derive(Clone, Debug)]
pub(crate) struct UnknownKey {
    pub(crate) kid: String,
    pub(crate) algorithm: String,
    pub(crate) jwk: Value,
    /// A revoked key is not published.
    pub(crate) is_revoked: bool,
}

impl Sources<'_> {
    pub(crate) fn decide(self) -> Outcome<Published> {
        let mut set = Published { keys: live(&self.journal.keys)?, ..Published::default() };
        set.warnings.extend(self.existing.replaced().map(str::to_owned));
        for key in &self.own {
            if !set.has_named(kid_of(key)) {
                set.keys.push(key.clone());
            }
        }
        for entry in self.existing.entries() {
            self.place(entry, &mut set)?;
        }
        Ok(set)
    }

    fn place(&self, entry: &Entry, set: &mut Published) -> Outcome<()> {
        if entry.has_secret() {
            return self.refuse_secret(entry, set);
        }
        let known = self.known(entry, set);
        match (entry.kid(), known, entry.algorithm()) {
            (_, Some(Known::Same), _) => {}
            (None, ..) => self.keep(entry, "it has no `kid`", set),
            (_, Some(Known::Namesake), _) => self.keep(entry, "another key has this `kid`", set),
            (Some(kid), ..) if Some(kid) == self.leftover => {}
            (Some(kid), None, _) if self.unknown == Unknown::Drop => set.dropped.push(kid.to_owned()),
            (Some(kid), None, Some(algorithm)) => self.adopt(kid, algorithm, entry, set),
            (_, None, None) => self.keep(entry, "a verifier of this project cannot use it", set),
        }
        Ok(())
    }

    fn adopt(&self, kid: &str, algorithm: Algorithm, entry: &Entry, set: &mut Published) {
        let (jwk, is_revoked) = (entry.jwk().clone(), self.is_revoked(kid));
        if !is_revoked {
            set.keys.push(jwk.clone());
        }
        let algorithm = algorithm.as_str().to_owned();
        set.adoptable.push(UnknownKey { kid: kid.to_owned(), algorithm, jwk, is_revoked });
    }

    fn is_revoked(&self, kid: &str) -> bool {
        self.journal.revoked.iter().any(|revoked| revoked == kid)
    }

    /// Whether the journal or the set has a key of this name.
    fn known(&self, entry: &Entry, set: &Published) -> Option<Known> {
        let kid = entry.kid()?;
        let mut namesakes = set.keys.iter().filter(|key| kid_of(key) == Some(kid)).peekable();
        if namesakes.peek().is_some() {
            let same = namesakes.any(|key| same_key(key, entry.jwk()));
            return Some(if same { Known::Same } else { Known::Namesake });
        }
        if set.adoptable.iter().any(|adopted| adopted.kid == kid) {
            return Some(Known::Same);
        }
        // A retired key is not published again. Without its public half, its name decides.
        let retired = self.journal.keys.iter().find(|key| key.kid == kid)?;
        let half = retired.public_jwk.as_deref().and_then(|jwk| serde_json::from_str::<Value>(jwk).ok());
        let same = half.is_none_or(|half| kid_of(&half).is_none() || same_key(&half, entry.jwk()));
        Some(if same { Known::Same } else { Known::Namesake })
    }

    fn keep(&self, entry: &Entry, reason: &str, set: &mut Published) {
        let is_revoked = entry.kid().is_some_and(|kid| self.is_revoked(kid));
        if self.unknown == Unknown::Drop {
            set.dropped.push(entry.kid().map_or_else(|| entry.name(), str::to_owned));
        } else if !is_revoked {
            set.keys.push(entry.jwk().clone());
            set.unmanaged.push(format!("{}: {reason}", entry.name()));
        }
    }

    fn refuse_secret(&self, entry: &Entry, set: &mut Published) -> Outcome<()> {
        let (place, name) = (self.existing.place(), entry.name());
        let reason =
            format!("{place} publishes the secret of {name}, and each reader of the set can mint with it");
        if self.unknown == Unknown::Keep {
            let kid = entry.kid().unwrap_or("KID");
            return Err(Problem::new(ProblemCode::BadKey, reason).help(format!(
                "the key leaked: `service-token rotate --emergency={kid}` revokes it and removes it from the set"
            )));
        }
        set.warnings.push(format!("{reason}; it is removed from the set, and not revoked by that"));
        Ok(())
    }
}

/// How an entry of the existing set relates to a known key of the same name.
enum Known {
    Same,
    Namesake,
}

impl Published {
    /// A set of exactly these keys, for a file that no other command writes.
    pub(crate) fn of(keys: Vec<Value>) -> Self {
        Self { keys, ..Self::default() }
    }

    pub(crate) fn has(&self, kid: &str) -> bool {
        self.has_named(Some(kid))
    }

    fn has_named(&self, kid: Option<&str>) -> bool {
        kid.is_some() && self.keys.iter().any(|key| kid_of(key) == kid)
    }

    /// The JWK set.
    pub(crate) fn json(&self) -> Value {
        json!({ "keys": self.keys })
    }

    /// The JWK set as the content of a file.
    pub(crate) fn text(&self) -> Outcome<String> {
        let text = escape::pretty_json(&self.json()).map_err(|error| {
            Problem::new(ProblemCode::BadKey, format!("cannot write the key set: {error}"))
        })?;
        Ok(text + "\n")
    }

    /// Tells what an operator should know of a set that was written.
    pub(crate) fn warn(&self) {
        self.warnings.iter().for_each(|warning| output::warning(warning));
    }

    /// The keys that stay although neither the journal nor the configuration has them.
    pub(crate) fn kept(&self) -> Vec<String> {
        let adoptable = self.adoptable.iter().filter(|key| !key.is_revoked);
        let adoptable = adoptable.map(|key| format!("`{}`", key.kid));
        adoptable.chain(self.unmanaged.iter().cloned()).collect()
    }

    /// Refuses a first set that lacks a key of a valid token. Verifiers that had the key from elsewhere would
    /// refuse that token from now on.
    pub(crate) fn check_tokens(&self, holders: &[KeyHolder], now: Timestamp) -> Outcome<()> {
        let Some(tokens) = lacking(holders, now, |kid| self.has(kid)) else { return Ok(()) };
        let reason = format!("the set would lack keys, and refuse {tokens}");
        Err(Problem::new(ProblemCode::WouldBreak, reason).help(
            "add the public keys to the set that `[rotation]` names, or give these services new tokens and revoke the key; `--drop-unknown` publishes without them",
        ))
    }
}

/// The services with a valid token of a key that is not known, in words. `None` if each such key is known.
pub(crate) fn lacking(
    holders: &[KeyHolder],
    now: Timestamp,
    is_known: impl Fn(&str) -> bool,
) -> Option<String> {
    let mut lacking: BTreeMap<&str, (BTreeSet<&str>, Timestamp)> = BTreeMap::new();
    for holder in holders.iter().filter(|holder| holder.last_expiry > now && !is_known(&holder.kid)) {
        let (services, until) =
            lacking.entry(&holder.kid).or_insert_with(|| (BTreeSet::new(), holder.last_expiry));
        services.insert(&holder.service);
        *until = (*until).max(holder.last_expiry);
    }
    let tokens: Vec<_> = lacking
        .iter()
        .map(|(kid, (services, until))| {
            let services: Vec<_> = services.iter().map(|service| format!("`{service}`")).collect();
            let until = members::instant(*until);
            format!("{} with tokens of the key `{kid}`, valid until {until}", services.join(", "))
        })
        .collect();
    (!tokens.is_empty()).then(|| tokens.join("; "))
}

/// The public halves of all keys that are not retired.
pub(crate) fn live(keys: &[KeyRecord]) -> Outcome<Vec<Value>> {
    let live = keys.iter().filter(|key| key.state != KeyState::Retired);
    live.map(|key| stored_half(&key.kid, key.public_jwk.as_deref())).collect()
}

/// The journal of an issuer. A store that does not exist has an empty one.
pub(crate) fn journal_at(url: &str, issuer: &str) -> Outcome<Journal> {
    run(async {
        match Store::open(url).await {
            Ok(store) => store.journal(issuer).await.map_err(|error| refused(&error)),
            Err(StoreError::Missing { .. }) => Ok(Journal::default()),
            Err(error) => Err(refused(&error)),
        }
    })
}

#[cfg(test)]
mod tests;
