//! Revocations held in memory: bounded, and forgotten when their tokens have expired anyway.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    error::Error,
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{PresentedToken, RevocationOutage, RevocationStatus, RevocationStore};
use crate::clock::{Clock, SystemClock};

/// Revocations that a store holds unless told otherwise: a million tokens need 235 to 270 MiB, by the 247 to
/// 279 bytes that a process was measured to grow by for each of 100,000.
pub const MAX_REVOCATIONS: usize = 1_000_000;

/// Expired entries that are removed in one go, some microseconds: nobody who asks waits longer.
const PURGE_STEP: usize = 256;

/// Revocations in memory. Cheap to clone; all clones share one state.
///
/// ```
/// use service_only::MemoryRevocations;
///
/// let revocations = MemoryRevocations::new();
/// revocations.revoke_token("bakery-auth", "76514ef5-446e-4842-932c-231cd329f030", 1_798_761_600)?;
/// # Ok::<(), service_only::RevocationsFull>(())
/// ```
#[derive(Clone)]
pub struct MemoryRevocations(Arc<Shared>);

struct Shared {
    state: RwLock<State>,
    /// Counts the changes, each before it is made.
    epoch: AtomicU64,
    limit: usize,
    clock: Box<dyn Clock>,
}

#[derive(Default)]
struct State {
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

    /// An empty store of at most `limit` revocations, which forgets by `clock`.
    pub fn with_limit(limit: usize, clock: impl Clock) -> Self {
        let (state, epoch) = (RwLock::default(), AtomicU64::new(0));
        Self(Arc::new(Shared { state, epoch, limit, clock: Box::new(clock) }))
    }

    /// Revokes one token, by its issuer and `jti`. Forgotten when the token has expired:
    /// `expires_at` is its `exp`, to which five minutes of leeway are added; a token that has expired
    /// already is refused anyway, and is not kept. `issuer` is the name that the verifier trusts it
    /// by: the `iss`, or the trust domain of a SPIFFE token.
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
    /// seconds since the Unix epoch. A token without `iat` is among them. Where the issuer's clock may
    /// be ahead, `issued_by` should be ahead as far.
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

