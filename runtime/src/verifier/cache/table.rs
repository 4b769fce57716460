//! The token cache of one thread. It finds a token by a keyed hash, compares it in full, and checks it again.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use foldhash::quality::RandomState;
use zeroize::Zeroizing;

use super::{Grounds, name, seen::Seen};
use crate::{
    caller::{Identity, MAX_FRAGMENT},
    evidence::Evidence,
    hashed::Hashed,
    keys::KeySet,
    recorder::Recorder,
    threads::OwnLine,
    times::{Moment, Times, check_times},
    trusted::Trusted,
};

/// The memory of an entry without the text and the claims: the entry, its slot in the map, the allocations, and
/// the common part of its audit records.
const ENTRY_BYTES: usize = 512 + MAX_FRAGMENT;

/// The memory of one more audience without its text.
const AUDIENCE_BYTES: usize = 48;

/// The longest token that is cached: half of the verifier's limit, and ten times a usual token.
const MAX_CACHED_LENGTH: usize = 8 * 1_024;

/// How many bytes at the end of a token are hashed. They belong to the signature, whose bits a caller does not
/// choose. The whole token is compared afterwards.
const HASHED_BYTES: usize = 32;

pub(crate) struct Table {
    hasher: RandomState,
    entries: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    seen: Seen,
    /// The keys of each issuer that all cached entries depend on.
    keys: Vec<Option<KeySet>>,
    holders: Vec<Holder>,
    most: Held,
    held: Held,
    /// Counts the hits and insertions. The least recently used entry has the smallest value.
    tick: u64,
    hits: Arc<OwnLine<AtomicU64>>,
}

pub(crate) struct Entry {
    token: Zeroizing<Box<[u8]>>,
    /// The position at which the signature begins.
    signature: usize,
    pub(crate) issuer: usize,
    pub(crate) identity: Identity,
    times: Times,
    epoch: Option<u64>,
    used: u64,
    holder: usize,
    bytes: usize,
}

/// The number of tokens and bytes in the table, or in a part of it.
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) tokens: usize,
    pub(crate) bytes: usize,
}

/// A service or a user, found by a hash of its name. Two with the same hash share one quota.
struct Holder {
    name: u64,
    held: Held,
}

pub(crate) enum Found {
    /// The token is accepted: the identity, and the index of its issuer.
    Good((Identity, usize)),
    Seen(u64),
    New(u64),
}

/// A token to cache, and the result of its acceptance.
pub(crate) struct Remembered<'t> {
    pub(crate) token: &'t str,
    pub(crate) issuer: usize,
    pub(crate) identity: &'t Identity,
}

impl Table {
    pub(crate) fn new(tokens: usize, bytes: usize, hits: Arc<OwnLine<AtomicU64>>) -> Self {
        Self {
            hasher: RandomState::default(),
            entries: HashMap::default(),
            seen: Seen::new(tokens),
            keys: Vec::new(),
            holders: Vec::new(),
            most: Held { tokens, bytes },
            held: Held::default(),
            tick: 0,
            hits,
        }
    }

