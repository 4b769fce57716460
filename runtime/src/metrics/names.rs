//! The texts that measurements are labelled with: only so many, and without a copy for each measurement.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use opentelemetry::{KeyValue, StringValue};

use crate::policy::Endpoint;

/// The name of all that come too late for one. No service is called so.
const OTHERS: &str = "(others)";

/// At most so many names. Read for every request, and copied only when a name is new.
pub(super) struct Names {
    known: ArcSwap<HashMap<String, StringValue>>,
    adding: Mutex<()>,
    limit: usize,
}

impl Names {
    pub(super) fn new(limit: usize) -> Self {
        Self { known: ArcSwap::default(), adding: Mutex::default(), limit }
    }

    /// The label of a verified name.
    pub(super) fn label(&self, key: &'static str, name: &str) -> KeyValue {
        let known = self.known.load();
        match known.get(name) {
            Some(value) => KeyValue::new(key, value.clone()),
            None if known.len() >= self.limit => KeyValue::new(key, OTHERS),
            None => KeyValue::new(key, self.add(name)),
        }
    }

    fn add(&self, name: &str) -> StringValue {
        let _alone = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.known.load_full();
        match known.get(name) {
            Some(value) => return value.clone(),
            None if known.len() >= self.limit => return OTHERS.into(),
            None => {}
        }
        let value = StringValue::from(Arc::from(name));
        let mut more = HashMap::clone(&known);
        more.insert(name.to_owned(), value.clone());
        self.known.store(Arc::new(more));
        value
    }
}

/// The names of the program's handlers, which are as many as it has.
#[derive(Default)]
pub(super) struct Endpoints {
    /// By where the texts of an endpoint lie. The same texts at another place are the same label.
    known: ArcSwap<HashMap<Place, StringValue>>,
    adding: Mutex<()>,
}

type Place = (usize, usize, u32);

impl Endpoints {
    pub(super) fn label(&self, key: &'static str, endpoint: Option<Endpoint>) -> KeyValue {
        let Some(endpoint) = endpoint else { return KeyValue::new(key, NO_HANDLER) };
        let place = place(endpoint);
        let value = self.known.load().get(&place).cloned();
        KeyValue::new(key, value.unwrap_or_else(|| self.add(place, &endpoint)))
    }

    fn add(&self, place: Place, endpoint: &dyn fmt::Display) -> StringValue {
        let _alone = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut more = HashMap::clone(&self.known.load_full());
        let value = more.entry(place).or_insert_with(|| StringValue::from(Arc::from(endpoint.to_string())));
        let value = value.clone();
        self.known.store(Arc::new(more));
        value
    }
}

/// Where no handler has asked: a call of [`Verifier::verify`](crate::Verifier::verify), a layer.
const NO_HANDLER: &str = "(none)";

fn place(endpoint: Endpoint) -> Place {
    (endpoint.module_path().as_ptr().addr(), endpoint.function().as_ptr().addr(), endpoint.line())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_are_one_and_a_known_one_stays() {
        let names = Names::new(2);
        let label = |name| names.label("service", name).value.to_string();
        assert_eq!(["a", "b", "c", "d", "a", "b"].map(label), ["a", "b", OTHERS, OTHERS, "a", "b"]);
    }

    #[test]
    fn a_handler_is_called_as_in_the_audit_and_no_handler_has_a_name_too() {
        let endpoints = Endpoints::default();
        let handler = Endpoint::new("orders::api", "delete", "src/api.rs", 7);
        for _ in 0..2 {
            assert_eq!(endpoints.label("e", Some(handler)).value.to_string(), "orders::api::delete");
        }
        assert_eq!(endpoints.label("e", None).value.to_string(), NO_HANDLER);
        assert_eq!(endpoints.known.load().len(), 1);
    }
}
