//! A file that changes: looked at again and again by a thread of its own, and read anew when it is
//! another one.
//!
//! Kubernetes replaces a mounted secret by swapping the symbolic link `..data`: no watch on the file
//! itself ever sees that. So the file is looked at by what tells every kind of change: where the path
//! leads, the inode, the length and the times. What is broken leaves the last good content in place.

mod stamp;

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use aws_lc_rs::digest::{Digest, SHA256, digest};
use stamp::Stamp;
use zeroize::Zeroizing;

use crate::clock::{Clock, Timestamp};

/// How often a file is looked at when nothing else is said: every second. That costs two system
/// calls, and an operator who has repaired a file sees the effect while still looking.
pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest interval: more often than this, looking costs more than it brings.
pub(crate) const MIN_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What a file holds and how it is read.
pub(crate) trait Contents: Send + Sync + 'static {
    type Content: Send + Sync + 'static;
    type Error: Clone + PartialEq + fmt::Display + Send + Sync + 'static;

    /// The thread's name.
    const THREAD: &'static str;

    fn path(&self) -> &Path;

    /// Reads the file as it is now.
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Self::Error>;

    /// Makes of its bytes what it is for.
    fn parse(&self, bytes: &[u8]) -> Result<Self::Content, Self::Error>;

    /// Why no thread can be started.
    fn no_thread(&self, error: &io::Error) -> Self::Error;

    /// Says that other content is in use.
    fn tell_loaded(&self, content: &Self::Content);

    /// Says that the file cannot be used, and its last good content stays.
    fn tell_refused(&self, error: &Self::Error);
}

/// A file and its last good content. Cheap to clone; the thread ends with the last clone.
pub(crate) struct WatchedFile<C: Contents>(Arc<Watch<C>>);

/// Ends the thread when it is dropped.
struct Watch<C: Contents> {
    shared: Arc<Shared<C>>,
    thread: Thread,
}

struct Shared<C: Contents> {
    contents: C,
    clock: Box<dyn Clock>,
    current: ArcSwap<Loaded<C::Content>>,
    last_error: ArcSwapOption<C::Error>,
    seen: Mutex<Seen>,
    stop: AtomicBool,
}

/// Content that was good, and since when it is in use.
pub(crate) struct Loaded<T> {
    pub(crate) content: T,
    pub(crate) at: Timestamp,
}

/// What is known of the file.
struct Seen {
    stamp: Stamp,
    /// When the file was last read.
    read_at: Timestamp,
    /// Of the content in use.
    digest: Digest,
    /// Whether the file has kept its stamp since it was last read. Times of files are coarse: a
    /// second change right after the first may leave no trace, so every change is read twice.
    settled: bool,
}

impl<C: Contents> WatchedFile<C> {
    /// The file again, for as long as somebody else has it.
    #[cfg(feature = "metrics")]
    pub(crate) fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + use<C> {
        let own = Arc::downgrade(&self.0);
        move || own.upgrade().map(Self)
    }

    /// Reads the file, and starts the thread that looks at it. The first content must be good.
    pub(crate) fn open(contents: C, interval: Duration, clock: Box<dyn Clock>) -> Result<Self, C::Error> {
        let shared = Arc::new(Shared::load(contents, clock)?);
        let watched = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(C::THREAD.to_owned())
            .spawn(move || watched.watch(interval))
            .map_err(|error| shared.contents.no_thread(&error))?;
        Ok(Self(Arc::new(Watch { shared, thread: thread.thread().clone() })))
    }

    /// The last good content.
    pub(crate) fn current(&self) -> Guard<Arc<Loaded<C::Content>>> {
        self.0.shared.current.load()
    }

    /// What is wrong with the file as it is now.
    pub(crate) fn last_error(&self) -> Option<C::Error> {
        self.0.shared.last_error.load().as_deref().cloned()
    }

    /// Reads the file now, whatever its stamp says, unless it was read less than `interval` ago.
    #[cfg(feature = "client")]
    pub(crate) fn read_again(&self, interval: Duration) {
        self.0.shared.look(Look::Thorough { unless_within: interval });
    }

    pub(crate) fn contents(&self) -> &C {
        &self.0.shared.contents
    }
}

impl<C: Contents> Clone for WatchedFile<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Contents> Drop for Watch<C> {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Look {
    /// Reads the file if it seems to be another one.
    Quick,
    /// Reads it in any case, but not twice in a short time.
    #[cfg(feature = "client")]
    Thorough { unless_within: Duration },
}

impl<C: Contents> Shared<C> {
    fn load(contents: C, clock: Box<dyn Clock>) -> Result<Self, C::Error> {
        let stamp = Stamp::of(contents.path());
        let bytes = contents.read()?;
        let content = contents.parse(&bytes)?;
        let now = clock.now();
        let seen = Seen { stamp, read_at: now, digest: digest(&SHA256, &bytes), settled: false };
        Ok(Self {
            current: ArcSwap::from_pointee(Loaded { content, at: now }),
            contents,
            clock,
            last_error: ArcSwapOption::empty(),
            seen: Mutex::new(seen),
            stop: AtomicBool::new(false),
        })
    }

    fn watch(&self, interval: Duration) {
        loop {
            thread::park_timeout(interval);
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            self.look(Look::Quick);
        }
    }

    fn look(&self, how: Look) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Before reading: a change in between then shows at the next look.
        let stamp = Stamp::of(self.contents.path());
        let changed = stamp != seen.stamp;
        let now = self.clock.now();
        let needless = match how {
            Look::Quick => !changed && seen.settled,
            // A clock that was set back is no reason to look away.
            #[cfg(feature = "client")]
            Look::Thorough { unless_within } => {
                !changed && now.since(seen.read_at).is_some_and(|ago| ago < unless_within)
            }
        };
        if needless {
            return;
        }
        seen.read_at = now;
        seen.settled = !changed;
        seen.stamp = stamp;
        let bytes = match self.contents.read() {
            Ok(bytes) => bytes,
            Err(error) => {
                self.refuse(&seen, error);
                // Nobody knows what is there, and it may be readable without another change: the process
                // may have been out of file descriptors.
                seen.settled = false;
                return;
            }
        };
        match self.contents.parse(&bytes) {
            Ok(content) => self.accept(&mut seen, content, digest(&SHA256, &bytes)),
            Err(error) => self.refuse(&seen, error),
        }
    }

    fn accept(&self, seen: &mut Seen, content: C::Content, digest: Digest) {
        self.last_error.store(None);
        if seen.digest.as_ref() == digest.as_ref() {
            return;
        }
        self.contents.tell_loaded(&content);
        self.current.store(Arc::new(Loaded { content, at: seen.read_at }));
        seen.digest = digest;
    }

    fn refuse(&self, seen: &Seen, error: C::Error) {
        let known = self.last_error.load().as_deref() == Some(&error);
        // The second look at a change says nothing new.
        if !(known && seen.settled) {
            self.contents.tell_refused(&error);
        }
        self.last_error.store(Some(Arc::new(error)));
    }
}

/// Reads a file up to one byte more than `limit`, so that what is too long is refused rather than cut.
pub(crate) fn read_bounded(path: &Path, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    // Room for all of it at once: a vector that grows leaves copies of a secret behind.
    let size = file.metadata()?.len().min(limit as u64);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 2));
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