    pub(crate) fn find(
        &mut self,
        token: &[u8],
        issuers: &[Arc<Trusted>],
        recorder: &Recorder,
        evidence: Evidence<'_>,
        at: Moment,
    ) -> Found {
        let hash = self.hash(token);
        if let Some(entry) = self.entries.get_mut(&hash).filter(|entry| entry.is(token)) {
            if let Some(changed) = first_changed(&self.keys, issuers, entry.issuer) {
                self.forget_keys(changed);
            } else if entry.identity.check_proof(evidence, at).is_err() {
                // The stages refuse it. Another sender must not evict the token of its owner.
            } else if entry.is_good(issuers, recorder, at) {
                self.tick += 1;
                entry.used = self.tick;
                let hits = &self.hits.0;
                hits.store(hits.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
                return Found::Good((entry.identity.clone(), entry.issuer));
            } else {
                self.remove(hash);
            }
        }
        if self.seen.has(hash) { Found::Seen(hash) } else { Found::New(hash) }
    }

    fn hash(&self, token: &[u8]) -> u64 {
        // A shorter token is never accepted.
        self.hasher.hash_one(token.last_chunk::<HASHED_BYTES>().unwrap_or(&[0; HASHED_BYTES]))
    }

    pub(crate) fn note(&mut self, hash: u64) {
        self.seen.note(hash);
    }

    pub(crate) fn insert(&mut self, hash: u64, grounds: Grounds, at: Moment, accepted: Remembered<'_>) {
        let Grounds { keys, times: Some(times), epoch, unsettled: false, .. } = grounds else { return };
        // There must be one key set for each issuer that was tried. Otherwise a decision was made without keys.
        if keys.len() != accepted.issuer + 1 || accepted.token.len() > MAX_CACHED_LENGTH {
            return;
        }
        let Some(entry) = Entry::new(&accepted, times, epoch) else { return };
        self.rest_on(keys);
        self.remove(hash);
        if entry.bytes > self.most.bytes || !self.make_room(entry.bytes, at) {
            return;
        }
        self.tick += 1;
        let holder = self.holder(self.hasher.hash_one((entry.issuer, name(&entry.identity))));
        let entry = Entry { used: self.tick, holder, ..entry };
        self.held.add(entry.bytes);
        if let Some(holder) = self.holders.get_mut(holder) {
            holder.held.add(entry.bytes);
        }
        self.entries.insert(hash, entry);
    }

    /// Replaces the keys, and evicts the entries that depend on other keys.
    fn rest_on(&mut self, keys: Vec<KeySet>) {
        for (issuer, keys) in keys.into_iter().enumerate() {
            if !self.keys.get(issuer).is_some_and(|own| own.as_ref().is_some_and(|own| own.is(&keys))) {
                self.forget_keys(issuer);
                if self.keys.len() <= issuer {
                    self.keys.resize_with(issuer + 1, || None);
                }
                if let Some(own) = self.keys.get_mut(issuer) {
                    *own = Some(keys);
                }
            }
        }
    }

    /// Evicts entries after an issuer's keys have changed. Every token that the issuer accepted, or refused before
    /// another issuer accepted it, must be verified again.
    fn forget_keys(&mut self, issuer: usize) {
        if let Some(keys) = self.keys.get_mut(issuer) {
            *keys = None;
        }
        self.forget(|entry| entry.issuer >= issuer);
    }

    /// Evicts entries until one more fits. Expired entries go first. Then the holder with the largest share loses
    /// its least recently used entry, so that a caller with many tokens evicts only its own.
    fn make_room(&mut self, bytes: usize, at: Moment) -> bool {
        if self.has_room(bytes) {
            return true;
        }
        self.forget(|entry| check_times(entry.times.exp, None, at).is_err());
        while !self.has_room(bytes) {
            let by_bytes = self.held.tokens < self.most.tokens;
            let weight = |held: Held| if by_bytes { held.bytes } else { held.tokens };
            let most = self.holders.iter().map(|holder| weight(holder.held)).max();
            let gives =
                |entry: &Entry| self.holders.get(entry.holder).map(|holder| weight(holder.held)) == most;
            let of_most = self.entries.iter().filter(|(_, entry)| gives(entry));
            let Some(oldest) = of_most.min_by_key(|(_, entry)| entry.used).map(|(hash, _)| *hash) else {
                return false;
            };
            self.remove(oldest);
        }
        true
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.held.tokens < self.most.tokens && self.held.bytes.saturating_add(bytes) <= self.most.bytes
    }

    fn remove(&mut self, hash: u64) {
        if let Some(entry) = self.entries.remove(&hash) {
            release(&mut self.held, &mut self.holders, &entry);
        }
    }

    fn forget(&mut self, which: impl Fn(&Entry) -> bool) {
        let (held, holders) = (&mut self.held, &mut self.holders);
        self.entries.retain(|_, entry| {
            let goes = which(entry);
            if goes {
                release(held, holders, entry);
            }
            !goes
        });
    }

    /// Finds or creates the index of a holder. The index of a holder without entries is reused.
    fn holder(&mut self, name: u64) -> usize {
        let own = self.holders.iter().position(|holder| holder.name == name);
        let place = own.or_else(|| self.holders.iter().position(|holder| holder.held.tokens == 0));
        let place = place.unwrap_or(self.holders.len());
        if place == self.holders.len() {
            self.holders.push(Holder { name, held: Held::default() });
        } else if let Some(holder) = self.holders.get_mut(place) {
            holder.name = name;
        }
        place
    }
}

/// The first issuer, up to the one that accepted, whose keys differ from those that the table depends on.
fn first_changed(keys: &[Option<KeySet>], issuers: &[Arc<Trusted>], last: usize) -> Option<usize> {
    (0..=last).find(|&issuer| match (issuers.get(issuer), keys.get(issuer)) {
        (Some(trusted), Some(Some(keys))) => !trusted.keys.is_current(keys),
        _ => true,
    })
}

fn release(all: &mut Held, holders: &mut [Holder], entry: &Entry) {
    all.remove(entry.bytes);
    if let Some(holder) = holders.get_mut(entry.holder) {
        holder.held.remove(entry.bytes);
    }
}

impl Entry {
    fn new(accepted: &Remembered<'_>, times: Times, epoch: Option<u64>) -> Option<Self> {
        let token = accepted.token.as_bytes();
        let audiences = match &accepted.identity {
            Identity::Service(caller) => caller.claims().aud.len(),
            Identity::User(_) => 0,
        };
        // Counts the text three times: once for the text, and twice for the claims in it, as stored and as decoded
        // later.
        let bytes = ENTRY_BYTES + 3 * token.len() + audiences * AUDIENCE_BYTES;
        Some(Self {
            token: Zeroizing::new(token.into()),
            signature: accepted.token.rfind('.')? + 1,
            issuer: accepted.issuer,
            identity: accepted.identity.clone(),
            times,
            epoch,
            used: 0,
            holder: 0,
            bytes,
        })
    }

    /// Compares the whole token byte for byte. The comparison of the signature takes constant time, so
    /// that an attacker cannot learn from the time how much of a forged one is correct.
    fn is(&self, token: &[u8]) -> bool {
        if token.len() != self.token.len() {
            return false;
        }
        let (own, other) =
            (self.token.split_at_checked(self.signature), token.split_at_checked(self.signature));
        match (own, other) {
            (Some((signed, signature)), Some((other_signed, other_signature))) => {
                signed == other_signed && verify_slices_are_equal(signature, other_signature).is_ok()
            }
            _ => false,
        }
    }

    /// Checks again what time and the operator can change, with the same functions as at the first acceptance.
    fn is_good(&mut self, issuers: &[Arc<Trusted>], recorder: &Recorder, at: Moment) -> bool {
        let Some(issuer) = issuers.get(self.issuer) else { return false };
        if issuer.expectations.check_again(&self.times, at).is_err() {
            return false;
        }
        let Some(revocation) = &recorder.revocation else { return true };
        let token = || self.identity.presented(at);
        match revocation.check_since(self.epoch, self.times.prove_the_age(at), token) {
            Ok(epoch) => {
                self.epoch = epoch;
                true
            }
            Err(_) => false,
        }
    }
}

impl Held {
    fn add(&mut self, bytes: usize) {
        self.tokens += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.tokens = self.tokens.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}
