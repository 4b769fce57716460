//! The memory of accepted proofs: a proof is accepted once (RFC 9449 section 11.1).

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Mutex,
};

use crate::{clock::Timestamp, threads::locked};

/// A proof that was accepted: what is stored of it.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash)]
pub struct SpentProof {
    id: [u8; 32],
    until: i64,
}

impl SpentProof {
    /// `id` is a hash of the key and of the proof's `jti`, and `until` the last second in which it is accepted. A verifier
    /// creates these values; other code uses them to test a [`ReplayStore`].
    pub fn new(id: [u8; 32], until: Timestamp) -> Self {
        Self { id, until: until.unix() }
    }

    /// Identifies the proof: a hash of its key and its `jti`.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// The last second in which a verifier would accept the proof. The proof must stay recorded until this second is
    /// over.
    pub fn until(&self) -> Timestamp {
        Timestamp::from_unix(self.until)
    }
}

/// Records accepted proofs. Implement it for a fleet whose replicas share one memory.
///
/// A verifier calls it once for each request with an accepted proof, on the thread of the request. So each call must
/// end within a bounded time.
pub trait ReplayStore: Send + Sync + 'static {
    /// Records the proof if it is not recorded, in one atomic step: of two calls with the same id, one fails.
    ///
    /// # Errors
    /// When the proof is recorded already, or cannot be recorded. The request is refused in each case.
    fn spend(&self, proof: &SpentProof, now: Timestamp) -> Result<(), ReplayError>;
}

/// Why a proof was not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// The proof is recorded already: 401.
    Replayed,
    /// The store is full: 503.
    Full,
    /// The store does not answer: 503.
    Unavailable(String),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replayed => f.write_str("the proof was used before"),
            Self::Full => f.write_str("the memory of proofs is full"),
            Self::Unavailable(why) => write!(f, "the store of proofs is unavailable: {why}"),
        }
    }
}

impl std::error::Error for ReplayError {}

/// A memory of accepted proofs in this process. It stores a hash for each, until the proof is not accepted any more.
pub struct MemoryReplays {
    capacity: usize,
    spent: Mutex<Spent>,
}

#[derive(Default)]
struct Spent {
    ids: HashSet<[u8; 32]>,
    /// The ids by the last second in which their proofs are accepted.
    by_end: BTreeMap<i64, Vec<[u8; 32]>>,
    /// The last second of the removed proofs. If the clock goes back, they would be accepted again.
    removed_until: Option<i64>,
}

/// How many ended proofs a request removes: no request holds the lock for long after a burst.
const MAX_REMOVED: usize = 1_024;

impl MemoryReplays {
    /// How many proofs are held by default: for 2,000 requests a second with proofs of a minute. A proof takes about 100
    /// bytes.
    pub const DEFAULT_CAPACITY: usize = 131_072;

    /// The largest capacity, about 1.6 GB.
    pub const MAX_CAPACITY: usize = 16_777_216;

    /// Creates an empty memory.
    pub(crate) fn new(capacity: usize) -> Result<Self, String> {
        if capacity == 0 || capacity > Self::MAX_CAPACITY {
            return Err(format!("a memory of {capacity} proofs is not one of 1 to {}", Self::MAX_CAPACITY));
        }
        Ok(Self { capacity, spent: Mutex::default() })
    }
}

impl ReplayStore for MemoryReplays {
    fn spend(&self, proof: &SpentProof, now: Timestamp) -> Result<(), ReplayError> {
        let spent = &mut *locked(&self.spent);
        spent.remove_before(now.unix());
        if spent.ids.contains(&proof.id) || spent.removed_until.is_some_and(|until| proof.until <= until) {
            return Err(ReplayError::Replayed);
        }
        if spent.ids.len() >= self.capacity {
            return Err(ReplayError::Full);
        }
        spent.ids.insert(proof.id);
        spent.by_end.entry(proof.until).or_default().push(proof.id);
        Ok(())
    }
}

impl Spent {
    /// Removes proofs that are not accepted any more. Each call adds one proof at most, so the memory shrinks.
    fn remove_before(&mut self, now: i64) {
        for _ in 0..MAX_REMOVED {
            let Some(mut first) = self.by_end.first_entry().filter(|first| *first.key() < now) else {
                return;
            };
            self.removed_until = self.removed_until.max(Some(*first.key()));
            match first.get_mut().pop() {
                Some(id) => drop(self.ids.remove(&id)),
                None => drop(first.remove()),
            }
        }
    }
}

