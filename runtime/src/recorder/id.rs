//! Generates the id of a record.

use std::cell::RefCell;

use aws_lc_rs::rand;
use uuid::Uuid;

use crate::clock::Timestamp;

/// Generates a UUID of version 7 (RFC 9562 section 5.7) from the verifier's clock. The nanoseconds within the
/// millisecond take the place of the counter of section 6.2. So ids sort by the time of their records, whichever
/// thread generated them. The other 54 bits are random.
pub(crate) fn event_id(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.unix()).unwrap_or(0);
    let nanos = now.subsec_nanos();
    let millis = seconds.saturating_mul(1_000).saturating_add(u64::from(nanos / NANOS_PER_MILLI));
    // Twenty bits: twelve follow the version, eight follow the variant.
    let counter = u64::from(nanos % NANOS_PER_MILLI);
    let high = (millis << 16) | VERSION | (counter >> 8);
    let low = VARIANT | (counter & 0xff) << RANDOM | random() >> (u64::BITS - RANDOM);
    Uuid::from_u64_pair(high, low)
}

const NANOS_PER_MILLI: u32 = 1_000_000;
const VERSION: u64 = 7 << 12;
const VARIANT: u64 = 0b10 << 62;

/// The number of random bits.
const RANDOM: u32 = 54;

/// How many ids share one request for random bytes: the call costs more than the bytes.
const DRAWN: usize = 128;

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block { bytes: [[0; 8]; DRAWN], left: 0 }) };
}

struct Block {
    bytes: [[u8; 8]; DRAWN],
    left: usize,
}

/// Returns random bits. Each value is used once.
fn random() -> u64 {
    let drawn = BLOCK.try_with(|block| block.try_borrow_mut().ok().and_then(|mut block| block.next()));
    // The thread is ending, or the source fails: then each id requests its bits separately.
    drawn.ok().flatten().unwrap_or_else(|| Uuid::new_v4().as_u64_pair().1 << 2)
}

impl Block {
    fn next(&mut self) -> Option<u64> {
        if self.left == 0 {
            rand::fill(self.bytes.as_flattened_mut()).ok()?;
            self.left = DRAWN;
        }
        self.left -= 1;
        self.bytes.get(self.left).map(|bytes| u64::from_ne_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use super::*;

    #[test]
    fn ids_sort_by_time_down_to_the_nanosecond() {
        let start = Timestamp::from_unix(1_767_225_600);
        let steps = [0, 1, 4_095, 4_096, 999_999, 1_000_000, 1_000_001, 999_999_999, 1_000_000_000];
        let ids = steps.map(|nanos| event_id(start.plus(Duration::from_nanos(nanos))));
        assert!(ids.is_sorted(), "{ids:?}");
        for (id, nanos) in ids.iter().zip(steps) {
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
            let (seconds, subsec) = id.get_timestamp().unwrap().to_unix();
            let millis = seconds * 1000 + u64::from(subsec) / 1_000_000;
            assert_eq!(millis, 1_767_225_600_000 + nanos / 1_000_000);
        }
    }

    #[test]
    fn a_block_of_random_bytes_is_used_once_and_drawn_again() {
        let mut block = Block { bytes: [[0; 8]; DRAWN], left: 0 };
        let drawn: HashSet<_> = (0..3 * DRAWN).filter_map(|_| block.next()).collect();
        assert_eq!((drawn.len(), block.left), (3 * DRAWN, 0));
    }

    #[test]
    fn ids_of_one_instant_differ() {
        let ids: HashSet<_> = (0..1000).map(|_| event_id(Timestamp::from_unix(7))).collect();
        assert_eq!(ids.len(), 1000);
        // A UUID cannot encode the first and the last instant, but both still get a valid id.
        for unix in [i64::MIN, i64::MAX] {
            assert_eq!(event_id(Timestamp::from_unix(unix)).get_version_num(), 7);
        }
    }
}
