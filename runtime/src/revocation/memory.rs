//! Revocations in memory: bounded, and removed after their tokens have expired.

mod patient;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    error::Error,
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use patient::{Moment, PatientTime};

use super::{PresentedToken, RevocationOutage, RevocationStatus, RevocationStore};
use crate::{
    clock::{Clock, Stopwatch, SystemClock, Timestamp},
    times::MAX_LEEWAY,
};

/// How many expired entries are removed in one step of some microseconds. No reader waits longer than that.
const PURGE_STEP: usize = 256;

/// A revocation store in memory. It is cheap to clone; all clones share one state.
///
/// ```
/// use service_only::{clock::Timestamp, revocation::MemoryRevocations};
///
/// let revocations = MemoryRevocations::new();
/// let expires_at = Timestamp::from_unix(1_798_761_600);
/// revocations.revoke_token("bakery-auth", "76514ef5-446e-4842-932c-231cd329f030", expires_at)?;
/// # Ok::<(), service_only::revocation::RevocationsFull>(())
/// ```
#[derive(Clone)]
pub struct MemoryRevocations(Arc<Shared>);

struct Shared {
    state: RwLock<State>,
    /// Counts the changes. It is incremented before each change.
    epoch: AtomicU64,
    limit: usize,
    clock: Box<dyn Clock>,
    /// A monotonic clock, which continues when the other clock is set.
    ticks: Box<dyn Fn() -> Duration + Send + Sync>,
}

/// Instants are whole seconds, which need half of the memory of a [`Timestamp`].
struct State {
    time: PatientTime,
    /// The latest expiry of all tokens whose revocations were removed.
    forgotten: i64,
    /// Expiry by issuer, then by `jti`, so that a lookup does not build a key.
    tokens: HashMap<String, HashMap<Arc<str>, i64>>,
    /// The same entries, sorted by the second of their expiry.
    expiries: BTreeSet<(i64, String, Arc<str>)>,
    services: HashMap<String, HashMap<String, i64>>,
    keys: HashMap<String, HashSet<String>>,
    count: usize,
}

impl Default for MemoryRevocations {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryRevocations {
    /// The default maximum number of revocations in a store. A million revoked tokens need 235 to 270 MiB. This figure
    /// comes from a measurement with 100,000 revocations, in which the process grew by 247 to 279 bytes for each.
    pub const MAX_REVOCATIONS: usize = 1_000_000;

    /// Creates an empty store of at most [`MemoryRevocations::MAX_REVOCATIONS`].
    pub fn new() -> Self {
        Self::with_limit(MemoryRevocations::MAX_REVOCATIONS, SystemClock)
    }

    /// Creates an empty store of at most `limit` revocations, which removes expired ones by `clock`. If the clock jumps
    /// ahead, the store continues with the earlier time for one to two hours. So if the jump was a mistake that is
    /// corrected in this time, no revocation is removed too early. In the first hour, the store removes no revocation
    /// at all.
    pub fn with_limit(limit: usize, clock: impl Clock) -> Self {
        let watch = Stopwatch::start();
        Self::with_ticks(limit, clock, move || watch.elapsed())
    }

