//! The ids of recent admitted calls. A later record of the same id replaces the outcome.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, BuildHasherDefault, Hasher},
};

use foldhash::fast::RandomState;

/// How many ids are kept. A handler that refuses writes its second record when it ends, so the distance is the number of
/// requests during one handler.
const KEPT: usize = 1 << 17;

#[derive(Debug, Default)]
pub(crate) struct RecentIds {
    hasher: RandomState,
    order: VecDeque<u64>,
    ids: HashSet<u64, BuildHasherDefault<Same>>,
}

impl RecentIds {
    pub(crate) fn add(&mut self, id: &str) {
        let id = self.hasher.hash_one(id);
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    /// Whether the id belongs to an admitted call. It is removed, so a third record changes nothing.
    pub(crate) fn contains(&mut self, id: &str) -> bool {
        self.ids.remove(&self.hasher.hash_one(id))
    }
}

/// The hash of a hash is the hash.
#[derive(Debug, Default)]
pub(crate) struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
