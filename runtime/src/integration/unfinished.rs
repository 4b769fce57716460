//! Runs a function if a future is dropped before it has finished, so that a record is written in that case too.

/// Runs the function on drop, unless it was finished. A client that disconnects, a timeout or a panic cause that.
pub(crate) struct Unfinished<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Unfinished<F> {
    pub(crate) fn new(record: F) -> Self {
        Self(Some(record))
    }

    pub(crate) fn finish(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for Unfinished<F> {
    fn drop(&mut self) {
        if let Some(record) = self.0.take() {
            record();
        }
    }
}
