//! Carries out a rotation: makes the due steps in an order that is safe if the program is killed.
//!
//! The journal in the store is the source of truth, and each change of it is one transaction. Three files
//! exist outside the store: the key that signs, the next key, and the key set that verifiers read. A key is
//! published before the journal records it as prepared. So the waiting time for verifiers starts only when
//! they can fetch the key. After each change, `settle` updates the files from the journal. If a run was
//! killed, the next run settles first. A private key is deleted as soon as its key has stopped signing.
//!
//! `settle` never drops a published key that the journal does not have: it records the key as retiring.

mod emergency;
mod site;

use service_only::keys::KeyState;
use service_only::{Algorithm, issue::SigningKey};
use service_only_store::rotation::{Journal, Plan, Step};
use service_only_store::{KeyRecord, KeyStep, Store, StoreError};

pub(crate) use emergency::{Emergency, Successor};
pub(crate) use site::{Site, next_file, prepared_name};

use crate::clocks;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::public_jwk::public_half;
use crate::published::{Unknown, UnknownKey};
use crate::store::{now, refused};

/// One completed action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) what: &'static str,
    pub(crate) kid: String,
}

/// One run of a rotation.
pub(crate) struct Rotation<'a> {
    store: &'a Store,
    site: &'a Site,
    made: Vec<Made>,
    /// Called between any two changes; a test stops the run there.
    go_on: &'a mut dyn FnMut() -> Outcome<()>,
}

impl<'a> Rotation<'a> {
    pub(crate) fn new(store: &'a Store, site: &'a Site, go_on: &'a mut dyn FnMut() -> Outcome<()>) -> Self {
        Self { store, site, made: Vec::new(), go_on }
    }

    /// Makes all due steps, and returns them with the plan of the next ones.
    pub(crate) async fn advance(mut self) -> Outcome<(Vec<Made>, Plan)> {
        self.settle().await?;
        loop {
            let journal = self.journal().await?;
            let plan = Plan::new(&journal, &self.site.settings, now());
            if plan.due().is_some_and(|step| *step != Step::Adopt) {
                // A step that is made too early deletes the key that verifiers still need.
                clocks::check(self.store, "no step was made").await?;
            }
            match plan.due().cloned() {
                None => return Ok((self.made, plan)),
                Some(Step::Adopt) => self.adopt().await?,
                Some(Step::Prepare) => self.prepare(&journal).await?,
                Some(Step::Activate { .. }) => self.activate(&journal).await?,
                Some(Step::Retire { kid }) => self.retire(&kid).await?,
            }
            self.settle().await?;
        }
    }

    /// Finishes a run that was killed, and begins no step.
    pub(crate) async fn finish(mut self) -> Outcome<Vec<Made>> {
        self.settle().await?;
        Ok(self.made)
    }

    async fn journal(&self) -> Outcome<Journal> {
        self.store.journal(&self.site.issuer).await.map_err(|error| refused(&error))
    }

    /// Records the configured key as the one that signs, and the other keys of the published set as retiring.
    async fn adopt(&mut self) -> Outcome<()> {
        let key = self.site.current()?;
        let journal = self.journal().await?;
        let set = self.site.published(&journal, Some(&key))?;
        if self.site.unknown == Unknown::Keep {
            set.check_tokens(&journal.holders, now())?;
        }
        let mut records = vec![self.record(&key, KeyState::Active)?];
        records.extend(self.records(&set.adoptable).await?);
        self.store.add_keys(&self.site.issuer, &records).await.map_err(|error| refused(&error))?;
        self.done("adopted", key.kid().as_str())?;
        self.adopted(&set.adoptable)
    }

    /// Records the keys of the published set that the journal does not have.
    async fn adopt_unknown(&mut self, journal: Journal) -> Outcome<Journal> {
        let unknown = self.site.published(&journal, None)?.adoptable;
        if unknown.is_empty() {
            return Ok(journal);
        }
        let records = self.records(&unknown).await?;
        self.store.add_keys(&self.site.issuer, &records).await.map_err(|error| refused(&error))?;
        self.adopted(&unknown)?;
        self.journal().await
    }

    fn adopted(&mut self, unknown: &[UnknownKey]) -> Outcome<()> {
        unknown
            .iter()
            .try_for_each(|key| self.done(if key.is_revoked { "retired" } else { "kept" }, &key.kid))
    }

    /// The records of published keys. Their private halves are elsewhere, or nowhere.
    async fn records(&self, unknown: &[UnknownKey]) -> Outcome<Vec<KeyRecord>> {
        let (issuer, at) = (&self.site.issuer, now());
        let mut records = Vec::new();
        for key in unknown {
            let last = self.store.last_expiry(issuer, &key.kid).await.map_err(|error| refused(&error))?;
            records.push(KeyRecord {
                issuer: issuer.clone(),
                kid: key.kid.clone(),
                algorithm: key.algorithm.clone(),
                state: if key.is_revoked { KeyState::Retired } else { KeyState::Retiring },
                file: None,
                public_jwk: Some(key.jwk.to_string()),
                prepared_at: at,
                active_at: None,
                retiring_at: Some(at),
                retired_at: key.is_revoked.then_some(at),
                expires_at: last,
            });
        }
        Ok(records)
    }

