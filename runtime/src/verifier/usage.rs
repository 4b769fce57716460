//! Counts the services that still send compatible tokens to a verifier that also accepts strict ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use thread_local::ThreadLocal;

use crate::{
    others::bounded,
    threads::{OwnLine, locked},
};

/// The number of services that are counted by name; the others share one count.
const MAX_COUNTED: usize = 1024;

/// Counts tokens by service. Each thread has its own counters, behind a lock that only a reader ever contends for: a
/// cached token must not wait for another thread.
#[derive(Default)]
pub(crate) struct CompatibleTokens {
    /// The services that are counted by name, whichever thread saw them first.
    named: Mutex<BTreeSet<String>>,
    counts: ThreadLocal<OwnLine<Mutex<BTreeMap<String, u64>>>>,
}

impl CompatibleTokens {
    /// Counts a token, and logs when a service is seen for the first time.
    pub(crate) fn count(&self, service: &str) {
        let mut counts = locked(&self.counts.get_or_default().0);
        if let Some(count) = counts.get_mut(service) {
            *count = count.saturating_add(1);
            return;
        }
        let (name, first) = self.name(service);
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count = count.saturating_add(1);
        drop(counts);
        if first {
            tracing::warn!(service, "a service still sends tokens of the compatible profile");
        }
    }

    /// The name under which a service is counted, and whether it is used for the first time.
    fn name<'s>(&self, service: &'s str) -> (&'s str, bool) {
        let mut named = locked(&self.named);
        let name = bounded(service, named.contains(service), named.len(), MAX_COUNTED);
        let is_first = !named.contains(name) && named.insert(name.to_owned());
        (name, is_first)
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for counts in &self.counts {
            for (service, count) in locked(&counts.0).iter() {
                let sum = sums.entry(service.clone()).or_insert(0_u64);
                *sum = sum.saturating_add(*count);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::others::OTHERS;

    #[test]
    fn services_are_counted_and_their_number_is_bounded() {
        let usage = CompatibleTokens::default();
        for index in 0..MAX_COUNTED + 5 {
            usage.count(&format!("service-{index}"));
        }
        usage.count("service-0");
        let counts = usage.counts();
        assert_eq!(counts["service-0"], 2);
        assert_eq!((counts.len(), counts[OTHERS]), (MAX_COUNTED + 1, 5));
    }

    #[test]
    fn what_several_threads_count_is_one_sum() {
        let usage = CompatibleTokens::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..100).for_each(|_| usage.count("orders")));
            }
        });
        usage.count("sales");
        assert_eq!(usage.counts(), BTreeMap::from([("orders".to_owned(), 400), ("sales".to_owned(), 1)]));
    }
}
