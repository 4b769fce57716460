//! Hashes that are made here: they say where something may be, and what is found is compared in full.

use std::hash::Hasher;

/// For a map whose keys are hashes already, of what nobody can choose or of what is worth nothing to collide.
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

/// Spreads the bits of one more word over a hash. Not keyed: whoever knows it can make two that are equal.
#[inline]
pub(crate) const fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}