impl fmt::Debug for MemoryReplays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReplays").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(id: u8, until: i64) -> SpentProof {
        SpentProof::new([id; 32], at(until))
    }

    fn at(now: i64) -> Timestamp {
        Timestamp::from_unix(now)
    }

    #[test]
    fn a_proof_is_recorded_once_while_it_is_accepted() {
        let memory = MemoryReplays::new(10).unwrap();
        assert_eq!(memory.spend(&proof(1, 60), at(0)), Ok(()));
        for now in [0, 30, 60] {
            assert_eq!(memory.spend(&proof(1, 60), at(now)), Err(ReplayError::Replayed), "{now}");
            // The same id with another time: a key uses each id once.
            assert_eq!(memory.spend(&proof(1, 61), at(now)), Err(ReplayError::Replayed), "{now}");
        }
        assert_eq!(memory.spend(&proof(2, 60), at(60)), Ok(()));
    }

    #[test]
    fn a_full_memory_refuses_until_a_proof_has_ended() {
        let memory = MemoryReplays::new(2).unwrap();
        memory.spend(&proof(1, 60), at(0)).unwrap();
        memory.spend(&proof(2, 61), at(0)).unwrap();
        assert_eq!(memory.spend(&proof(3, 90), at(60)), Err(ReplayError::Full));
        assert_eq!(memory.spend(&proof(1, 60), at(60)), Err(ReplayError::Replayed), "first what it is");
        assert_eq!(memory.spend(&proof(3, 90), at(61)), Ok(()), "one has ended");
        assert_eq!(memory.spend(&proof(4, 90), at(61)), Err(ReplayError::Full));
    }

    #[test]
    fn ended_proofs_take_no_memory() {
        let memory = MemoryReplays::new(100).unwrap();
        for now in 0..10_000_i64 {
            memory
                .spend(
                    &SpentProof::new(crate::keys::thumbprint::sha256(&[&now.to_be_bytes()]), at(now + 60)),
                    at(now),
                )
                .unwrap();
            let spent = locked(&memory.spent);
            assert!(spent.ids.len() <= 61 && spent.by_end.len() <= 61, "{now}");
        }
    }

    #[test]
    fn a_request_after_a_burst_removes_a_bounded_number() {
        let memory = MemoryReplays::new(5_000).unwrap();
        let id = |number: i64| crate::keys::thumbprint::sha256(&[&number.to_be_bytes()]);
        for number in 0..5_000 {
            memory.spend(&SpentProof::new(id(number), at(60)), at(0)).unwrap();
        }
        memory.spend(&SpentProof::new(id(-1), at(121)), at(61)).unwrap();
        let held = || locked(&memory.spent).ids.len();
        assert_eq!(held(), 5_000 - MAX_REMOVED + 1);
        for number in 2..8 {
            memory.spend(&SpentProof::new(id(-number), at(121)), at(61)).unwrap();
        }
        assert_eq!(held(), 7, "all of the burst");
        assert_eq!(locked(&memory.spent).by_end.len(), 1);
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_removed_proof_new() {
        let memory = MemoryReplays::new(10).unwrap();
        memory.spend(&proof(1, 60), at(0)).unwrap();
        memory.spend(&proof(2, 130), at(70)).unwrap();
        assert_eq!(memory.spend(&proof(1, 60), at(0)), Err(ReplayError::Replayed));
        assert_eq!(
            memory.spend(&proof(3, 60), at(0)),
            Err(ReplayError::Replayed),
            "it may have been removed"
        );
        assert_eq!(memory.spend(&proof(3, 61), at(1)), Ok(()), "none of these was removed");
    }

    #[test]
    fn of_many_threads_one_spends_a_proof() {
        let memory = MemoryReplays::new(1000).unwrap();
        let accepted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| (0..100).filter(|&id| memory.spend(&proof(id, 60), at(0)).is_ok()).count())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(accepted, 100);
    }

    #[test]
    fn an_error_of_a_store_says_why_a_proof_was_not_recorded() {
        assert_eq!(ReplayError::Replayed.to_string(), "the proof was used before");
        let down = ReplayError::Unavailable("no route".to_owned());
        assert_eq!(down.to_string(), "the store of proofs is unavailable: no route");
        let memory = MemoryReplays::new(7).unwrap();
        assert_eq!(format!("{memory:?}"), "MemoryReplays { capacity: 7, .. }");
    }

    #[test]
    fn a_capacity_is_bounded() {
        assert!(MemoryReplays::new(0).is_err());
        assert!(MemoryReplays::new(MemoryReplays::MAX_CAPACITY + 1).is_err());
        MemoryReplays::new(MemoryReplays::MAX_CAPACITY).unwrap();
    }
}
