//! Closes the sinks that still exist when the program exits, for example in a `static`: `static` values
//! are never dropped.

use std::{
    sync::{Arc, Mutex, Weak},
    thread,
};

use super::Handle;
use crate::threads::locked;

static LIVE: Mutex<Vec<Weak<Handle>>> = Mutex::new(Vec::new());

/// Registers a sink to be closed at exit, if it still exists then.
pub(crate) fn close_at_exit(handle: &Arc<Handle>) {
    let mut live = locked(&LIVE);
    live.retain(|handle| handle.strong_count() > 0);
    live.push(Arc::downgrade(handle));
}

// Runs at the end of `main` and in `std::process::exit`, while other threads still run; not at an abort or a signal.
dtor::declarative::dtor! {
    #[dtor(unsafe)]
    fn close_live_sinks() {
        let live: Vec<_> = std::mem::take(&mut *locked(&LIVE)).iter().filter_map(Weak::upgrade).collect();
        if live.is_empty() {
            return;
        }
        // Close on a new thread: the thread-local values of the exiting thread are gone, and a log may need them.
        let closing = thread::Builder::new().spawn(move || live.iter().for_each(|handle| handle.close()));
        if let Ok(closing) = closing {
            let _ = closing.join();
        }
    }
}
