//! Reads what a store contributes to a verdict on a token: the revocations, and the keys that an issuer
//! rotates.
//!
//! It reads everything once, as a service does. If the store cannot be read, the command reports an error:
//! without the revocations, a revoked token would look valid.

use std::env::VarError;

use clap::Args;
use service_only::{
    KeySet,
    clock::{Clock, FixedClock, SystemClock, Timestamp},
    revocation::MemoryRevocations,
};
use service_only_store::{KeyRecord, Store, StoreError};

use super::{StoreOptions, StoreUrl, refused, run};
use crate::config::Config;
use crate::escape;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::published;

/// The revocations that one query reads.
const PAGE: u32 = 2_000;

/// Which store is asked about a token.
#[derive(Args, Debug)]
pub(crate) struct AskedStore {
    /// Store with the revocations to check, `sqlite:PATH` or
    /// `postgres://USER@HOST/DATABASE` [default: the variable SERVICE_TOKEN_STORE, else `store` of the
    /// configuration]
    // Without `env`: the variable must not conflict with `--batch`, where each case sets everything itself.
    #[arg(long, value_name = "URL")]
    store: Option<StoreUrl>,
    /// Do not check revocations, although a store is configured
    #[arg(long, conflicts_with = "store")]
    no_store: bool,
}

/// The content of the store.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) revocations: MemoryRevocations,
    /// All keys that the verifiers of the configuration's issuer have, after its first rotation.
    pub(crate) ring: Option<KeySet>,
}

impl AskedStore {
    /// Reads the store, if one is configured, as of `now`, if a time is given.
    pub(crate) fn ask(&self, config: Option<&Config>, now: Option<Timestamp>) -> Outcome<Option<Known>> {
        let Some(url) = self.url(config)? else { return Ok(None) };
        let known = run(async {
            let store = Store::open(&url).await.map_err(|error| refused(&error))?;
            let revocations = match now {
                Some(now) => revocations(&store, FixedClock(now)).await?,
                None => revocations(&store, SystemClock).await?,
            };
            let keys = match config {
                Some(config) => store.keys(&config.issuer).await.map_err(|error| refused(&error))?,
                None => Vec::new(),
            };
            Ok(Known { revocations, ring: ring(&keys)? })
        });
        known.map(Some).map_err(|problem| problem.help("`--no-store` verifies without checking revocations"))
    }

    fn url(&self, config: Option<&Config>) -> Outcome<Option<String>> {
        if self.no_store {
            return Ok(None);
        }
        let store = match (&self.store, std::env::var("SERVICE_TOKEN_STORE")) {
            (Some(store), _) => Some(store.clone()),
            (None, Ok(url)) => Some(StoreUrl(url)),
            (None, Err(VarError::NotPresent)) => None,
            (None, Err(VarError::NotUnicode(_))) => {
                return Err(Problem::usage("the variable SERVICE_TOKEN_STORE is not text"));
            }
        };
        Ok(StoreOptions { store }.url(config))
    }
}

async fn revocations(store: &Store, clock: impl Clock) -> Outcome<MemoryRevocations> {
    let memory = MemoryRevocations::with_limit(MemoryRevocations::MAX_REVOCATIONS, clock);
    let mut last = 0;
    loop {
        let page: Result<_, StoreError> = store.revocations_since(last, PAGE).await;
        let page = page.map_err(|error| refused(&error))?;
        for record in &page {
            record
                .revocation
                .hold_in(&memory)
                .map_err(|full| Problem::new(ProblemCode::Store, full.to_string()))?;
        }
        match page.last() {
            Some(record) => last = record.sequence,
            None => return Ok(memory),
        }
    }
}

/// The keys of the journal that `rotate` publishes.
fn ring(keys: &[KeyRecord]) -> Outcome<Option<KeySet>> {
    if keys.is_empty() {
        return Ok(None);
    }
    let live = published::live(keys)?;
    let set = escape::pretty_json(&serde_json::json!({ "keys": live })).map_err(|error| {
        Problem::new(ProblemCode::BadKey, format!("cannot read the keys of the store: {error}"))
    })?;
    KeySet::from_jwks(set.as_bytes())
        .map(Some)
        .map_err(|error| Problem::key(&error).at("the store".to_owned()))
}