    async fn prepare(&mut self, journal: &Journal) -> Outcome<()> {
        let key = self.site.make_next()?;
        (self.go_on)()?;
        self.site.publish(journal, Some(&key))?;
        (self.go_on)()?;
        let record = self.record(&key, KeyState::Prepared)?;
        match self.store.add_key(&record).await {
            Ok(()) => self.done("prepared", key.kid().as_str()),
            Err(error) => {
                if let StoreError::KeyExists { .. } = error {
                    // Another program prepared a key first: discard this key. While its file exists, it is known
                    // as a key that never signed.
                    self.site.publish(&self.journal().await?, None)?;
                    self.site.discard_next()?;
                }
                Err(refused(&error))
            }
        }
    }

    async fn activate(&mut self, journal: &Journal) -> Outcome<()> {
        let kid = kid_in(journal, KeyState::Prepared).unwrap_or_default();
        self.site.insist_on_next(kid)?;
        let active = kid_in(journal, KeyState::Active);
        let away = active.map(|kid| KeyStep { kid, from: KeyState::Active, to: KeyState::Retiring });
        let takeover = KeyStep { kid, from: KeyState::Prepared, to: KeyState::Active };
        let steps: Vec<_> = away.into_iter().chain([takeover]).collect();
        self.step(&steps).await?;
        self.done("activated", kid)
    }

    async fn retire(&mut self, kid: &str) -> Outcome<()> {
        self.step(&[KeyStep { kid, from: KeyState::Retiring, to: KeyState::Retired }]).await?;
        self.done("retired", kid)
    }

    async fn step(&self, steps: &[KeyStep<'_>]) -> Outcome<()> {
        self.store.step_keys(&self.site.issuer, steps, now()).await.map_err(|error| refused(&error))
    }

    fn done(&mut self, what: &'static str, kid: &str) -> Outcome<()> {
        self.made.push(Made { what, kid: kid.to_owned() });
        (self.go_on)()
    }

    /// Updates the files from the journal. It publishes first, because a program that signs with a key must
    /// find the key published.
    async fn settle(&mut self) -> Outcome<()> {
        let journal = self.journal().await?;
        if kid_in(&journal, KeyState::Active).is_none() {
            return Ok(());
        }
        let journal = self.adopt_unknown(journal).await?;
        let active = kid_in(&journal, KeyState::Active).unwrap_or_default();
        let dropped = self.site.publish(&journal, None)?.dropped;
        (self.go_on)()?;
        dropped.iter().try_for_each(|kid| self.done("dropped", kid))?;
        match self.site.next()? {
            Some(key) if key.kid().as_str() == active => {
                self.site.promote()?;
                (self.go_on)()?;
            }
            Some(key) if Some(key.kid().as_str()) == kid_in(&journal, KeyState::Prepared) => {}
            // The key is left from a run that was killed. It has never signed.
            Some(key) => {
                let kid = key.kid().as_str();
                let is_known = journal.keys.iter().any(|known| known.kid == kid)
                    || journal.revoked.iter().any(|revoked| revoked == kid);
                if is_known {
                    self.site.discard_next()?
                } else {
                    self.site.put_back_next()?
                }
                (self.go_on)()?;
            }
            None => {}
        }
        self.insist_on(active)?;
        self.site.destroy_former()
    }

    /// Checks that the active key is the one that signs here. Otherwise another program issued the tokens.
    fn insist_on(&self, active: &str) -> Outcome<()> {
        let current = self.site.current()?;
        if current.kid().as_str() == active {
            return Ok(());
        }
        let file = self.site.file.display();
        let reason =
            format!("`{file}` contains the key `{}`, but `{active}` is the active key", current.kid());
        Err(Problem::new(ProblemCode::BadKey, reason).help(
            "run `rotate` on the machine with the active key, or copy the file of this key to this machine; after a leak, run `rotate --emergency`",
        ))
    }

    fn record(&self, key: &SigningKey, state: KeyState) -> Outcome<KeyRecord> {
        let at = now();
        Ok(KeyRecord {
            issuer: self.site.issuer.clone(),
            kid: key.kid().to_string(),
            algorithm: key.algorithm().as_str().to_owned(),
            state,
            file: Some(self.site.place_of(key)),
            public_jwk: Some(public_half(key)?.to_string()),
            prepared_at: at,
            active_at: (state == KeyState::Active).then_some(at),
            retiring_at: None,
            retired_at: None,
            expires_at: None,
        })
    }
}

fn kid_in(journal: &Journal, state: KeyState) -> Option<&str> {
    journal.keys.iter().find(|key| key.state == state).map(|key| key.kid.as_str())
}

/// A published set is public, so it cannot contain a secret.
fn check_rotatable(algorithm: Algorithm, kid: Option<&str>) -> Outcome<()> {
    if algorithm.is_symmetric() {
        let reason = format!("{algorithm} is an HMAC secret, which cannot be published");
        return Err(Problem::usage(reason).help("rotate an asymmetric key, such as ES256"));
    }
    if let Some(kid) = kid {
        return Err(Problem::usage(format!("the configuration gives every key the same key id, `{kid}`"))
            .help("leave `kid` out of `[key]`, so that each key has its own thumbprint as key id"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
