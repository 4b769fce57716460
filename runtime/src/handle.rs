//! Handles that do not keep alive what they point to: for the metrics, which read a verifier or a log only
//! while the program uses it.

use std::sync::Arc;

/// A value that can be found again while another owner keeps it alive.
pub trait WeakHandle: Sized {
    /// Returns the value again, or `None` once its last owner has dropped it.
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static;
}

/// The handle of a value that is a wrapper of one `Arc`.
pub(crate) fn weak<T: Send + Sync + 'static, V: 'static>(
    shared: &Arc<T>,
    wrap: fn(Arc<T>) -> V,
) -> impl Fn() -> Option<V> + Clone + Send + Sync + use<T, V> {
    let shared = Arc::downgrade(shared);
    move || shared.upgrade().map(wrap)
}
