//! Revocations held in memory: bounded, and forgotten when their tokens have expired anyway.

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
use crate::clock::{Clock, Stopwatch, SystemClock};

/// Revocations that a store holds unless told otherwise: a million tokens need 235 to 270 MiB, by the 247 to
/// 279 bytes that a process was measured to grow by for each of 100,000.
pub const MAX_REVOCATIONS: usize = 1_000_000;

/// Expired entries that are removed in one go, some microseconds: nobody who asks waits longer.
const PURGE_STEP: usize = 256;

/// Revocations in memory. Cheap to clone; all clones share one state.
///
/// ```
/// use service_only::revocation::MemoryRevocations;
///
/// let revocations = MemoryRevocations::new();
/// revocations.revoke_token("bakery-auth", "76514ef5-446e-4842-932c-231cd329f030", 1_798_761_600)?;
/// # Ok::<(), service_only::revocation::RevocationsFull>(())
/// ```
#[derive(Clone)]
pub struct MemoryRevocations(Arc<Shared>);

struct Shared {
    state: RwLock<State>,
    /// Counts the changes, each before it is made.
    epoch: AtomicU64,
    limit: usize,
    clock: Box<dyn Clock>,
    /// Goes on whatever the clock is set to.
    ticks: Box<dyn Fn() -> Duration + Send + Sync>,
}

struct State {
    time: PatientTime,
    /// When the last of the tokens expired whose revocations are forgotten.
    forgotten: i64,
    /// Issuer, then `jti`: looked up without building a key.
    tokens: HashMap<String, HashMap<Arc<str>, i64>>,
    /// The same by the second of their expiry.
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
    /// An empty store of at most [`MAX_REVOCATIONS`].
    pub fn new() -> Self {
        Self::with_limit(MAX_REVOCATIONS, SystemClock)
    }

    /// An empty store of at most `limit` revocations, which forgets by `clock`. A clock that was set
    /// ahead is followed only when it has stayed there for one to two hours, so that none is forgotten
    /// for a mistake that is put right in that time; in the first hour, none is forgotten at all.
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

    /// Revokes one token, by its issuer and `jti`. Forgotten when the token has expired:
    /// `expires_at` is its `exp`, to which five minutes of leeway are added. `issuer` is the name that
    /// the verifier trusts it by: the `iss`, or the trust domain of a SPIFFE token.
    ///
    /// # Errors
    /// When the store is full. Nothing is forgotten to make room: that would let a revoked token in.
    pub fn revoke_token(&self, issuer: &str, jti: &str, expires_at: i64) -> Result<(), RevocationsFull> {
        let forget_at = expires_at.saturating_add(MAX_LEEWAY_SECONDS);
        let mut state = self.write_with_room();
        let known = state.tokens.get(issuer).and_then(|tokens| tokens.get_key_value(jti));
        if let Some((name, old)) = known.map(|(name, old)| (Arc::clone(name), *old)) {
            // Said twice, the later expiry holds.
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

    /// Revokes all tokens of a service that were issued up to and within the second `issued_by`, in
    /// seconds since the Unix epoch. A token without `iat` is among them, and so is one whose `iat` is ahead of
    /// the verifier's clock by more than its leeway and [`MAX_ISSUED_AHEAD`](crate::verifier::MAX_ISSUED_AHEAD). Where
    /// the issuer's clock may be ahead by less, `issued_by` should be ahead as far.
    ///
    /// # Errors
    /// When the store is full.
    pub fn revoke_service(&self, issuer: &str, service: &str, issued_by: i64) -> Result<(), RevocationsFull> {
        let mut state = self.write_with_room();
        if !state.services.get(issuer).is_some_and(|services| services.contains_key(service)) {
            self.check_room(&state)?;
            state.count += 1;
        }
        let services = state.services.entry(issuer.to_owned()).or_default();
        let before = services.entry(service.to_owned()).or_insert(issued_by);
        // Said twice, the later instant holds.
        *before = issued_by.max(*before);
        Ok(())
    }

    /// Revokes a key: every token that it signed. A key without a name cannot be revoked; take it out
    /// of the key set.
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

    /// Undoes [`revoke_token`](Self::revoke_token), and says whether there was such a revocation. A token
    /// that is also revoked with its service or its key stays revoked.
    pub fn undo_token(&self, issuer: &str, jti: &str) -> bool {
        self.write().remove_token(issuer, jti)
    }

    /// Undoes [`revoke_service`](Self::revoke_service), for tokens of all ages; says whether there was such a
    /// revocation.
    pub fn undo_service(&self, issuer: &str, service: &str) -> bool {
        self.write().remove_service(issuer, service)
    }

    /// Undoes [`revoke_key`](Self::revoke_key), and says whether there was such a revocation.
    pub fn undo_key(&self, issuer: &str, kid: &str) -> bool {
        self.write().remove_key(issuer, kid)
    }

    /// Puts a revocation that reaches less far in the place of one that was undone: in one step, so that
    /// what both cover is never accepted in between.
    pub(crate) fn shorten_service(&self, issuer: &str, service: &str, issued_by: i64) {
        let mut state = self.write();
        let services = state.services.get_mut(issuer);
        if let Some(held) = services.and_then(|services| services.get_mut(service)) {
            *held = issued_by;
        }
    }

    /// How many revocations are held.
    pub fn len(&self) -> usize {
        self.read().count
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a token has expired for so long that its revocation need not be kept: only for who asks
    /// [`remember`](Self::remember) later, since the clock may be wrong.
    pub(crate) fn pass_over(&self, expires_at: i64) -> bool {
        let long =
            MAX_LEEWAY_SECONDS.saturating_add(i64::try_from(patient::PATIENCE.as_secs()).unwrap_or(i64::MAX));
        let forget_at = expires_at.saturating_add(long);
        if forget_at > self.0.clock.now().unix() {
            return false;
        }
        let mut state = self.write();
        state.forgotten = state.forgotten.max(forget_at);
        true
    }

    /// Whether the clock went back to a time at which tokens may be good whose revocations are
    /// forgotten. Said once; the answer is to be told of all revocations again.
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

    /// The state for a change, with room for one entry if expired ones can make it. Readers get
    /// their turn between the steps.
    fn write_with_room(&self) -> RwLockWriteGuard<'_, State> {
        let now = Moment { unix: self.0.clock.now().unix(), ticks: (self.0.ticks)() };
        loop {
            let mut state = self.write();
            let time = state.time.at(now);
            let purged = state.purge(time, PURGE_STEP);
            if state.count < self.0.limit || purged < PURGE_STEP {
                return state;
            }
        }
    }

    // A writer that panics leaves a state in which every entry is whole, so its poison means nothing.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        let state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: who sees the new number and asks waits for the change that it stands for.
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
        state
    }
}

/// The largest leeway of a verifier: until then, an expired token may still be accepted.
const MAX_LEEWAY_SECONDS: i64 = 300;

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

    /// Removes up to `most` entries that have expired, and says how many.
    fn purge(&mut self, now: i64, most: usize) -> usize {
        for purged in 0..most {
            match self.expiries.first() {
                Some((forget_at, ..)) if *forget_at <= now => {}
                _ => return purged,
            }
            if let Some((forget_at, issuer, jti)) = self.expiries.pop_first() {
                self.forgotten = self.forgotten.max(forget_at);
                if let Some(tokens) = self.tokens.get_mut(&issuer) {
                    tokens.remove(&jti);
                }
                self.count -= 1;
            }
        }
        most
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

/// A store that can take no more revocations.
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
