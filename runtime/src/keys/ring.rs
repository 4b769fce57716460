//! Key rotation with an overlap, so that no valid token is refused while an issuer changes its key.
//!
//! A key passes through four states. It is prepared first, so that verifiers know it before it signs. Then it is
//! active and signs. Then it is retiring, while the tokens that it signed are still valid. At last it is retired.
//! The clock alone ends the retiring state: no background task has to run in time.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{KeyError, KeyId, KeySet, KeySource, KeysUnavailable, VerifyingKey};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    denial::quoted,
    handle::{self, WeakHandle},
};

/// The state of a signing key in its life: in a [`KeyRing`], in the store, in metrics and in the output of the CLI.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a program that rotates keys has to handle every state")]
pub enum KeyState {
    /// Published and trusted, but does not sign yet: verifiers have time to fetch it.
    Prepared,
    /// The key that signs.
    Active,
    /// No longer signs. Its tokens are still accepted.
    Retiring,
    /// No longer trusted.
    Retired,
}

impl KeyState {
    /// The states in the order of a key's life.
    pub const ALL: [Self; 4] = [Self::Prepared, Self::Active, Self::Retiring, Self::Retired];

    /// The state in one word, as metrics label it and the store writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }
}

/// The verifying keys of an issuer that rotates them. It is cheap to clone, and all clones share one ring.
///
/// ```
/// use std::time::Duration;
/// use service_only::{Algorithm, Verifier, VerifyingKey, keys::{KeyRing, KeyState}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (old, new) = (VerifyingKey::hmac(Algorithm::HS256, &[7; 32])?, VerifyingKey::hmac(Algorithm::HS256, &[8; 32])?);
/// // The issuer's tokens live for an hour.
/// let ring = KeyRing::new(old.with_kid("2026-01"), Duration::from_secs(3600))?;
/// let verifier = Verifier::builder().issuer("bakery-auth").keys(ring.clone()).build()?;
///
/// ring.prepare(new.with_kid("2026-02"))?;
/// // … once every verifier has refreshed its copy of the published keys …
/// ring.activate("2026-02")?;
/// assert_eq!(ring.state("2026-02"), Some(KeyState::Active));
/// assert!(ring.retires_at("2026-01").is_some());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct KeyRing(Arc<Ring>);

struct Ring {
    overlap: Duration,
    clock: Box<dyn Clock>,
    /// Locked to change the ring, and once when the overlap of a retiring key ends.
    entries: Mutex<Entries>,
    /// Read for every token.
    published: ArcSwap<Published>,
}

struct Published {
    keys: KeySet,
    /// When the next key retires; the published keys are valid until then.
    good_until: Option<Timestamp>,
}

struct Entries {
    /// The prepared, active and retiring keys, in the order in which they were prepared.
    live: Vec<Live>,
    /// The retired keys, oldest first.
    retired: VecDeque<KeyId>,
}

struct Live {
    kid: KeyId,
    key: VerifyingKey,
    state: KeyState,
    prepared_at: Timestamp,
    /// Of a retiring key, the first instant at which it is retired.
    retires_at: Option<Timestamp>,
}

impl KeyRing {
    /// How many retired keys a ring remembers, so that no new key can reuse the name of an old one. A ring
    /// that rotates every day forgets a name after almost three years.
    pub const MAX_RETIRED: usize = 1_000;

    /// Creates a ring whose first key is active immediately.
    ///
    /// `overlap` is how long a key stays trusted after it has stopped signing. It must be at least as long as the
    /// longest lifetime of a token, or valid tokens are refused. A longer overlap helps only an attacker with a
    /// stolen key. The right value depends on the issuer, so `overlap` has no default.
    ///
    /// # Errors
    /// When the key has no `kid`.
    pub fn new(active: VerifyingKey, overlap: Duration) -> Result<Self, KeyError> {
        Self::with_clock(active, overlap, SystemClock)
    }

