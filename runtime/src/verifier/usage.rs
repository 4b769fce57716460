//! Who still sends tokens of the old profile to a verifier that also takes the strict one.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// Services that are counted by name; the rest share one count.
const MAX_COUNTED: usize = 1024;

/// The name of that shared count; no service has it.
const OTHERS: &str = "(others)";

/// Counts by service. Locked for one addition at a time, and only for tokens of the old profile.
#[derive(Default)]
pub(super) struct OldProfile(Mutex<BTreeMap<String, u64>>);

impl OldProfile {
    /// Counts a token, and logs when a service is seen for the first time.
    pub(super) fn count(&self, service: &str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(service) {
            *count = count.saturating_add(1);
            return;
        }
        let name = if counts.len() < MAX_COUNTED { service } else { OTHERS };
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count = count.saturating_add(1);
        let first = *count == 1;
        drop(counts);
        if first {
            tracing::warn!(service, "a service still sends tokens of the compatible profile");
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_counted_and_their_number_is_bounded() {
        let usage = OldProfile::default();
        for index in 0..MAX_COUNTED + 5 {
            usage.count(&format!("service-{index}"));
        }
        usage.count("service-0");
        let counts = usage.counts();
        assert_eq!(counts["service-0"], 2);
        assert_eq!((counts.len(), counts[OTHERS]), (MAX_COUNTED + 1, 5));
    }
}