    fn with_ticks(
        limit: usize,
        clock: impl Clock,
        ticks: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Self {
        let state = State {
            time: PatientTime::new(Moment { unix: clock.now().unix(), ticks: ticks() }),
            forgotten: i64::MIN,
            tokens: HashMap::new(),
            expiries: BTreeSet::new(),
            services: HashMap::new(),
            keys: HashMap::new(),
            count: 0,
        };
        Self(Arc::new(Shared {
            state: RwLock::new(state),
            epoch: AtomicU64::new(0),
            limit,
            clock: Box::new(clock),
            ticks: Box::new(ticks),
        }))
    }

    /// Revokes one token, by its issuer and `jti`. The revocation is removed after the token has expired:
    /// `expires_at` is its `exp`, to which five minutes of leeway are added. `issuer` is the name under which
    /// the verifier trusts it: the `iss`, or the trust domain of a SPIFFE token.
    ///
    /// # Errors
    /// When the store is full. No entry is removed to make room, because its revoked token would be accepted again.
    pub fn revoke_token(
        &self,
        issuer: &str,
        jti: &str,
        expires_at: Timestamp,
    ) -> Result<(), RevocationsFull> {
        let forget_at = expires_at.plus(MAX_LEEWAY).unix();
        let mut state = self.write_with_room();
        let known = state.tokens.get(issuer).and_then(|tokens| tokens.get_key_value(jti));
        if let Some((name, old)) = known.map(|(name, old)| (Arc::clone(name), *old)) {
            // If a token is revoked twice, the later expiry applies.
            if forget_at > old {
                state.expiries.remove(&(old, issuer.to_owned(), Arc::clone(&name)));
                state.expiries.insert((forget_at, issuer.to_owned(), Arc::clone(&name)));
                state.tokens.entry(issuer.to_owned()).or_default().insert(name, forget_at);
            }
            return Ok(());
        }
        self.check_room(&state)?;
        let name: Arc<str> = jti.into();
        state.expiries.insert((forget_at, issuer.to_owned(), Arc::clone(&name)));
        state.tokens.entry(issuer.to_owned()).or_default().insert(name, forget_at);
        state.count += 1;
        Ok(())
    }

    /// Revokes all tokens of a service that were issued up to and within the second of `issued_by`. This includes
    /// tokens without `iat`. It also includes tokens whose `iat` is ahead of the verifier's clock by more than its
    /// leeway and [`Verifier::MAX_ISSUED_AHEAD`](crate::Verifier::MAX_ISSUED_AHEAD), for as long as it is: when that
    /// time comes, such a token passes for a new one. So revoke it by its `jti` too, or revoke its key. If the
    /// issuer's clock may be ahead by less, set `issued_by` ahead by the same time.
    ///
    /// # Errors
    /// When the store is full.
    pub fn revoke_service(
        &self,
        issuer: &str,
        service: &str,
        issued_by: Timestamp,
    ) -> Result<(), RevocationsFull> {
        let issued_by = issued_by.unix();
        let mut state = self.write_with_room();
        if !state.services.get(issuer).is_some_and(|services| services.contains_key(service)) {
            self.check_room(&state)?;
            state.count += 1;
        }
        let services = state.services.entry(issuer.to_owned()).or_default();
        let before = services.entry(service.to_owned()).or_insert(issued_by);
        // If a service is revoked twice, the later instant applies.
        *before = issued_by.max(*before);
        Ok(())
    }

    /// Revokes a key, and with it every token that it signed. A key without a name cannot be revoked; remove it
    /// from the key set instead.
    ///
    /// # Errors
    /// When the store is full.
    pub fn revoke_key(&self, issuer: &str, kid: &str) -> Result<(), RevocationsFull> {
        let mut state = self.write_with_room();
        if !state.keys.get(issuer).is_some_and(|keys| keys.contains(kid)) {
            self.check_room(&state)?;
            state.keys.entry(issuer.to_owned()).or_default().insert(kid.to_owned());
            state.count += 1;
        }
        Ok(())
    }

    /// Undoes [`revoke_token`](Self::revoke_token), and returns whether there was such a revocation. A token
    /// that is also revoked with its service or its key stays revoked.
    pub fn undo_token(&self, issuer: &str, jti: &str) -> bool {
        self.write().remove_token(issuer, jti)
    }

    /// Undoes [`revoke_service`](Self::revoke_service), for tokens of all ages. Returns whether there was such a
    /// revocation.
    pub fn undo_service(&self, issuer: &str, service: &str) -> bool {
        self.write().remove_service(issuer, service)
    }

    /// Undoes [`revoke_key`](Self::revoke_key), and returns whether there was such a revocation.
    pub fn undo_key(&self, issuer: &str, kid: &str) -> bool {
        self.write().remove_key(issuer, kid)
    }

    /// Replaces an undone revocation with one that covers fewer tokens. It is one step, so
    /// that a token that both cover is never accepted in between.
    pub(crate) fn shorten_service(&self, issuer: &str, service: &str, issued_by: Timestamp) {
        let mut state = self.write();
        let services = state.services.get_mut(issuer);
        if let Some(held) = services.and_then(|services| services.get_mut(service)) {
            *held = issued_by.unix();
        }
    }

    /// The number of revocations in the store.
    pub fn len(&self) -> usize {
        self.read().count
    }

    /// Whether the store has no revocation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a token has expired for so long that its revocation need not be stored. Use it only if you call
    /// [`remember`](Self::remember) later, since the clock may be wrong.
    pub(crate) fn pass_over(&self, expires_at: Timestamp) -> bool {
        let forget_at = expires_at.plus(MAX_LEEWAY + patient::PATIENCE).unix();
        if forget_at > self.0.clock.now().unix() {
            return false;
        }
        let mut state = self.write();
        state.forgotten = state.forgotten.max(forget_at);
        true
    }

    /// Whether the clock went back to a time at which a token may be valid whose revocation was
    /// removed. It returns `true` once; the caller must then load all revocations again.
    pub(crate) fn remember(&self) -> bool {
        if self.read().forgotten <= self.0.clock.now().unix() {
            return false;
        }
        self.write().forgotten = i64::MIN;
        true
    }

    fn check_room(&self, state: &State) -> Result<(), RevocationsFull> {
        if state.count >= self.0.limit { Err(RevocationsFull { limit: self.0.limit }) } else { Ok(()) }
    }

    /// Locks the state for a change, and removes some expired entries, so that a full store has room for one.
    fn write_with_room(&self) -> RwLockWriteGuard<'_, State> {
        let now = Moment { unix: self.0.clock.now().unix(), ticks: (self.0.ticks)() };
        let mut state = self.write();
        let time = state.time.at(now);
        state.purge(time);
        state
    }