    /// Creates a ring like [`KeyRing::new`], which reads the time from `clock`.
    ///
    /// # Errors
    /// As [`KeyRing::new`].
    pub fn with_clock(active: VerifyingKey, overlap: Duration, clock: impl Clock) -> Result<Self, KeyError> {
        let kid = name_of(&active)?.clone();
        let published =
            ArcSwap::from_pointee(Published { keys: KeySet::from(active.clone()), good_until: None });
        let (state, prepared_at) = (KeyState::Active, clock.now());
        let first = Live { kid, key: active, state, prepared_at, retires_at: None };
        let entries = Entries { live: vec![first], retired: VecDeque::new() };
        let (clock, entries) = (Box::new(clock), Mutex::new(entries));
        Ok(Self(Arc::new(Ring { overlap, clock, entries, published })))
    }

    /// Adds a key that is trusted from now on but does not sign yet.
    ///
    /// Publish the set next. Wait until the slowest verifier has refreshed its copy, then call
    /// [`KeyRing::activate`].
    ///
    /// # Errors
    /// When the key has no `kid`, when the ring has or had a key of that name, or when the ring is full.
    #[doc(alias = "announce")]
    pub fn prepare(&self, key: VerifyingKey) -> Result<(), KeyError> {
        let kid = name_of(&key)?.clone();
        self.change(|entries, now| {
            if let Some(state) = entries.state(kid.as_str()) {
                return Err(refused(kid.as_str(), state, "give the new key another `kid`"));
            }
            if entries.live.len() >= KeySet::MAX_KEYS {
                return Err(KeyError::unusable(format!(
                    "the ring holds {} keys; retire some",
                    KeySet::MAX_KEYS
                )));
            }
            let state = KeyState::Prepared;
            entries.live.push(Live { kid, key, state, prepared_at: now, retires_at: None });
            Ok(())
        })
    }

    /// Makes a prepared key the one that signs. The previous key is retiring from now on, until the
    /// overlap is over. You can activate a retiring key again, which undoes a rotation.
    ///
    /// # Errors
    /// When the ring has no key of this name, or the key is already active or retired.
    #[doc(alias = "rotate")]
    pub fn activate(&self, kid: &str) -> Result<(), KeyError> {
        self.change(|entries, now| {
            match entries.state(kid) {
                Some(KeyState::Prepared | KeyState::Retiring) => {}
                Some(state) => return Err(refused(kid, state, "prepare another key to rotate")),
                None => return Err(unknown(kid)),
            }
            for live in &mut entries.live {
                if live.kid.as_str() == kid {
                    (live.state, live.retires_at) = (KeyState::Active, None);
                } else if live.state == KeyState::Active {
                    (live.state, live.retires_at) = (KeyState::Retiring, Some(now.plus(self.0.overlap)));
                }
            }
            Ok(())
        })
    }

    /// Ends the trust in a key immediately and ignores the rest of its overlap. Use it for a key that was
    /// stolen, or for a prepared key that you will not use. You cannot retire the active key: activate
    /// another one first.
    ///
    /// # Errors
    /// When the ring has no key of this name, or the key is active or already retired.
    pub fn retire(&self, kid: &str) -> Result<(), KeyError> {
        self.change(|entries, _| match entries.state(kid) {
            Some(KeyState::Prepared | KeyState::Retiring) => {
                entries.retire(|live| live.kid.as_str() == kid);
                Ok(())
            }
            Some(state @ KeyState::Active) => Err(refused(kid, state, "activate another key first")),
            Some(state @ KeyState::Retired) => Err(refused(kid, state, "there is nothing left to do")),
            None => Err(unknown(kid)),
        })
    }

    /// The current state of a key; `None` if the ring has no key of this name.
    pub fn state(&self, kid: &str) -> Option<KeyState> {
        self.settled().state(kid)
    }

    /// All keys and their current states: first the retired keys, then the others in the order in which they
    /// were prepared. Lists at most the latest [`KeyRing::MAX_RETIRED`] retired keys.
    pub fn states(&self) -> Vec<(KeyId, KeyState)> {
        let entries = self.settled();
        let retired = entries.retired.iter().map(|kid| (kid.clone(), KeyState::Retired));
        let live = entries.live.iter().map(|live| (live.kid.clone(), live.state));
        retired.chain(live).collect()
    }

