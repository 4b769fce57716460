//! Why records cannot be written at the moment, readable by every request at the cost of one load.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use crate::threads::locked;

#[derive(Default)]
pub(super) struct Trouble {
    is_there: AtomicBool,
    reason: Mutex<Option<String>>,
}

impl Trouble {
    /// Sets the reason, and says whether the trouble is new.
    pub(super) fn begin(&self, reason: String) -> bool {
        *locked(&self.reason) = Some(reason);
        !self.is_there.swap(true, Ordering::Relaxed)
    }

    /// Says whether there was any.
    pub(super) fn end(&self) -> bool {
        let was_there = self.is_there.swap(false, Ordering::Relaxed);
        if was_there {
            *locked(&self.reason) = None;
        }
        was_there
    }

    pub(super) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Relaxed)
    }

    pub(super) fn reason(&self) -> Option<String> {
        if self.is_there() { locked(&self.reason).clone() } else { None }
    }
}
