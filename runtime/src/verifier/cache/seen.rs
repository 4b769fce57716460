//! Records which tokens were accepted lately. A token is cached when it is accepted the second time. A token that
//! is sent only once uses no memory and evicts no other token.

/// The number of slots for each token that the table may hold.
const PLACES_A_TOKEN: usize = 2;

/// Fingerprints by slot. A newer one overwrites an older one, which then counts as new
/// again. If two tokens have the same fingerprint, one of them is cached early. Neither affects a decision.
pub(crate) struct Seen {
    places: Box<[u32]>,
}

impl Seen {
    pub(crate) fn new(tokens: usize) -> Self {
        let places = tokens.saturating_mul(PLACES_A_TOKEN).next_power_of_two();
        Self { places: vec![0; places].into_boxed_slice() }
    }

    pub(crate) fn has(&self, hash: u64) -> bool {
        self.places.get(self.place(hash)) == Some(&fingerprint(hash))
    }

    pub(crate) fn note(&mut self, hash: u64) {
        let place = self.place(hash);
        if let Some(place) = self.places.get_mut(place) {
            *place = fingerprint(hash);
        }
    }

    fn place(&self, hash: u64) -> usize {
        usize::try_from(hash % self.places.len() as u64).unwrap_or(0)
    }
}

/// Never returns zero, which marks an empty slot.
fn fingerprint(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(0) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_as_seen_until_another_replaces_it() {
        let mut seen = Seen::new(4);
        assert!(!seen.has(0) && !seen.has(0x0001_0000_0000) && !seen.has(0x0007_0000_0001));
        seen.note(0x0008_0000_0001);
        assert!(seen.has(0x0008_0000_0001));
        assert!(!seen.has(0x000a_0000_0001), "another fingerprint");
        assert!(!seen.has(0x0008_0000_0002), "another place");
        seen.note(0x000a_0000_0009);
        assert!(seen.has(0x000a_0000_0009) && !seen.has(0x0008_0000_0001));
    }
}