    /// How many revocations are held.
    pub fn len(&self) -> usize {
        self.read().count
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn check_room(&self, state: &State) -> Result<(), RevocationsFull> {
        if state.count >= self.0.limit { Err(RevocationsFull { limit: self.0.limit }) } else { Ok(()) }
    }

    /// The state for a change, with room for one entry if expired ones can make it. Readers get
    /// their turn between the steps.
    fn write_with_room(&self) -> RwLockWriteGuard<'_, State> {
        let now = self.0.clock.now().unix();
        loop {
            let mut state = self.write();
            let purged = state.purge(now, PURGE_STEP);
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
    /// Removes up to `most` entries that have expired, and says how many.
    fn purge(&mut self, now: i64, most: usize) -> usize {
        for purged in 0..most {
            match self.expiries.first() {
                Some((forget_at, ..)) if *forget_at <= now => {}
                _ => return purged,
            }
            if let Some((_, issuer, jti)) = self.expiries.pop_first() {
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
mod tests {
    use super::*;
    use crate::clock::{FixedClock, Timestamp};

    const NOW: i64 = 1_767_225_600;

    fn store(limit: usize) -> MemoryRevocations {
        MemoryRevocations::with_limit(limit, FixedClock(Timestamp::from_unix(NOW)))
    }

    fn token(jti: &str) -> PresentedToken<'_> {
        PresentedToken {
            issuer: "bakery-auth",
            jti: Some(jti),
            service: Some("orders"),
            issued_at: Some(NOW - 60),
            key_id: Some("k1"),
        }
    }

    fn status(store: &MemoryRevocations, token: PresentedToken<'_>) -> RevocationStatus {
        store.status(&token).unwrap()
    }

    #[test]
    fn a_token_is_revoked_by_issuer_and_jti_together() {
        let store = store(10);
        store.revoke_token("bakery-auth", "j1", NOW + 60).unwrap();
        assert_eq!(status(&store, token("j1")), RevocationStatus::TokenRevoked);
        assert_eq!(status(&store, token("j2")), RevocationStatus::Good);
        assert_eq!(status(&store, PresentedToken { issuer: "other", ..token("j1") }), RevocationStatus::Good);
        assert_eq!(status(&store, PresentedToken { jti: None, ..token("j1") }), RevocationStatus::Good);
    }

    #[test]
    fn a_service_is_revoked_up_to_and_within_a_second() {
        let store = store(10);
        store.revoke_service("bakery-auth", "orders", NOW).unwrap();
        let at = |issued_at| status(&store, PresentedToken { issued_at, ..token("j1") });
        assert_eq!(at(Some(NOW - 1)), RevocationStatus::ServiceRevoked);
        assert_eq!(at(Some(NOW)), RevocationStatus::ServiceRevoked);
        assert_eq!(at(Some(NOW + 1)), RevocationStatus::Good);
        assert_eq!(at(None), RevocationStatus::ServiceRevoked, "its age is unknown");
        let sales = PresentedToken { service: Some("sales"), ..token("j1") };
        assert_eq!(status(&store, sales), RevocationStatus::Good);
        store.revoke_service("bakery-auth", "orders", NOW - 3600).unwrap();
        assert_eq!(at(Some(NOW)), RevocationStatus::ServiceRevoked, "an earlier instant takes nothing back");
    }

    #[test]
    fn a_key_is_revoked_with_all_that_it_signed() {
        let store = store(10);
        store.revoke_key("bakery-auth", "k1").unwrap();
        assert_eq!(status(&store, token("j1")), RevocationStatus::KeyRevoked);
        assert_eq!(
            status(&store, PresentedToken { key_id: Some("k2"), ..token("j1") }),
            RevocationStatus::Good
        );
    }

    #[test]
    fn a_full_store_refuses_and_forgets_nothing() {
        let store = store(2);
        store.revoke_token("bakery-auth", "j1", NOW + 60).unwrap();
        store.revoke_token("bakery-auth", "j2", NOW + 60).unwrap();
        assert!(store.revoke_token("bakery-auth", "j3", NOW + 60).is_err());
        assert!(store.revoke_key("bakery-auth", "k1").is_err());
        assert!(store.revoke_service("bakery-auth", "orders", NOW).is_err());
        store.revoke_token("bakery-auth", "j1", NOW + 90).unwrap();
        for jti in ["j1", "j2"] {
            assert_eq!(status(&store, token(jti)), RevocationStatus::TokenRevoked);
        }
        assert_eq!(store.len(), 2);
    }

    #[test]
    fn a_store_full_of_expired_entries_makes_room_for_new_ones() {
        let store = store(1000);
        for index in 0..1000 {
            // Put in while they were good, by a store whose clock has moved on since.
            let mut state = store.write();
            let jti: Arc<str> = index.to_string().into();
            state.expiries.insert((NOW - 1, "bakery-auth".to_owned(), Arc::clone(&jti)));
            state.tokens.entry("bakery-auth".to_owned()).or_default().insert(jti, NOW - 1);
            state.count += 1;
        }
        store.revoke_key("bakery-auth", "k1").unwrap();
        assert!(store.len() < 1000);
        assert_eq!(status(&store, token("j1")), RevocationStatus::KeyRevoked);
    }

    #[test]
    fn entries_are_forgotten_when_their_tokens_have_expired_with_every_leeway() {
        let store = store(2);
        store.revoke_token("bakery-auth", "old", NOW - 300).unwrap();
        store.revoke_token("bakery-auth", "lives-by-leeway", NOW - 299).unwrap();
        store.revoke_token("bakery-auth", "new", NOW + 60).unwrap();
        assert_eq!(status(&store, token("old")), RevocationStatus::Good);
        assert_eq!(status(&store, token("lives-by-leeway")), RevocationStatus::TokenRevoked);
        assert_eq!(store.len(), 2);
    }
}
