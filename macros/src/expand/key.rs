//! The seed of a handler's key. A guard's type finds the registration of its handler by that key.
//!
//! The runtime (`__private::key`) adds the module path, which an attribute does not know. The key is a hash of everything
//! that a record shows about a handler, so handlers with equal keys have equal names. It affects no decision.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use proc_macro2::Ident;

/// A hash of the handler's place and policy. A macro by example can write several handlers at one place, so equal
/// handlers are counted.
pub(crate) fn seed(name: &Ident, asks: &str) -> u64 {
    // The unit tests of this crate run without a compiler, which knows the place.
    if !proc_macro::is_available() {
        return 0;
    }
    let package = ["CARGO_PKG_NAME", "CARGO_PKG_VERSION"].map(std::env::var_os);
    let span = name.span();
    let (file, start) = (within_package(&span.file()), span.start());
    let place = hash(&(package, file, start.line, start.column, name.to_string(), asks));
    hash(&(place, occurrence(place)))
}

/// The path relative to the package's directory, or the name of a file outside of it. So a key does not depend on the
/// directory of the build.
fn within_package(file: &str) -> PathBuf {
    let file = Path::new(file);
    if file.is_relative() && !file.starts_with("..") {
        return file.to_owned();
    }
    let below = std::env::var_os("CARGO_MANIFEST_DIR").and_then(|package| file.strip_prefix(package).ok());
    below.or(file.file_name().map(Path::new)).unwrap_or(file).to_owned()
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
