//! Replaces a leaked key: revokes it first, then makes another key sign.
//!
//! Every verifier with the store refuses the leaked key within a second. Then the program makes the other
//! steps. After a kill, run the command again to finish the same emergency: the leaked key is then still in
//! its file, and retired. If the run was killed after its last step, a rerun starts a new emergency, unless
//! you name the key.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use service_only::{clock::Timestamp, keys::KeyState};
use service_only_store::rotation::Journal;
use service_only_store::{KeyStep, NewRevocation};

use super::{Made, Rotation, kid_in};
use crate::known;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{now, refused};

/// An active key that is younger may be the result of an emergency that is done.
const YOUNG: Duration = Duration::from_secs(15 * 60);

/// Which key takes over.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Successor {
    /// A new key. Files beside the leaked key may have leaked with it.
    Fresh,
    /// The prepared key, which verifiers have already.
    Prepared,
}

/// The result of an emergency rotation.
pub(crate) struct Emergency {
    pub(crate) made: Vec<Made>,
    /// The keys whose tokens are refused now.
    pub(crate) leaked: Vec<String>,
    /// The services without another token, and when their refused token would have expired.
    pub(crate) stranded: BTreeMap<String, Option<Timestamp>>,
}

impl Rotation<'_> {
    /// Revokes all that a key signed, and replaces the key if it was the one that signs. Without a name, it
    /// is the key in the file.
    pub(crate) async fn emergency(mut self, named: Option<&str>, successor: Successor) -> Outcome<Emergency> {
        let (journal, kid) = self.leaked_key(named).await?;
        if kid_in(&journal, KeyState::Active).is_none() {
            self.adopt().await?;
        }
        let stage = |journal: &Journal| journal.keys.iter().find(|key| key.kid == kid).map(|key| key.state);
        let leaked = match stage(&self.journal().await?) {
            Some(KeyState::Active) => self.replace(successor).await?,
            Some(from @ (KeyState::Prepared | KeyState::Retiring)) => {
                self.revoke(std::slice::from_ref(&kid)).await?;
                self.step(&[KeyStep { kid: &kid, from, to: KeyState::Retired }]).await?;
                self.done("retired", &kid)?;
                vec![kid]
            }
            // An interrupted emergency retired the key and revoked it. A normal rotation retires a key
            // without a revocation; then verifiers that have not refreshed their keys since still accept it.
            Some(KeyState::Retired) | None => {
                if !journal.revoked.contains(&kid) {
                    self.revoke(std::slice::from_ref(&kid)).await?;
                }
                vec![kid]
            }
        };
        self.settle().await?;
        let stranded = self.stranded(&leaked).await?;
        Ok(Emergency { made: self.made, leaked, stranded })
    }

    /// What an emergency would do. It changes nothing.
    pub(crate) async fn preview(&self, named: Option<&str>, successor: Successor) -> Outcome<Emergency> {
        let (journal, kid) = self.leaked_key(named).await?;
        let mut made = Vec::new();
        let mut add = |what, kid: &str| made.push(Made { what, kid: kid.to_owned() });
        let is_retired = journal.keys.iter().any(|key| key.kid == kid && key.state == KeyState::Retired);
        let signs = kid_in(&journal, KeyState::Active).map_or_else(
            || self.site.current().is_ok_and(|key| key.kid().as_str() == kid),
            |active| active == kid,
        );
        let prepared = kid_in(&journal, KeyState::Prepared);
        let kept = prepared.filter(|_| successor == Successor::Prepared);
        let leaked = if signs { self.leaked_with(&journal, &kid, kept) } else { vec![kid] };
        for kid in leaked.iter().filter(|kid| !journal.revoked.contains(kid)) {
            add("revoke", kid);
        }
        if !is_retired {
            leaked.iter().for_each(|kid| add("retire", kid));
        }
        if signs {
            add("activate", kept.unwrap_or("a new key"));
        }
        let stranded = self.stranded(&leaked).await?;
        Ok(Emergency { made, leaked, stranded })
    }

    /// The key that leaked, after a check of its name, and the journal.
    async fn leaked_key(&self, named: Option<&str>) -> Outcome<(Journal, String)> {
        let journal = self.journal().await?;
        let kid = match named {
            Some(kid) => kid.to_owned(),
            None => self.site.current()?.kid().to_string(),
        };
        let mut known: Vec<_> = journal.keys.iter().map(|key| key.kid.clone()).collect();
        if kid_in(&journal, KeyState::Active).is_none() {
            known.push(self.site.current()?.kid().to_string());
        }
        // A leaked key may be published without being in the journal.
        known.extend(self.site.published_names());
        // Check the name before any change.
        if !known.contains(&kid) {
            let reason = format!("`{}` has no key `{kid}`, and nothing was revoked", self.site.issuer);
            return Err(known::unknown(reason, &kid, known.iter().map(String::as_str))
                .also("`service-token rotate --plan` names its keys"));
        }
        if named.is_none() {
            check_age(&journal, &kid)?;
        }
        Ok((journal, kid))
    }

    /// The active key, and the keys that were beside it and may have leaked with it.
    fn leaked_with(&self, journal: &Journal, active: &str, kept: Option<&str>) -> Vec<String> {
        let dropped = kid_in(journal, KeyState::Prepared).filter(|_| kept.is_none());
        // A key that a killed run published and did not record was beside the leaked key too.
        let published = self.site.published_names();
        let leftover = self.site.next().ok().flatten().map(|key| key.kid().to_string());
        let leftover =
            leftover.filter(|kid| published.contains(kid) && !journal.keys.iter().any(|key| key.kid == *kid));
        let dropped = dropped.map(str::to_owned);
        [active.to_owned()].into_iter().chain(dropped).chain(leftover).collect()
    }

    async fn replace(&mut self, successor: Successor) -> Outcome<Vec<String>> {
        let journal = self.journal().await?;
        let active = kid_in(&journal, KeyState::Active).unwrap_or_default().to_owned();
        let prepared = kid_in(&journal, KeyState::Prepared).map(str::to_owned);
        let kept = prepared.clone().filter(|_| successor == Successor::Prepared);
        let dropped = prepared.filter(|_| kept.is_none());
        let leaked = self.leaked_with(&journal, &active, kept.as_deref());
        // Revoke before any step that could fail.
        self.revoke(&leaked).await?;
        if let Some(kid) = &kept {
            self.site.insist_on_next(kid)?;
        }
        if let Some(kid) = &dropped {
            self.step(&[KeyStep { kid, from: KeyState::Prepared, to: KeyState::Retired }]).await?;
            self.done("retired", kid)?;
        }
        let away = KeyStep { kid: &active, from: KeyState::Active, to: KeyState::Retired };
        let taken = match kept {
            Some(kid) => {
                self.step(&[away, KeyStep { kid: &kid, from: KeyState::Prepared, to: KeyState::Active }])
                    .await?;
                kid
            }
            None => {
                // A key that was made before the leak may have leaked too.
                if self.site.next()?.is_some() {
                    self.site.discard_next()?;
                    (self.go_on)()?;
                }
                let key = self.site.make_next()?;
                (self.go_on)()?;
                let record = self.record(&key, KeyState::Active)?;
                let replaced = self.store.replace_keys(&[away], &record, now()).await;
                replaced.map_err(|error| refused(&error))?;
                record.kid
            }
        };
        self.done("retired", &active)?;
        self.done("activated", &taken)?;
        Ok(leaked)
    }

    async fn revoke(&mut self, kids: &[String]) -> Outcome<()> {
        let revocations: Vec<_> = kids
            .iter()
            .map(|kid| {
                let revocation =
                    NewRevocation::key(&self.site.issuer, kid).at(now()).because("emergency rotation");
                match &self.site.by {
                    Some(who) => revocation.by(who),
                    None => revocation,
                }
            })
            .collect();
        self.store.revoke_all(&revocations).await.map_err(|error| refused(&error))?;
        kids.iter().try_for_each(|kid| self.done("revoked", kid))
    }

    /// The services whose only valid token was signed by one of these keys.
    async fn stranded(&self, leaked: &[String]) -> Outcome<BTreeMap<String, Option<Timestamp>>> {
        let journal = self.journal().await?;
        let mut stranded = BTreeMap::new();
        // A service that was seen with the key counts, even if the registry has no token of it.
        for used in journal.uses.iter().filter(|used| leaked.contains(&used.kid)) {
            stranded.insert(used.service.clone(), None);
        }
        let now = now();
        for kid in leaked {
            let holders = self.store.holders_of(&self.site.issuer, kid).await;
            for holder in holders.map_err(|error| refused(&error))? {
                if holder.last_expiry > now {
                    let until = stranded.entry(holder.service).or_default();
                    *until = (*until).max(Some(holder.last_expiry));
                }
            }
        }
        // The journal leaves out the tokens of revoked keys. Before the revocation, it has those of the leaked keys.
        let valid = journal.holders.iter().filter(|holder| holder.last_expiry > now);
        let valid = valid.filter(|holder| !leaked.contains(&holder.kid));
        let valid: BTreeSet<_> = valid.map(|holder| holder.service.as_str()).collect();
        stranded.retain(|service, _| !valid.contains(service.as_str()));
        Ok(stranded)
    }
}

/// Refuses to replace the active key if the same command may have made it. An emergency that was run twice would
/// otherwise revoke the tokens that the first run made necessary.
fn check_age(journal: &Journal, kid: &str) -> Outcome<()> {
    let active = journal.keys.iter().find(|key| key.kid == kid && key.state == KeyState::Active);
    let age = active.and_then(|key| key.active_at).map(|at| now().since(at).unwrap_or_default());
    match age {
        Some(age) if age < YOUNG && !journal.revoked.iter().any(|revoked| revoked == kid) => {
            let minutes = age.as_secs() / 60;
            let reason = format!(
                "the active key `{kid}` has been active for only {minutes} minutes, so an earlier emergency rotation may have created it; nothing was revoked"
            );
            Err(Problem::new(ProblemCode::WouldBreak, reason)
                .help(format!("if this key leaked, name it: `service-token rotate --emergency={kid}`")))
        }
        _ => Ok(()),
    }
}
