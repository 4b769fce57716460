//! A number for a handler, by which its type finds its registration. It names, and decides nothing.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{LazyLock, Mutex, PoisonError};

use proc_macro2::Ident;

pub(super) struct SiteKey(u64);

impl SiteKey {
    /// From where the handler stands and what it asks for. The file is left out, so that a program does not
    /// depend on the directory that it is built in; and a macro by example can write several handlers at one
    /// place. So handlers that are alike are counted.
    pub(super) fn of(name: &Ident, asks: &str) -> Self {
        // Without a compiler, in this crate's tests, there is no place.
        if !proc_macro::is_available() {
            return Self(0);
        }
        let crate_name = ["CARGO_PKG_NAME", "CARGO_PKG_VERSION", "CARGO_CRATE_NAME"].map(std::env::var_os);
        let start = name.span().start();
        let place = hash(&(crate_name, start.line, start.column, name.to_string(), asks));
        Self(hash(&(place, occurrence(place))))
    }

    pub(super) fn number(&self) -> u64 {
        self.0
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
