//! The hand that turns the keys: makes the steps that are due, in an order that a kill cannot spoil.
//!
//! The journal in the store is the truth, and each change of it is one transaction. Outside of it are
//! three files: the key that signs, the key that will, and the set that verifiers read. A key is
//! published before the journal calls it prepared, so that the time which verifiers are given counts from
//! there; and what the journal says is carried out afterwards by `settle`, which a run that was cut off
//! left to the next one. A private half is gone as soon as its key has ceased to sign.

mod emergency;
mod site;

use service_only::{Algorithm, issue::SigningKey};
use service_only_store::rotation::{Journal, Plan, Step};
use service_only_store::{KeyRecord, KeyStage, KeyStep, Store, StoreError};

pub(crate) use emergency::{Emergency, Successor};
pub(crate) use site::Site;

use crate::new_file;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::public_jwk::public_half;
use crate::store::{now, refused};

/// What was done.
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
    /// Asked between any two changes; a test cuts the run off there.
    go_on: &'a mut dyn FnMut() -> Outcome<()>,
}

impl<'a> Rotation<'a> {
    pub(crate) fn new(store: &'a Store, site: &'a Site, go_on: &'a mut dyn FnMut() -> Outcome<()>) -> Self {
        Self { store, site, made: Vec::new(), go_on }
    }

    /// Makes all steps that are due, and says what comes next.
    pub(crate) async fn advance(mut self) -> Outcome<(Vec<Made>, Plan)> {
        self.settle().await?;
        loop {
            let journal = self.journal().await?;
            let plan = Plan::new(&journal, &self.site.settings, now());
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

    async fn journal(&self) -> Outcome<Journal> {
        self.store.journal(&self.site.issuer).await.map_err(|error| refused(&error))
    }

    /// The key of the configuration is written down as the one that signs.
    async fn adopt(&mut self) -> Outcome<()> {
        let key = self.site.current()?;
        let record = self.record(&key, KeyStage::Active)?;
        self.store.add_key(&record).await.map_err(|error| refused(&error))?;
        self.done("adopted", key.kid().as_str())
    }

    async fn prepare(&mut self, journal: &Journal) -> Outcome<()> {
        let key = self.make_next()?;
        (self.go_on)()?;
        self.site.publish(journal, Some(&key))?;
        (self.go_on)()?;
        let record = self.record(&key, KeyStage::Prepared)?;
        match self.store.add_key(&record).await {
            Ok(()) => self.done("prepared", key.kid().as_str()),
            Err(error) => {
                if let StoreError::Conflict(_) = error {
                    // Somebody else was faster, elsewhere: this key is none.
                    new_file::remove(&self.site.next)?;
                    self.site.publish(&self.journal().await?, None)?;
                }
                Err(refused(&error))
            }
        }
    }

    fn make_next(&self) -> Outcome<SigningKey> {
        let key = self.site.successor()?;
        self.site.write_next(&key)?;
        Ok(key)
    }

    async fn activate(&mut self, journal: &Journal) -> Outcome<()> {
        let kid = kid_in(journal, KeyStage::Prepared).unwrap_or_default();
        self.site.insist_on_next(kid)?;
        let active = kid_in(journal, KeyStage::Active);
        let away = active.map(|kid| KeyStep { kid, from: KeyStage::Active, to: KeyStage::Retiring });
        let takeover = KeyStep { kid, from: KeyStage::Prepared, to: KeyStage::Active };
        let steps: Vec<_> = away.into_iter().chain([takeover]).collect();
        self.step(&steps).await?;
        self.done("activated", kid)
    }

    async fn retire(&mut self, kid: &str) -> Outcome<()> {
        self.step(&[KeyStep { kid, from: KeyStage::Retiring, to: KeyStage::Retired }]).await?;
        self.done("retired", kid)
    }

    async fn step(&self, steps: &[KeyStep<'_>]) -> Outcome<()> {
        self.store.step_keys(&self.site.issuer, steps, now()).await.map_err(|error| refused(&error))
    }

    fn done(&mut self, what: &'static str, kid: &str) -> Outcome<()> {
        self.made.push(Made { what, kid: kid.to_owned() });
        (self.go_on)()
    }

    /// Makes the files what the journal says. Publishing comes first: whoever signs with a key must find
    /// it published.
    async fn settle(&mut self) -> Outcome<()> {
        let journal = self.journal().await?;
        let Some(active) = kid_in(&journal, KeyStage::Active) else { return Ok(()) };
        self.site.publish(&journal, None)?;
        (self.go_on)()?;
        match self.site.next()? {
            Some(key) if key.kid().as_str() == active => {
                new_file::promote(&self.site.next, &self.site.file)?;
                (self.go_on)()?;
            }
            Some(key) if Some(key.kid().as_str()) == kid_in(&journal, KeyStage::Prepared) => {}
            // Of a run that was cut off. Nobody has signed with it.
            Some(_) => {
                new_file::remove(&self.site.next)?;
                (self.go_on)()?;
            }
            None => {}
        }
        self.insist_on(active)
    }

    /// The key in charge must be the one that signs here, or its tokens are somebody else's work.
    fn insist_on(&self, active: &str) -> Outcome<()> {
        let current = self.site.current()?;
        if current.kid().as_str() == active {
            return Ok(());
        }
        let file = self.site.file.display();
        let reason = format!("`{file}` holds the key `{}`, and `{active}` is the active one", current.kid());
        Err(Problem::new(ProblemCode::BadKey, reason).help(
            "rotate where the active key is, or bring its file here; after a leak, `rotate --emergency`",
        ))
    }

    fn record(&self, key: &SigningKey, state: KeyStage) -> Outcome<KeyRecord> {
        let at = now();
        Ok(KeyRecord {
            issuer: self.site.issuer.clone(),
            kid: key.kid().to_string(),
            algorithm: key.algorithm().as_str().to_owned(),
            state,
            file: Some(self.site.file.display().to_string()),
            public_jwk: Some(public_half(key)?.to_string()),
            prepared_at: at,
            active_at: (state == KeyStage::Active).then_some(at),
            retiring_at: None,
            retired_at: None,
            expires_at: None,
        })
    }
}

fn kid_in(journal: &Journal, state: KeyStage) -> Option<&str> {
    journal.keys.iter().find(|key| key.state == state).map(|key| key.kid.as_str())
}

/// A set that everybody may read cannot hold a secret.
fn check_rotatable(algorithm: Algorithm, kid: Option<&str>) -> Outcome<()> {
    if algorithm.is_symmetric() {
        let reason =
            format!("{algorithm} is an HMAC secret, which cannot be published for verifiers to learn");
        return Err(Problem::usage(reason).help("rotate an asymmetric key, such as ES256"));
    }
    if let Some(kid) = kid {
        return Err(Problem::usage(format!("the configuration names every key `{kid}`"))
            .help("leave `kid` out of `[key]`: a key that rotates is known by its thumbprint"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
