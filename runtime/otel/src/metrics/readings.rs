//! Instruments that are read at each collection. They stop reading a watched object after it is dropped.

use std::{
    collections::HashMap,
    ops::AddAssign,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter},
};

/// One instrument and all its sources. An instrument accepts one value per set of labels, so the values of
/// several sources are summed here first.
pub(crate) struct Readings<T>(Arc<Mutex<Vec<Source<T>>>>);

/// Reports its values; `None` after its object was dropped.
type Source<T> = Box<dyn FnMut(&mut Reading<T>) -> Option<()> + Send>;

/// The values that the sources of an instrument reported in this collection.
pub(crate) struct Reading<T>(HashMap<Vec<KeyValue>, T>);

impl<T> Readings<T> {
    /// Reads `source` at each collection, until it returns `None`.
    pub(crate) fn add(&self, source: impl FnMut(&mut Reading<T>) -> Option<()> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(source));
    }
}

impl<T: Copy + AddAssign + Default> Readings<T> {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn callback(&self) -> impl Fn(&dyn AsyncInstrument<T>) + Send + Sync + use<T> {
        let sources = Arc::clone(&self.0);
        move |instrument| {
            let mut reading = Reading(HashMap::new());
            let mut sources = sources.lock().unwrap_or_else(PoisonError::into_inner);
            sources.retain_mut(|source| source(&mut reading).is_some());
            drop(sources);
            for (labels, value) in &reading.0 {
                instrument.observe(*value, labels);
            }
        }
    }
}

impl<T: AddAssign + Default> Reading<T> {
    pub(crate) fn take(&mut self, labels: &[KeyValue], value: T) {
        *self.0.entry(labels.to_vec()).or_default() += value;
    }
}

impl Readings<u64> {
    pub(crate) fn counter(meter: &Meter, name: &'static str, unit: &'static str, what: &'static str) -> Self {
        let own = Self::new();
        let counter = meter.u64_observable_counter(name).with_unit(unit).with_description(what);
        counter.with_callback(own.callback()).build();
        own
    }

    pub(crate) fn u64_gauge(
        meter: &Meter,
        name: &'static str,
        unit: &'static str,
        what: &'static str,
    ) -> Self {
        let own = Self::new();
        let gauge = meter.u64_observable_gauge(name).with_unit(unit).with_description(what);
        gauge.with_callback(own.callback()).build();
        own
    }
}

impl Readings<f64> {
    pub(crate) fn f64_gauge(
        meter: &Meter,
        name: &'static str,
        unit: &'static str,
        what: &'static str,
    ) -> Self {
        let own = Self::new();
        let gauge = meter.f64_observable_gauge(name).with_unit(unit).with_description(what);
        gauge.with_callback(own.callback()).build();
        own
    }
}
