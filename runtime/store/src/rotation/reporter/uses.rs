//! Which services used which keys since the last report. A request costs two lookups and one mark.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use service_only::__satellite::bounded;

/// The limit of services per key with their own entry; the rest share one name.
const MAX_SERVICES: usize = 1024;

/// The limit of keys: more than a key set has during the life of a program that rotates every season.
const MAX_KEYS: usize = 256;

/// Marks by key and service. A new pair is added under a lock; later marks need no lock.
#[derive(Default)]
pub(crate) struct Uses {
    seen: ArcSwap<Seen>,
    adding: Mutex<()>,
}

type Seen = HashMap<String, HashMap<String, Arc<AtomicBool>>>;

impl Uses {
    pub(crate) fn mark(&self, kid: &str, service: &str) {
        if !mark(&self.seen.load(), kid, service) {
            self.add(kid, service);
        }
    }

    fn add(&self, kid: &str, service: &str) {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.seen.load();
        let kid = bounded(kid, seen.contains_key(kid), seen.len(), MAX_KEYS);
        let services = seen.get(kid).map_or(0, HashMap::len);
        let service = bounded(service, false, services, MAX_SERVICES);
        // Another thread may have been faster.
        if !mark(&seen, kid, service) {
            let mut more = Seen::clone(&seen);
            let marked = Arc::new(AtomicBool::new(true));
            more.entry(kid.to_owned()).or_default().insert(service.to_owned(), marked);
            self.seen.store(Arc::new(more));
        }
    }

    /// Returns the marked pairs, and clears their marks.
    pub(crate) fn take(&self) -> Vec<(String, String)> {
        let seen = self.seen.load();
        let all = seen
            .iter()
            .flat_map(|(kid, services)| services.iter().map(move |(name, mark)| (kid, name, mark)));
        let marked = all.filter(|(_, _, mark)| mark.swap(false, Ordering::Relaxed));
        marked.map(|(kid, service, _)| (kid.clone(), service.clone())).collect()
    }
}

fn mark(seen: &Seen, kid: &str, service: &str) -> bool {
    let known = seen.get(kid).and_then(|services| services.get(service));
    known.is_some_and(|mark| {
        // Most requests find the mark set, and do not write, so the cache line stays in every core's cache.
        if !mark.load(Ordering::Relaxed) {
            mark.store(true, Ordering::Relaxed);
        }
        true
    })
}

#[cfg(test)]
mod tests {
    use service_only::__satellite::OTHERS;

    use super::*;

    #[test]
    fn a_pair_is_reported_once_per_interval_of_use() {
        let uses = Uses::default();
        for _ in 0..3 {
            uses.mark("k1", "orders");
            uses.mark("k1", "sales");
        }
        let mut told = uses.take();
        told.sort();
        let pair = |kid: &str, service: &str| (kid.to_owned(), service.to_owned());
        assert_eq!(told, [pair("k1", "orders"), pair("k1", "sales")]);
        assert_eq!(uses.take(), []);
        uses.mark("k1", "sales");
        assert_eq!(uses.take(), [pair("k1", "sales")]);
    }

    #[test]
    fn services_and_keys_are_bounded_and_none_is_lost() {
        let uses = Uses::default();
        for index in 0..MAX_SERVICES + 2 {
            uses.mark("k1", &format!("service-{index}"));
        }
        for index in 0..MAX_KEYS + 2 {
            uses.mark(&format!("key-{index}"), "orders");
        }
        let told = uses.take();
        assert!(told.contains(&("k1".to_owned(), OTHERS.to_owned())));
        assert!(told.contains(&(OTHERS.to_owned(), "orders".to_owned())));
        assert_eq!(told.len(), MAX_SERVICES + 1 + MAX_KEYS);
    }
}
