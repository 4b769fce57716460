//! Key rotation with an overlap, so that no valid token is refused while an issuer changes its key.
//!
//! A key passes through four states. It is announced first, so that verifiers know it before it signs. Then it is
//! active and signs. Then it is retiring, while the tokens that it signed are still valid. At last it is retired.
//! The clock alone ends the retiring state: no background task has to run in time.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{KeyError, KeyId, KeySet, KeySource, KeysUnavailable, MAX_KEYS, VerifyingKey};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    denial::quoted,
    handle::{self, WeakHandle},
};

/// How many retired keys a ring remembers, so that no new key can reuse the name of an old one. A ring
/// that rotates every day forgets a name after almost three years.
pub const MAX_RETIRED: usize = 1_000;

/// The current state of a key of a [`KeyRing`].
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyState {
    /// Published and trusted, but does not sign yet: verifiers have time to fetch it.
    Announced,
    /// The key that signs.
    Active,
    /// No longer signs. Its tokens are accepted until `until`.
    Retiring {
        /// The first instant at which the key is retired.
        until: Timestamp,
    },
    /// No longer trusted.
    Retired,
}

impl KeyState {
    /// The state in one word, as metrics label it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Announced => "announced",
            Self::Active => "active",
            Self::Retiring { .. } => "retiring",
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
/// ring.announce(new.with_kid("2026-02"))?;
/// // … once every verifier has refreshed its copy of the published keys …
/// ring.activate("2026-02")?;
/// assert_eq!(ring.state("2026-02"), Some(KeyState::Active));
/// assert!(matches!(ring.state("2026-01"), Some(KeyState::Retiring { .. })));
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
    /// The announced, active and retiring keys, in the order in which they were announced.
    live: Vec<(VerifyingKey, KeyState)>,
    /// When each of the `live` keys was announced.
    announced_at: HashMap<KeyId, Timestamp>,
    /// The retired keys, oldest first.
    retired: VecDeque<KeyId>,
}

impl KeyRing {
    /// Creates a ring whose first key is active immediately.
    ///
    /// `overlap` is how long a key stays trusted after it has stopped signing. It must be at least as long as the
    /// longest lifetime of a token, or valid tokens are refused. A longer overlap helps only an attacker with a
    /// stolen key. The right value depends on the issuer, so there is no default.
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
        let entries = Entries {
            live: vec![(active, KeyState::Active)],
            announced_at: HashMap::from([(kid, clock.now())]),
            retired: VecDeque::new(),
        };
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
    pub fn announce(&self, key: VerifyingKey) -> Result<(), KeyError> {
        let kid = name_of(&key)?.clone();
        self.change(|entries, now| {
            if let Some(state) = entries.state(kid.as_str()) {
                return Err(refused(kid.as_str(), state, "give the new key a name of its own"));
            }
            if entries.live.len() >= MAX_KEYS {
                return Err(KeyError::unusable(format!("the ring holds {MAX_KEYS} keys; retire some")));
            }
            entries.live.push((key, KeyState::Announced));
            entries.announced_at.insert(kid.clone(), now);
            Ok(())
        })
    }

    /// Makes an announced key the one that signs. The previous key is retiring from now on, until the
    /// overlap is over. You can activate a retiring key again, which undoes a rotation.
    ///
    /// # Errors
    /// When the ring has no key of this name, or the key is already active or retired.
    pub fn activate(&self, kid: &str) -> Result<(), KeyError> {
        self.change(|entries, now| {
            match entries.state(kid) {
                Some(KeyState::Announced | KeyState::Retiring { .. }) => {}
                Some(state) => return Err(refused(kid, state, "announce another key to rotate")),
                None => return Err(unknown(kid)),
            }
            let until = now.plus(self.0.overlap);
            for (key, state) in &mut entries.live {
                if is_named(key, kid) {
                    *state = KeyState::Active;
                } else if *state == KeyState::Active {
                    *state = KeyState::Retiring { until };
                }
            }
            Ok(())
        })
    }

