//! Weak handles, which do not keep their value alive. Metrics use them to read a verifier or a log only
//! while the program uses it.

use std::sync::Arc;

/// A value with a weak handle, which finds the value again while another owner keeps it alive.
pub trait WeakHandle: Sized {
    /// Returns the value again, or `None` once its last owner has dropped it.
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static;
}

/// Creates the handle of a value that wraps one `Arc`.
pub(crate) fn weak<T: Send + Sync + 'static, V: 'static>(
    shared: &Arc<T>,
    wrap: fn(Arc<T>) -> V,
) -> impl Fn() -> Option<V> + Clone + Send + Sync + use<T, V> {
    let shared = Arc::downgrade(shared);
    move || shared.upgrade().map(wrap)
}
