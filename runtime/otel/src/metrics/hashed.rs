//! A fast hash for lookups. A hash only selects an entry; the lookup then compares the entry in full.

use std::hash::Hasher;

/// A hasher for maps whose keys are already hashes. An attacker cannot choose these keys, or gains nothing
/// from a collision.
#[derive(Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Mixes one more word into a hash. The hash has no key: a person who knows it can construct collisions.
#[inline]
pub(crate) const fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}
