//! A number for a handler, by which its type finds its registration. It names, and decides nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{LazyLock, Mutex, PoisonError};

use proc_macro2::{Ident, Literal};

pub(super) struct SiteKey(u64);

impl SiteKey {
    /// From where the handler stands and what it asks for. A macro by example can write several handlers at one
    /// place, so handlers of one place are counted.
    pub(super) fn of(name: &Ident, asks: &str) -> Self {
        // Without a compiler, in this crate's tests, there is no place.
        if !proc_macro::is_available() {
            return Self(0);
        }
        let crate_name = ["CARGO_PKG_NAME", "CARGO_PKG_VERSION", "CARGO_CRATE_NAME"].map(std::env::var_os);
        let start = name.span().start();
        let file = name.span().local_file();
        let place = hash(&(crate_name, file, start.line, start.column, name.to_string(), asks));
        Self(hash(&(place, occurrence(place))))
    }

    pub(super) fn literal(&self) -> Literal {
        Literal::u64_unsuffixed(self.0)
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn occurrence(place: u64) -> u64 {
    static SEEN: LazyLock<Mutex<HashMap<u64, u64>>> = LazyLock::new(Mutex::default);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let count = seen.entry(place).or_default();
    *count += 1;
    *count
}