    // A writer that panics leaves every entry complete, so the poisoned lock is ignored.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        let state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        // Increment under the lock: a reader that sees the new number and queries waits for the change.
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
        state
    }
}

impl State {
    fn remove_token(&mut self, issuer: &str, jti: &str) -> bool {
        let tokens = self.tokens.get_mut(issuer);
        let Some((name, forget_at)) = tokens.and_then(|tokens| tokens.remove_entry(jti)) else {
            return false;
        };
        self.expiries.remove(&(forget_at, issuer.to_owned(), name));
        self.count -= 1;
        true
    }

    fn remove_service(&mut self, issuer: &str, service: &str) -> bool {
        let services = self.services.get_mut(issuer);
        let removed = services.is_some_and(|services| services.remove(service).is_some());
        self.count -= usize::from(removed);
        removed
    }

    fn remove_key(&mut self, issuer: &str, kid: &str) -> bool {
        let removed = self.keys.get_mut(issuer).is_some_and(|keys| keys.remove(kid));
        self.count -= usize::from(removed);
        removed
    }

    /// Removes up to [`PURGE_STEP`] entries that have expired.
    fn purge(&mut self, now: i64) {
        for _ in 0..PURGE_STEP {
            let Some((forget_at, issuer, jti)) = self.expiries.first() else { return };
            if *forget_at > now {
                return;
            }
            self.forgotten = self.forgotten.max(*forget_at);
            if let Some(tokens) = self.tokens.get_mut(issuer) {
                tokens.remove(jti);
            }
            self.count -= 1;
            self.expiries.pop_first();
        }
    }
}

impl RevocationStore for MemoryRevocations {
    fn status(&self, token: &PresentedToken<'_>) -> Result<RevocationStatus, RevocationOutage> {
        let state = self.read();
        let keys = state.keys.get(token.issuer);
        if token.key_id.is_some_and(|kid| keys.is_some_and(|keys| keys.contains(kid))) {
            return Ok(RevocationStatus::KeyRevoked);
        }
        let tokens = state.tokens.get(token.issuer);
        if token.jti.is_some_and(|jti| tokens.is_some_and(|tokens| tokens.contains_key(jti))) {
            return Ok(RevocationStatus::TokenRevoked);
        }
        let services = state.services.get(token.issuer);
        let issued_by = token.service.and_then(|service| services.and_then(|services| services.get(service)));
        match issued_by {
            Some(issued_by) if token.issued_at.is_none_or(|iat| iat <= *issued_by) => {
                Ok(RevocationStatus::ServiceRevoked)
            }
            _ => Ok(RevocationStatus::Good),
        }
    }

    fn epoch(&self) -> Option<u64> {
        Some(self.0.epoch.load(Ordering::SeqCst))
    }
}

impl fmt::Debug for MemoryRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRevocations").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The error of a full revocation store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationsFull {
    limit: usize,
}

impl fmt::Display for RevocationsFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the store holds {} revocations, its limit; revoke the service or the key instead",
            self.limit
        )
    }
}

impl Error for RevocationsFull {}

#[cfg(test)]
mod tests;