    /// Ends the trust in a key immediately and ignores the rest of its overlap. Use it for a key that was
    /// stolen, or for an announced key that you will not use. You cannot retire the active key: activate
    /// another one first.
    ///
    /// # Errors
    /// When the ring has no key of this name, or the key is active or already retired.
    pub fn retire(&self, kid: &str) -> Result<(), KeyError> {
        self.change(|entries, _| match entries.state(kid) {
            Some(KeyState::Announced | KeyState::Retiring { .. }) => {
                entries.retire(|key, _| is_named(key, kid));
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
    /// were announced. Lists at most the latest [`MAX_RETIRED`] retired keys.
    pub fn states(&self) -> Vec<(KeyId, KeyState)> {
        let entries = self.settled();
        let retired = entries.retired.iter().map(|kid| (kid.clone(), KeyState::Retired));
        let live = entries.live.iter().filter_map(|(key, state)| Some((key.kid()?.clone(), *state)));
        retired.chain(live).collect()
    }

    /// When a key was announced; for the first key, when the ring was created. `None` for a retired key.
    pub fn announced_at(&self, kid: &str) -> Option<Timestamp> {
        self.settled().announced_at.get(kid).copied()
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
        if entries.retire(|_, state| matches!(state, KeyState::Retiring { until } if now >= *until)) {
            // Publish immediately: otherwise a clock that is set back would revive a key that was already reported
            // as retired. If this fails, `snapshot` fails too and reports the error.
            let _ = self.publish(&entries);
        }
        entries
    }

    fn publish(&self, entries: &Entries) -> Result<(), KeyError> {
        let keys = KeySet::new(entries.live.iter().map(|(key, _)| key.clone()))?;
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
    fn state(&self, kid: &str) -> Option<KeyState> {
        let live = self.live.iter().find(|(key, _)| is_named(key, kid)).map(|(_, state)| *state);
        live.or_else(|| self.retired.iter().any(|own| own.as_str() == kid).then_some(KeyState::Retired))
    }

    /// Retires the matching keys, and returns whether there were any.
    fn retire(&mut self, is_over: impl Fn(&VerifyingKey, &KeyState) -> bool) -> bool {
        let (retired, announced_at, before) = (&mut self.retired, &mut self.announced_at, self.live.len());
        self.live.retain(|(key, state)| {
            let over = is_over(key, state);
            if over {
                tracing::info!(target: "service_only", kid = key.kid().map(KeyId::as_str), "a key is retired");
                if let Some(kid) = key.kid() {
                    announced_at.remove(kid);
                    retired.push_back(kid.clone());
                }
            }
            !over
        });
        let forgotten = retired.len().saturating_sub(MAX_RETIRED);
        retired.drain(..forgotten);
        self.live.len() < before
    }

    fn first_retirement(&self) -> Option<Timestamp> {
        let retiring = self.live.iter().filter_map(|(_, state)| match state {
            KeyState::Retiring { until } => Some(*until),
            _ => None,
        });
        retiring.min()
    }
}

fn is_named(key: &VerifyingKey, kid: &str) -> bool {
    key.kid().is_some_and(|own| own.as_str() == kid)
}

fn name_of(key: &VerifyingKey) -> Result<&KeyId, KeyError> {
    key.kid().ok_or_else(|| {
        KeyError::unusable("a key that rotates needs a name: `.with_kid(…)` gives it the one in its tokens")
    })
}

fn unknown(kid: &str) -> KeyError {
    KeyError::unusable(format!("the ring has no key `{}`; announce it first", quoted(kid)))
}

fn refused(kid: &str, state: KeyState, remedy: &str) -> KeyError {
    KeyError::unusable(format!("the key `{}` is {state}; {remedy}", quoted(kid)))
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Announced => f.write_str("announced"),
            Self::Active => f.write_str("active"),
            Self::Retiring { until } => write!(f, "retiring until {until}"),
            Self::Retired => f.write_str("retired"),
        }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.states()).finish()
    }
}
