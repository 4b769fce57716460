//! Tasks that run beside the program.

use tokio::{runtime::Handle, task::AbortHandle};

use crate::store::StoreError;

/// A task that is aborted when this handle is dropped.
pub(crate) struct Background(AbortHandle);

impl Background {
    /// Starts a task on the current tokio runtime. `place` names the store in the error.
    ///
    /// # Errors
    /// When no tokio runtime is running.
    pub(crate) fn start(
        place: &str,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<Self, StoreError> {
        match Handle::try_current() {
            Ok(runtime) => Ok(Self(runtime.spawn(task).abort_handle())),
            Err(error) => Err(StoreError::NoRuntime { place: place.to_owned(), source: error.into() }),
        }
    }

    /// Starts a task from within another task.
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task).abort_handle())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.0.abort();
    }
}
