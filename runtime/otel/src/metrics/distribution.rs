//! Collects values per bucket for a histogram of the SDK.
//!
//! The SDK accepts one value at a time and looks up its labels for each, which costs more than a decision. So
//! a thread counts values here, and the SDK gets the same number of values later. Each bucket gets the same
//! number, with the same sum, minimum and maximum. A view with other buckets gets the mean of the values in
//! between.

use super::at;

#[derive(Default)]
pub(crate) struct Distribution {
    buckets: Vec<Bucket>,
    /// The bucket of the last value: the next value is usually in the same one.
    last: usize,
}

#[derive(Copy, Clone)]
struct Bucket {
    count: u64,
    sum: f64,
    least: f64,
    greatest: f64,
}

impl Distribution {
    /// Counts a value. `bounds` are the upper bounds of the SDK histogram's buckets.
    #[inline]
    pub(crate) fn add(&mut self, bounds: &[f64], value: f64) {
        let above = |bound: usize| bounds.get(bound).is_none_or(|bound| value <= *bound);
        let below = |bound: usize| bounds.get(bound).is_some_and(|bound| *bound < value);
        if !(above(self.last) && (self.last == 0 || below(self.last - 1))) {
            self.last = bounds.partition_point(|bound| *bound < value);
        }
        at(&mut self.buckets, self.last).add(value);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (number, bucket) in other.buckets.iter().enumerate() {
            at(&mut self.buckets, number).merge(bucket);
        }
    }

    /// As many values as were counted, with the same sum per bucket.
    pub(crate) fn values(&self) -> impl Iterator<Item = f64> {
        self.buckets.iter().flat_map(Bucket::values)
    }
}

impl Default for Bucket {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, least: f64::INFINITY, greatest: f64::NEG_INFINITY }
    }
}

impl Bucket {
    #[inline]
    fn add(&mut self, value: f64) {
        self.count = self.count.wrapping_add(1);
        self.sum += value;
        if value < self.least {
            self.least = value;
        }
        if value > self.greatest {
            self.greatest = value;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count = self.count.wrapping_add(other.count);
        self.sum += other.sum;
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
    }

    #[expect(clippy::cast_precision_loss, reason = "a mean")]
    fn values(&self) -> impl Iterator<Item = f64> + use<> {
        let between = self.count.saturating_sub(2);
        let mean = (self.sum - self.least - self.greatest) / between.max(1) as f64;
        // A sum of floating point numbers may be slightly off, and the mean must stay in its bucket.
        let mean = mean.max(self.least).min(self.greatest);
        let least = (self.count > 0).then_some(self.least);
        let greatest = (self.count > 1).then_some(self.greatest);
        least.into_iter().chain(greatest).chain((0..between).map(move |_| mean))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: [f64; 4] = [0.0, 1.0, 2.5, 100.0];

    fn of(values: &[f64]) -> Distribution {
        let mut all = Distribution::default();
        values.iter().for_each(|value| all.add(&BOUNDS, *value));
        all
    }

    /// Counts per bucket, sum, minimum, maximum.
    fn seen(values: impl Iterator<Item = f64>) -> ([u64; 5], f64, f64, f64) {
        let mut seen = ([0; 5], 0.0, f64::INFINITY, f64::NEG_INFINITY);
        for value in values {
            seen.0[BOUNDS.iter().filter(|bound| **bound < value).count()] += 1;
            seen = (seen.0, seen.1 + value, seen.2.min(value), seen.3.max(value));
        }
        seen
    }

    proptest! {
        #[test]
        fn collected_histogram_has_the_recorded_buckets_sum_and_extremes(
            one in prop::collection::vec(0.0..200.0, 0..40), other in prop::collection::vec(0.0..5.0, 0..40),
        ) {
            let mut both = of(&one);
            both.merge(&of(&other));
            let (expected, got) = (seen(one.into_iter().chain(other)), seen(both.values()));
            prop_assert_eq!(expected.0, got.0);
            prop_assert!((expected.1 - got.1).abs() < 1e-6, "{} is not {}", got.1, expected.1);
            prop_assert_eq!((expected.2, expected.3), (got.2, got.3));
        }
    }

    #[test]
    fn a_value_on_a_bound_is_below_it_and_equal_values_stay_themselves() {
        assert_eq!(of(&[1.0, 0.25, 0.25, 0.5]).values().collect::<Vec<_>>(), [0.25, 1.0, 0.375, 0.375]);
        assert_eq!(of(&[0.3; 5]).values().collect::<Vec<_>>(), [0.3; 5]);
        assert_eq!(of(&[]).values().count(), 0);
    }
}
