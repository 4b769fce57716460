//! Numbered sets of labels: a counter is found by its number, and the number of sets is limited.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use opentelemetry::KeyValue;

use super::locked;

/// See [`Metrics::MAX_SERIES`](crate::Metrics::MAX_SERIES).
pub(crate) const MAX_METRIC_SERIES: usize = 2_000;

/// Locked only during a lookup.
#[derive(Default)]
pub(crate) struct Series(Mutex<Numbered>);

#[derive(Default)]
struct Numbered {
    numbers: HashMap<Labels, usize>,
    labels: Vec<Labels>,
}

pub(crate) type Labels = Arc<[KeyValue]>;

impl Series {
    /// The number of these labels. New labels get the next number.
    pub(crate) fn number(&self, labels: impl IntoIterator<Item = KeyValue>) -> usize {
        let mut labels: Vec<_> = labels.into_iter().collect();
        // The SDK finds sorted labels faster.
        labels.sort_by(|one, other| one.key.cmp(&other.key));
        let mut all = locked(&self.0);
        if !all.numbers.contains_key(labels.as_slice()) && all.labels.len() + 1 >= MAX_METRIC_SERIES {
            labels = vec![overflow()];
        }
        all.number(labels.into())
    }

    /// All labels, in the order of their numbers.
    pub(crate) fn labels(&self) -> Vec<Labels> {
        locked(&self.0).labels.clone()
    }
}

impl Numbered {
    fn number(&mut self, labels: Labels) -> usize {
        let next = self.labels.len();
        let number = *self.numbers.entry(Arc::clone(&labels)).or_insert(next);
        if number == next {
            self.labels.push(labels);
        }
        number
    }
}

/// The label of the overflow series, as the SDK names it.
fn overflow() -> KeyValue {
    KeyValue::new("otel.metric.overflow", true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_one_number_in_any_order() {
        let series = Series::default();
        let (a, b) = (KeyValue::new("a", 1), KeyValue::new("b", 2));
        assert_eq!(series.number([a.clone(), b.clone()]), series.number([b, a.clone()]));
        assert_eq!(series.number([a]), 1);
        assert_eq!(series.labels().len(), 2);
    }

    #[test]
    fn series_beyond_the_limit_are_merged_and_existing_ones_are_kept() {
        let series = Series::default();
        let number = |number: i64| series.number([KeyValue::new("n", number)]);
        let last = MAX_METRIC_SERIES - 1;
        (0..4_000).for_each(|n| assert_eq!(number(n), last.min(usize::try_from(n).unwrap())));
        assert_eq!(number(3), 3);
        let labels = series.labels();
        assert_eq!((labels.len(), &*labels[last]), (MAX_METRIC_SERIES, [overflow()].as_slice()));
    }
}
