//! Tokens that were accepted before: the way around the signature, and around nothing else.
//!
//! Each thread of a verifier has a table of its own, so that a hit takes no lock and writes to no memory
//! that another thread reads. A hit says "accept" or nothing: whatever is not as it was when the token was
//! accepted (its keys, the times, its revocation) ends in the cold path, which decides as ever.

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
    keys::KeySet,
    recorder::Recorder,
    threads::{OwnLine, locked},
    times::{Moment, Times},
    trusted::Trusted,
};

/// Tokens that a thread remembers unless told otherwise: one of each of a thousand callers, in at most
/// two and a quarter mebibytes.
pub const DEFAULT_CACHED_TOKENS: usize = 1_024;

/// What the table of a thread may hold in bytes, for each token that it may hold: room for a text of some
/// 400 bytes, its claims, what surrounds them and what its records have in common.
const BYTES_A_TOKEN: usize = 2_048 + MAX_FRAGMENT;

/// The tables of one verifier.
pub(crate) struct TokenCache {
    tokens: usize,
    threads: ThreadLocal<OwnLine<RefCell<Table>>>,
    /// One counter a thread, added to only by it.
    hits: Mutex<Vec<Arc<OwnLine<AtomicU64>>>>,
}

/// What becomes of a token that the table does not answer for.
pub(crate) enum Miss {
    /// Nothing: there is no table, or it is in use further up the stack.
    Forget,
    /// A token that was not seen lately. Noted, if it is accepted.
    Note { hash: u64 },
    /// One that was: remembered, if it is accepted.
    Remember { hash: u64 },
}

/// What an acceptance rests on, written down on the way where it is to be remembered.
#[derive(Default)]
pub(crate) struct Grounds {
    wanted: bool,
    /// The keys that the issuers had, in their order, up to the one that accepts.
    keys: Vec<KeySet>,
    times: Option<Times>,
    /// The epoch of the revocations under which the token is good; `None` where the store is asked each
    /// time.
    epoch: Option<u64>,
    /// An issuer refused the token for what may change while its keys do not.
    unsettled: bool,
}

impl TokenCache {
    /// At most `tokens` for each thread; none at all for zero.
    pub(crate) fn new(tokens: usize) -> Self {
        Self { tokens, threads: ThreadLocal::new(), hits: Mutex::default() }
    }

    /// The identity of a token that was accepted before and is good still; or what to do with it.
    pub(crate) fn find(
        &self,
        token: &[u8],
        issuers: &[Arc<Trusted>],
        recorder: &Recorder,
        at: Moment,
    ) -> Result<(Identity, usize), Miss> {
        if self.tokens == 0 {
            return Err(Miss::Forget);
        }
        let own = self.threads.get_or(|| OwnLine(RefCell::new(self.table())));
        // A source, a store or a clock that asks this verifier itself finds the table in use.
        let Ok(mut table) = own.0.try_borrow_mut() else { return Err(Miss::Forget) };
        match table.find(token, issuers, recorder, at) {
            Found::Good(good) => Ok(good),
            Found::Seen(hash) => Err(Miss::Remember { hash }),
            Found::New(hash) => Err(Miss::Note { hash }),
        }
    }

    /// Takes note of a token that was accepted, the first time and the second.
    pub(crate) fn accepted(&self, miss: Miss, grounds: Grounds, at: Moment, remembered: Remembered<'_>) {
        let Some(Ok(mut table)) = self.threads.get().map(|own| own.0.try_borrow_mut()) else { return };
        match miss {
            Miss::Forget => {}
            Miss::Note { hash } => table.note(hash),
            Miss::Remember { hash } => table.insert(hash, grounds, at, remembered),
        }
    }

    /// How often a token was found and good, over all threads.
    pub(crate) fn hits(&self) -> u64 {
        let hits = locked(&self.hits);
        hits.iter().fold(0, |sum, hits| sum.saturating_add(hits.0.load(Ordering::Relaxed)))
    }

    /// Once for each thread.
    fn table(&self) -> Table {
        let hits = Arc::new(OwnLine(AtomicU64::new(0)));
        locked(&self.hits).push(Arc::clone(&hits));
        Table::new(self.tokens, self.tokens.saturating_mul(BYTES_A_TOKEN), hits)
    }
}

impl Miss {
    /// An empty account of what the acceptance will rest on.
    pub(crate) fn grounds(&self) -> Grounds {
        Grounds { wanted: matches!(self, Self::Remember { .. }), ..Grounds::default() }
    }
}

impl Grounds {
    /// The keys that an issuer has now, before anything is decided with them.
    pub(crate) fn keys(&mut self, keys: &KeySet) {
        if self.wanted {
            self.keys.push(keys.clone());
        }
    }

    /// The times of the claims, and the epoch of the revocations under which the token is good.
    pub(crate) fn accepted(&mut self, times: Times, epoch: Option<u64>) {
        (self.times, self.epoch) = (Some(times), epoch);
    }

    /// An issuer refuses, and the next one is asked. Up to the signature that depends on nothing but the
    /// token and the keys. After it, it may depend on the hour: another issuer would answer then.
    pub(crate) fn refused(&mut self, denial: &Denial) {
        self.unsettled |= denial.stage() > Stage::Signature || denial.code() == Code::KeysUnavailable;
    }
}

/// Who holds a place in the table: a service of an issuer, or a user.
fn name(identity: &Identity) -> (&'static str, &str) {
    match identity {
        Identity::Service(caller) => ("service", Caller::service(caller)),
        Identity::User(user) => ("user", user.id().unwrap_or_default()),
    }
}
