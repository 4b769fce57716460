//! Hash values that this crate computes. They only locate an entry; the entry is then compared in full.

use std::hash::Hasher;

/// A hasher for maps whose keys are hashes already. A caller must not be able to choose them, or gain by a collision.
#[derive(Debug, Default)]
pub struct Hashed(u64);

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

/// Mixes one more word into a hash. It is not keyed, so an attacker can construct two inputs with the same hash.
#[inline]
pub const fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}