    /// When a key was prepared; for the first key, when the ring was created. `None` for a retired key.
    pub fn prepared_at(&self, kid: &str) -> Option<Timestamp> {
        self.settled().live(kid).map(|live| live.prepared_at)
    }

    /// The first instant at which a retiring key is retired; `None` for a key in another state.
    pub fn retires_at(&self, kid: &str) -> Option<Timestamp> {
        self.settled().live(kid).and_then(|live| live.retires_at)
    }

    /// Applies a change to the current entries. A change that fails leaves the ring as it was.
    fn change(
        &self,
        change: impl FnOnce(&mut Entries, Timestamp) -> Result<(), KeyError>,
    ) -> Result<(), KeyError> {
        let mut entries = self.settled();
        change(&mut entries, self.0.clock.now())?;
        self.publish(&entries)
    }

    /// Locks the entries, after it has retired all keys whose overlap is over.
    fn settled(&self) -> MutexGuard<'_, Entries> {
        let mut entries = self.0.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.0.clock.now();
        if entries.retire(|live| live.retires_at.is_some_and(|at| now >= at)) {
            // Publish immediately: otherwise a clock that is set back would revive a key that was already reported
            // as retired. If this fails, `snapshot` fails too and reports the error.
            let _ = self.publish(&entries);
        }
        entries
    }

    fn publish(&self, entries: &Entries) -> Result<(), KeyError> {
        let keys = KeySet::new(entries.live.iter().map(|live| live.key.clone()))?;
        self.0.published.store(Arc::new(Published { keys, good_until: entries.first_retirement() }));
        Ok(())
    }
}

impl WeakHandle for KeyRing {
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static {
        handle::weak(&self.0, Self)
    }
}

impl KeySource for KeyRing {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        let published = self.0.published.load();
        match published.good_until {
            Some(until) if self.0.clock.now() >= until => {}
            _ => return Ok(published.keys.clone()),
        }
        self.publish(&self.settled()).map_err(|error| KeysUnavailable::new(error.to_string()))?;
        Ok(self.0.published.load().keys.clone())
    }

    fn refreshes(&self) -> bool {
        false
    }

    fn is_current(&self, keys: &KeySet) -> bool {
        let published = self.0.published.load();
        published.good_until.is_none_or(|until| self.0.clock.now() < until) && published.keys.is(keys)
    }
}

impl Entries {
    fn live(&self, kid: &str) -> Option<&Live> {
        self.live.iter().find(|live| live.kid.as_str() == kid)
    }

    fn state(&self, kid: &str) -> Option<KeyState> {
        let retired = || self.retired.iter().any(|own| own.as_str() == kid).then_some(KeyState::Retired);
        self.live(kid).map(|live| live.state).or_else(retired)
    }

    /// Retires the matching keys, and returns whether there were any.
    fn retire(&mut self, is_over: impl Fn(&Live) -> bool) -> bool {
        let before = self.live.len();
        for over in self.live.extract_if(.., |live| is_over(live)) {
            tracing::info!(target: "service_only", kid = over.kid.as_str(), "a key is retired");
            self.retired.push_back(over.kid);
        }
        let forgotten = self.retired.len().saturating_sub(KeyRing::MAX_RETIRED);
        self.retired.drain(..forgotten);
        self.live.len() < before
    }

    fn first_retirement(&self) -> Option<Timestamp> {
        self.live.iter().filter_map(|live| live.retires_at).min()
    }
}

fn name_of(key: &VerifyingKey) -> Result<&KeyId, KeyError> {
    key.kid().ok_or_else(|| {
        KeyError::unusable(
            "a key that rotates needs a key id: set the `kid` of its tokens with `.with_kid(…)`",
        )
    })
}

fn unknown(kid: &str) -> KeyError {
    KeyError::unusable(format!("the ring has no key `{}`; prepare it first", quoted(kid)))
}

fn refused(kid: &str, state: KeyState, remedy: &str) -> KeyError {
    KeyError::unusable(format!("the key `{}` is {state}; {remedy}", quoted(kid)))
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.states()).finish()
    }
}
