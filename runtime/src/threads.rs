//! What threads that work side by side need.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps what one thread writes out of the cache lines of its neighbours; two lines, as they are fetched in
/// pairs.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct OwnLine<T>(pub(crate) T);

/// What is behind a lock, also when a thread has panicked with it: for what is whole between any two steps.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
