//! The accepted tokens of one thread: found by a keyed hash, compared in full, checked again.

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
    hashed::Hashed,
    keys::KeySet,
    recorder::Recorder,
    threads::OwnLine,
    times::{Moment, Times, check_times},
    trusted::Trusted,
};

/// What an entry takes beside the text and the claims: itself, its place in the map, the allocations, and
/// what its records have in common.
const ENTRY_BYTES: usize = 512 + MAX_FRAGMENT;

/// What one more audience takes beside its text.
const AUDIENCE_BYTES: usize = 48;

/// The longest token that is remembered: half of what a verifier looks at, and ten times a usual token.
const MAX_CACHED_LENGTH: usize = 8 * 1_024;

/// The end of a token is the end of its signature: bits that a caller does not choose. The whole token is compared
/// afterwards.
const HASHED_BYTES: usize = 32;

pub(crate) struct Table {
    hasher: RandomState,
    entries: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    seen: Seen,
    /// By issuer: the keys under which every entry was accepted that it has a part in.
    keys: Vec<Option<KeySet>>,
    holders: Vec<Holder>,
    most: Held,
    held: Held,
    /// Counts the hits and insertions; the least recently used entry has the smallest.
    tick: u64,
    hits: Arc<OwnLine<AtomicU64>>,
}

pub(crate) struct Entry {
    token: Zeroizing<Box<[u8]>>,
    /// Where the signature begins.
    signature: usize,
    pub(crate) issuer: usize,
    pub(crate) identity: Identity,
    times: Times,
    epoch: Option<u64>,
    used: u64,
    holder: usize,
    bytes: usize,
}

/// What is in the table, or part of it.
#[derive(Debug, Default, Copy, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) tokens: usize,
    pub(crate) bytes: usize,
}

/// A service, or a user, by a hash of its name: two of one hash share what is theirs.
struct Holder {
    name: u64,
    held: Held,
}

pub(crate) enum Found {
    /// Accepted: the identity, and the place of its issuer.
    Good((Identity, usize)),
    Seen(u64),
    New(u64),
}

/// A token to be remembered, and what it was accepted as.
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
        at: Moment,
    ) -> Found {
        let hash = self.hash(token);
        if let Some(entry) = self.entries.get_mut(&hash).filter(|entry| entry.is(token)) {
            if let Some(changed) = first_changed(&self.keys, issuers, entry.issuer) {
                self.forget_keys(changed);
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
        // One set for each issuer that was asked, or something was decided without its keys.
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

    /// Replaces the keys, and forgets what rested on others.
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

    /// The keys of an issuer are others now: every token that it accepted, or refused before another
    /// accepted it, must be looked at again.
    fn forget_keys(&mut self, issuer: usize) {
        if let Some(keys) = self.keys.get_mut(issuer) {
            *keys = None;
        }
        self.forget(|entry| entry.issuer >= issuer);
    }

    /// Room for one more. The expired go first; then whoever holds most gives what it used least lately,
    /// so that a caller with many tokens pushes out its own.
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

    /// The place of a holder; that of one who holds nothing any more is given to another.
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

/// The first issuer whose keys are not those that the table rests on, up to the one that accepted.
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
        // The text, and the claims, which are part of it, as they are held and once somebody asks for them.
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

    /// The whole token, byte for byte. The signature takes as long to compare wherever it differs, so
    /// that nobody learns by the time how far a forged one is right.
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

    /// What time and the operator can change: asked again, by the same functions as the first time.
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
