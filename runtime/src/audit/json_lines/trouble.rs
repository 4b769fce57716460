//! Why records cannot be written at the moment. Every request can check it with one atomic load.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use crate::threads::locked;

#[derive(Default)]
pub(crate) struct Trouble {
    is_there: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Trouble {
    /// Sets the reason, and returns whether the trouble is new.
    pub(crate) fn begin(&self, new: String) -> bool {
        // Set both under the lock: otherwise an end in between would leave trouble without a reason.
        let mut reason = locked(&self.reason);
        *reason = Some(new);
        !self.is_there.swap(true, Ordering::Relaxed)
    }

    /// Clears the trouble, and returns whether there was any.
    pub(crate) fn end(&self) -> bool {
        if !self.is_there() {
            return false;
        }
        let mut reason = locked(&self.reason);
        *reason = None;
        self.is_there.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    pub(crate) fn reason(&self) -> Option<String> {
        if self.is_there() { locked(&self.reason).clone() } else { None }
    }
}
