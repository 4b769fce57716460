//! Helpers for data that several threads share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Aligns a value so that no other value shares its cache line. Two lines, because processors fetch them in
/// pairs.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct OwnLine<T>(pub(crate) T);

/// Locks a mutex and ignores a poisoned lock. Use it for data that is valid after every step of a change.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
