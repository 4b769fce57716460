//! The names that label measurements; their number is limited.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use opentelemetry::{KeyValue, StringValue};
use service_only::__satellite::{OTHERS, bounded};

use super::locked;

/// The set of labelled names, up to a limit. A thread uses it when it sees a name for the first time.
pub(crate) struct Names {
    known: Mutex<HashSet<Arc<str>>>,
    limit: usize,
}

impl Names {
    pub(crate) fn new(limit: usize) -> Self {
        Self { known: Mutex::default(), limit }
    }

    /// The label of a verified name.
    pub(crate) fn label(&self, key: &'static str, name: &str) -> KeyValue {
        let mut known = locked(&self.known);
        if let Some(name) = known.get(name) {
            return KeyValue::new(key, StringValue::from(Arc::clone(name)));
        }
        if bounded(name, false, known.len(), self.limit) == OTHERS {
            return KeyValue::new(key, OTHERS);
        }
        let name: Arc<str> = name.into();
        known.insert(Arc::clone(&name));
        KeyValue::new(key, StringValue::from(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_share_one_label_and_known_names_are_kept() {
        let names = Names::new(2);
        let label = |name| names.label("service", name).value.to_string();
        assert_eq!(["a", "b", "c", "d", "a", "b"].map(label), ["a", "b", OTHERS, OTHERS, "a", "b"]);
    }
}
