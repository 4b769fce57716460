//! The seed of a handler's key, by which its type finds its registration. The key names, and decides nothing.
//!
//! The compiler adds the module to it (`private::key` of the runtime), which no attribute knows. A key stands for
//! everything that a record shows of a handler, so handlers that share a key also share their name.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use proc_macro2::Ident;

/// From where the handler is written and what it asks for. A macro by example can write several handlers at one
/// place, so handlers that are alike are counted.
pub(crate) fn seed(name: &Ident, asks: &str) -> u64 {
    // Without a compiler, in this crate's tests, there is no place.
    if !proc_macro::is_available() {
        return 0;
    }
    let package = ["CARGO_PKG_NAME", "CARGO_PKG_VERSION"].map(std::env::var_os);
    let span = name.span();
    let (file, start) = (within_package(&span.file()), span.start());
    let place = hash(&(package, file, start.line, start.column, name.to_string(), asks));
    hash(&(place, occurrence(place)))
}

/// The part of a path that does not depend on the directory that the program is built in: below the directory of
/// the package, or the name of a file that is elsewhere.
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
