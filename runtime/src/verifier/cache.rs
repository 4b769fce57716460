//! The cache of accepted tokens. A hit skips the check of the signature, and no other check.
//!
//! Each thread of a verifier has its own table, so that a hit takes no lock and writes to no memory
//! that another thread reads. A hit can only accept. If anything has changed since the token was accepted
//! (its keys, the times, its revocation), the cold path runs and decides as without a cache.

mod seen;
mod table;

use std::{
    cell::RefCell,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

pub(crate) use table::Remembered;
use table::{Found, Table};
use thread_local::ThreadLocal;

use crate::{
    caller::{Caller, Identity, MAX_FRAGMENT},
    denial::{Code, Denial, Stage},
    evidence::Evidence,
    keys::KeySet,
    recorder::Recorder,
    threads::{OwnLine, locked},
    times::{Moment, Times},
    trusted::Trusted,
};

/// See [`Verifier::DEFAULT_CACHED_TOKENS`].
pub(crate) const DEFAULT_CACHED_TOKENS: usize = 1_024;

/// The byte limit of a thread's table for each token that it may hold: space for a text of about 400 bytes, its
/// claims, the overhead and the common part of its audit records.
const BYTES_A_TOKEN: usize = 2_048 + MAX_FRAGMENT;

/// The tables of one verifier.
pub(crate) struct TokenCache {
    tokens: usize,
    threads: ThreadLocal<OwnLine<RefCell<Table>>>,
    /// One counter for each thread, which only that thread increments.
    hits: Mutex<Vec<Arc<OwnLine<AtomicU64>>>>,
}

/// What to do with a token that is not in the table.
pub(crate) enum Miss {
    /// Do nothing: the thread has no table, or a caller further up the stack uses it.
    Forget,
    /// The token was not seen lately. Note its hash if it is accepted.
    Note { hash: u64 },
    /// The token was seen lately. Cache it if it is accepted.
    Remember { hash: u64 },
}

/// The facts that an acceptance depends on. They are collected during verification if the token may be cached.
#[derive(Default)]
pub(crate) struct Grounds {
    wanted: bool,
    /// The keys of the issuers, in their order, up to the issuer that accepts.
    keys: Vec<KeySet>,
    times: Option<Times>,
    /// The epoch of the revocations in which the token is valid; `None` if the store must be queried every
    /// time.
    epoch: Option<u64>,
    /// An issuer refused the token for a reason that may change while its keys stay the same.
    unsettled: bool,
}

impl TokenCache {
    /// Creates a cache of at most `tokens` for each thread; zero disables it.
    pub(crate) fn new(tokens: usize) -> Self {
        Self { tokens, threads: ThreadLocal::new(), hits: Mutex::default() }
    }

    /// Returns the identity of a cached token that is still valid, or else what to do with the token.
    pub(crate) fn find(
        &self,
        token: &[u8],
        issuers: &[Arc<Trusted>],
        recorder: &Recorder,
        evidence: Evidence<'_>,
        at: Moment,
    ) -> Result<(Identity, usize), Miss> {
        if self.tokens == 0 {
            return Err(Miss::Forget);
        }
        let own = self.threads.get_or(|| OwnLine(RefCell::new(self.table())));
        // A key source, a store or a clock that calls this verifier itself finds the table in use.
        let Ok(mut table) = own.0.try_borrow_mut() else { return Err(Miss::Forget) };
        match table.find(token, issuers, recorder, evidence, at) {
            Found::Good(good) => Ok(good),
            Found::Seen(hash) => Err(Miss::Remember { hash }),
            Found::New(hash) => Err(Miss::Note { hash }),
        }
    }

    /// Records an accepted token: notes its hash the first time, and caches the token the second time.
    pub(crate) fn accepted(&self, miss: Miss, grounds: Grounds, at: Moment, remembered: Remembered<'_>) {
        let Some(Ok(mut table)) = self.threads.get().map(|own| own.0.try_borrow_mut()) else { return };
        match miss {
            Miss::Forget => {}
            Miss::Note { hash } => table.note(hash),
            Miss::Remember { hash } => table.insert(hash, grounds, at, remembered),
        }
    }

    /// How often a cached token was found and still valid, summed over all threads.
    pub(crate) fn hits(&self) -> u64 {
        let hits = locked(&self.hits);
        hits.iter().fold(0, |sum, hits| sum.saturating_add(hits.0.load(Ordering::Relaxed)))
    }

    /// Creates the table of a thread.
    fn table(&self) -> Table {
        let hits = Arc::new(OwnLine(AtomicU64::new(0)));
        locked(&self.hits).push(Arc::clone(&hits));
        Table::new(self.tokens, self.tokens.saturating_mul(BYTES_A_TOKEN), hits)
    }
}

impl Miss {
    /// Creates an empty collection of the facts that the acceptance will depend on.
    pub(crate) fn grounds(&self) -> Grounds {
        Grounds { wanted: matches!(self, Self::Remember { .. }), ..Grounds::default() }
    }
}

impl Grounds {
    /// Adds the current keys of an issuer, before anything is decided with them.
    pub(crate) fn keys(&mut self, keys: &KeySet) {
        if self.wanted {
            self.keys.push(keys.clone());
        }
    }

    /// Adds the keys of an issuer that was not tried, because the token names another. The table compares the keys of
    /// all issuers up to the one that accepts.
    pub(crate) fn passed_over(&mut self, keys: impl FnOnce() -> Result<KeySet, Denial>) {
        if self.wanted {
            match keys() {
                Ok(keys) => self.keys.push(keys),
                Err(_) => self.unsettled = true,
            }
        }
    }

    /// Adds the times of the claims, and the epoch of the revocations in which the token is valid.
    pub(crate) fn accepted(&mut self, times: Times, epoch: Option<u64>) {
        (self.times, self.epoch) = (Some(times), epoch);
    }

    /// Adds the refusal of one issuer, before the next one is tried. A refusal up to the signature depends only on
    /// the token and the keys. A later one may depend on the time, so at another time another issuer could decide.
    pub(crate) fn refused(&mut self, denial: &Denial) {
        self.unsettled |= denial.stage() > Stage::Signature || denial.code() == Code::KeysUnavailable;
    }
}

/// The name of a holder in the table: a service of an issuer, or a user.
fn name(identity: &Identity) -> (&'static str, &str) {
    match identity {
        Identity::Service(caller) => ("service", Caller::service(caller)),
        Identity::User(user) => ("user", user.id().unwrap_or_default()),
    }
}
