//! A step that leaves a record also where its future is dropped within it.

/// Runs when it is dropped, unless it was finished: by a client that disconnects, a time limit, or a panic.
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
