//! The hashes of a table, under a key that is random and the table's own: nobody can choose tokens or names
//! that collide. None decides anything: what is found by a hash is compared in full.

use std::{
    array,
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
};

/// The end of a token, which is the end of its signature, is what its hash is made of: some 188 bits, of which
/// the caller chooses none, but for the twin that an ECDSA signature has. The rest is compared.
const HASHED_BYTES: usize = 32;

pub(super) struct Keyed {
    hasher: RandomState,
    words: [u64; HASHED_BYTES / 8],
}

impl Keyed {
    pub(super) fn new() -> Self {
        let hasher = RandomState::new();
        Self { words: array::from_fn(|word| hasher.hash_one(word)), hasher }
    }

    /// At every request, so without the rounds of SipHash: products of words that a caller cannot choose
    /// and of words that he cannot know.
    pub(super) fn token(&self, token: &[u8]) -> u64 {
        // No token that is shorter is ever accepted.
        let end = token.last_chunk::<HASHED_BYTES>().copied().unwrap_or_default();
        let [(a, b), (c, d)] = [(0, 1), (2, 3)].map(|(left, right)| (word(&end, left), word(&end, right)));
        let [keyed_a, keyed_b, keyed_c, keyed_d] = self.words;
        folded(a ^ keyed_a, b ^ keyed_b) ^ folded(c ^ keyed_c, d ^ keyed_d).rotate_left(32)
    }

    /// Of whoever holds places.
    pub(super) fn holder(&self, issuer: usize, name: impl Hash) -> u64 {
        self.hasher.hash_one((issuer, name))
    }
}

fn word(bytes: &[u8; HASHED_BYTES], at: usize) -> u64 {
    bytes.as_chunks().0.get(at).map_or(0, |word| u64::from_le_bytes(*word))
}

/// Both halves of the product: every bit of either word moves the result.
fn folded(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    let [low, high] = [product, product >> 64].map(|half| half & u128::from(u64::MAX));
    u64::try_from(low ^ high).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_that_differ_in_one_bit_of_their_end_have_hashes_that_differ() {
        let keyed = Keyed::new();
        let token = [b'a'; 100];
        let mut hashes = HashSet::from([keyed.token(&token)]);
        for at in 100 - HASHED_BYTES..100 {
            for bit in 0..8 {
                let mut other = token;
                other[at] ^= 1 << bit;
                hashes.insert(keyed.token(&other));
            }
        }
        assert_eq!(hashes.len(), 1 + HASHED_BYTES * 8);
    }

    #[test]
    fn two_tables_hash_a_token_to_two_values() {
        let tables = [Keyed::new(), Keyed::new()];
        let [first, second] = tables.map(|keyed| keyed.token(&[b'a'; 100]));
        assert_ne!(first, second);
    }

    #[test]
    fn hashes_spread_over_both_of_their_halves() {
        let keyed = Keyed::new();
        let hashes = (0..4096_u32).map(|number| keyed.token(&[number.to_le_bytes(); 16].concat()));
        let (low, high): (HashSet<_>, HashSet<_>) = hashes.map(|hash| (hash % 65_536, hash >> 48)).unzip();
        // Of 4,096 draws out of 65,536, some 120 meet another.
        assert!(low.len() > 3_800 && high.len() > 3_800, "{} {}", low.len(), high.len());
    }
}
