//! How long decisions took. Eight buckets per power of two, so a quantile is at most an eighth too large.

/// A histogram of durations in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Durations {
    counts: Vec<u64>,
    total: u64,
}

impl Durations {
    /// The upper ends of [`Durations::coarse`], in microseconds. The last count is for longer durations.
    pub const COARSE: [u64; 5] = [10, 100, 1_000, 10_000, 100_000];

    pub(crate) fn add(&mut self, duration: u64) {
        let bucket = bucket(duration);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.total += 1;
    }

    /// The duration that this share of the decisions does not exceed; `None` without a decision.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the total")]
        let rank = ((self.total as f64 * share).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map(upper_end)
    }

    /// The number of decisions up to each of [`Durations::COARSE`], and of those that took longer.
    pub fn coarse(&self) -> [u64; 6] {
        let mut coarse = [0; 6];
        for (bucket, count) in self.counts.iter().enumerate() {
            let place = Self::COARSE.iter().position(|end| upper_end(bucket) <= *end).unwrap_or(5);
            if let Some(sum) = coarse.get_mut(place) {
                *sum += count;
            }
        }
        coarse
    }
}

fn bucket(duration: u64) -> usize {
    match duration {
        0..=7 => duration as usize,
        _ => {
            let power = duration.ilog2();
            (power as usize - 2) * 8 + (duration >> (power - 3) & 7) as usize
        }
    }
}

/// The largest duration of a bucket.
fn upper_end(bucket: usize) -> u64 {
    let (bucket, part) = (bucket as u64 / 8, bucket as u64 % 8);
    match bucket {
        0 => part,
        _ => (8 + part) << (bucket - 1) | ((1 << (bucket - 1)) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_in_the_bucket_whose_end_is_at_most_an_eighth_larger() {
        for duration in (0..100_000).chain([u64::MAX / 3, u64::MAX]) {
            let end = upper_end(bucket(duration));
            assert!(end >= duration && end - duration <= duration / 8, "{duration}: {end}");
        }
    }

    #[test]
    fn quantiles_count_from_the_shortest() {
        let mut durations = Durations::default();
        (1..=100).for_each(|duration| durations.add(duration));
        assert_eq!(durations.quantile(0.5), Some(51));
        assert_eq!(durations.quantile(0.99), Some(103));
        assert_eq!(durations.coarse(), [10, 85, 5, 0, 0, 0]);
        assert_eq!(Durations::default().quantile(0.5), None);
    }
}
