//! Watches a file: a background thread polls it and reads it again when it has changed.
//!
//! The file system may hang, so two threads share the work. The reader is the only one that touches the file. The
//! supervisor waits for the reader with a timeout; it reports a reader that hangs and ends the waits of requests.
//! However long a mount hangs, only one thread is blocked, and the last good content stays in use.
//!
//! Kubernetes replaces a mounted secret by swapping the symbolic link `..data`, which a watch on the file
//! never reports. So each poll compares everything that a change can alter: the target of the path, the inode,
//! the length and the times. If the new content is broken, the last good content stays in use.

#![expect(missing_debug_implementations, unnameable_types, reason = "hidden")]

mod stamp;

use std::{
    fmt,
    fs::{self, File, FileType},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, Thread},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use aws_lc_rs::digest::{Digest, SHA256, digest};
use stamp::Stamps;
use zeroize::Zeroizing;

use crate::{
    clock::{Clock, Stopwatch, Timestamp},
    handle::{self, WeakHandle},
};

/// See [`FileKeys::DEFAULT_POLL_INTERVAL`].
pub(crate) const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest interval between two polls. Polling more often costs more than it gains.
pub const MIN_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The timeout of one poll. A local file takes microseconds, so a file system that needs longer hangs.
/// No request waits for it longer than this.
pub const MAX_READ: Duration = Duration::from_secs(2);

/// The minimum time between two reads that refusals cause outside the regular poll. A server that refuses
/// every request reads the file ten times a second, not once per request.
pub const REREAD_INTERVAL: Duration = Duration::from_millis(100);

/// The interval between two polls while a program waits for the file to be written.
const AWAITED_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What a file contains, and how to read it.
pub trait Contents: Send + Sync + 'static {
    /// The parsed content of the file.
    type Content: Send + Sync + 'static;
    /// Why the file cannot be used.
    type Error: Clone + PartialEq + fmt::Display + Send + Sync + 'static;

    /// The name of the thread.
    const THREAD: &'static str;

    /// The path of the file.
    fn path(&self) -> &Path;

    /// Further files that [`read`](Self::read) reads together with it. A change of one of them reads all of them.
    fn companions(&self) -> &[PathBuf] {
        &[]
    }

    /// Whether the content changed in a way that no file shows, because another program delivers it. The next
    /// [`read`](Self::read) returns the new content.
    fn is_renewed(&self) -> bool {
        false
    }

    /// Reads the current bytes of the file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self) -> Result<Zeroizing<Vec<u8>>, Self::Error>;

    /// Parses the bytes into the content.
    ///
    /// # Errors
    /// When the bytes are not valid content.
    fn parse(&self, bytes: &[u8]) -> Result<Self::Content, Self::Error>;

    /// Whether the bytes may become valid content while the file does not change. Each poll then parses them again.
    fn may_become_valid(&self, _error: &Self::Error) -> bool {
        false
    }

    /// The error for a thread that cannot be started.
    fn no_thread(&self, error: io::Error) -> Self::Error;

    /// The error for a read that takes longer than [`MAX_READ`].
    fn hangs(&self) -> Self::Error;

    /// Logs that new content is in use.
    fn tell_loaded(&self, content: &Self::Content);

    /// Logs that the file cannot be used and that its last good content stays in use.
    fn tell_refused(&self, error: &Self::Error);
}

/// A file and its last good content. It is cheap to clone; the threads end when the last clone is dropped.
pub struct WatchedFile<C: Contents>(Arc<Watch<C>>);

/// Ends the threads on drop.
struct Watch<C: Contents> {
    shared: Arc<Shared<C>>,
    supervisor: Thread,
}

struct Shared<C: Contents> {
    contents: Arc<C>,
    clock: Box<dyn Clock>,
    current: ArcSwap<Loaded<C::Content>>,
    last_error: ArcSwapOption<C::Error>,
    /// Used by the reader only.
    seen: Mutex<Seen>,
    turn: Mutex<Turn>,
    turned: Condvar,
    /// The reader has not finished in time.
    hangs: AtomicBool,
    /// The next poll reads the file even if its stamp did not change.
    thorough: AtomicBool,
    /// How many programs wait for the file to be written.
    waiting: AtomicUsize,
    stop: AtomicBool,
}

/// Which of the two threads acts next.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Turn {
    /// The supervisor; the reader waits.
    Idle,
    /// The reader, which has not begun yet.
    Asked(Look),
    /// The reader, which is reading.
    Reading,
}

/// The phase of a poll, as the supervisor reports it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "hidden")]
pub enum Round {
    /// The supervisor asks the reader to poll the file.
    Begun,
    /// The reader has finished, or the supervisor no longer waits for it.
    Ended,
}

/// Makes the supervisor poll more often, until it is dropped.
pub struct Hurry<C: Contents>(Arc<Shared<C>>);

/// Good content, and since when it is in use.
pub struct Loaded<T> {
    /// The content.
    pub content: T,
    /// When it was loaded.
    pub at: Timestamp,
}

/// What the reader knows about the file.
struct Seen {
    stamps: Stamps,
    /// When the file was last read.
    read_at: Timestamp,
    /// The digest of the content in use; `None` if the content did not come from the file.
    digest: Option<Digest>,
    /// Whether the file has kept its stamp since it was last read. Times of files are coarse: a
    /// second change right after the first may leave no trace, so every change is read twice.
    settled: bool,
}

impl<C: Contents> WatchedFile<C> {
    /// Reads the file and starts the threads that poll it. Waits at most `patience` for the first good content, so
    /// the file may be created later. The supervisor calls `report` for each poll.
    ///
    /// # Errors
    /// When the file cannot be used in time, or no thread can be started.
    pub fn open(
        contents: C,
        interval: Duration,
        clock: Box<dyn Clock>,
        patience: Duration,
        report: impl FnMut(Round) + Send + 'static,
    ) -> Result<Self, C::Error> {
        let contents = Arc::new(contents);
        let (sender, first) = mpsc::sync_channel(0);
        let reader = {
            let contents = Arc::clone(&contents);
            move || {
                let shared = Shared::load_within(&contents, clock, patience).map(Arc::new);
                let readable = shared.as_ref().ok().map(Arc::clone);
                // If the opener has timed out, the file does not need to be read.
                if sender.send(shared).is_ok() {
                    drop(sender);
                    readable.inspect(|shared| shared.read_when_asked());
                }
            }
        };
        Self::spawn(reader).map_err(|error| contents.no_thread(error))?;
        let shared =
            first.recv_timeout(patience.saturating_add(MAX_READ)).map_err(|_| contents.hangs())??;
        Self::supervise(shared, interval, report)
    }

    /// Starts the threads that poll a file, which may not exist yet. `before` is the content until it is read.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        contents: C,
        before: C::Content,
        interval: Duration,
        clock: Box<dyn Clock>,
        report: impl FnMut(Round) + Send + 'static,
    ) -> Result<Self, C::Error> {
        let shared = Arc::new(Shared::unread(contents, before, clock));
        let reader = Arc::clone(&shared);
        Self::spawn(move || reader.read_when_asked()).map_err(|error| shared.contents.no_thread(error))?;
        let watched = Self::supervise(shared, interval, report)?;
        watched.0.supervisor.unpark();
        Ok(watched)
    }

    fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        let thread = thread::Builder::new().name(C::THREAD.to_owned()).spawn(work)?;
        Ok(thread.thread().clone())
    }

    fn supervise(
        shared: Arc<Shared<C>>,
        interval: Duration,
        mut report: impl FnMut(Round) + Send + 'static,
    ) -> Result<Self, C::Error> {
        let watched = Arc::clone(&shared);
        let supervisor = Self::spawn(move || {
            while watched.rest(interval) {
                report(Round::Begun);
                watched.have_it_read();
                report(Round::Ended);
            }
        });
        let supervisor = supervisor.map_err(|error| {
            shared.stop();
            shared.contents.no_thread(error)
        })?;
        Ok(Self(Arc::new(Watch { shared, supervisor })))
    }

    /// The last good content.
    pub fn current(&self) -> Guard<Arc<Loaded<C::Content>>> {
        self.0.shared.current.load()
    }

    /// Why the current file cannot be used.
    pub fn last_error(&self) -> Option<C::Error> {
        let shared = &self.0.shared;
        if self.hangs() {
            return Some(shared.contents.hangs());
        }
        shared.last_error.load().as_deref().cloned()
    }

    /// Whether the last read did not come back in time.
    pub fn hangs(&self) -> bool {
        self.0.shared.hangs.load(Ordering::Acquire)
    }

    /// Makes the next poll read the file even if its stamp did not change, unless it was read less than
    /// [`REREAD_INTERVAL`] ago.
    pub fn force_next_read(&self) {
        self.0.shared.thorough.store(true, Ordering::Release);
    }

    /// Starts the next poll now.
    pub fn wake(&self) {
        self.0.supervisor.unpark();
    }

    /// Polls more often, from the next poll on, while a program waits for the file to be written.
    pub fn hurry(&self) -> Hurry<C> {
        self.0.shared.waiting.fetch_add(1, Ordering::AcqRel);
        Hurry(Arc::clone(&self.0.shared))
    }

    /// What the file contains and how to read it.
    pub fn contents(&self) -> &C {
        &self.0.shared.contents
    }
}

impl<C: Contents> WeakHandle for WatchedFile<C> {
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static {
        handle::weak(&self.0, Self)
    }
}

impl<C: Contents> Drop for Hurry<C> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<C: Contents> Clone for WatchedFile<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Contents> Drop for Watch<C> {
    fn drop(&mut self) {
        self.shared.stop();
        self.supervisor.unpark();
    }
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Look {
    /// Reads the file if its stamp has changed.
    Quick,
    /// Reads the file even if its stamp did not change, but not twice within [`REREAD_INTERVAL`].
    Thorough,
}

impl<C: Contents> Shared<C> {
    fn load_within(contents: &Arc<C>, clock: Box<dyn Clock>, patience: Duration) -> Result<Self, C::Error> {
        let running = Stopwatch::start();
        loop {
            let stamps = Stamps::of(contents.path(), contents.companions());
            let read =
                contents.read().and_then(|bytes| Ok((contents.parse(&bytes)?, digest(&SHA256, &bytes))));
            match read {
                Ok((content, digest)) => {
                    let seen = Seen { stamps, read_at: clock.now(), digest: Some(digest), settled: false };
                    return Ok(Self::new(Arc::clone(contents), content, clock, seen));
                }
                Err(error) if running.elapsed() >= patience => return Err(error),
                Err(_) => thread::sleep(AWAITED_POLL_INTERVAL.min(patience)),
            }
        }
    }

    fn unread(contents: C, before: C::Content, clock: Box<dyn Clock>) -> Self {
        let stamps = Stamps::default();
        // Far in the past, so that the first poll reads the file.
        let read_at = Timestamp::from_unix(0);
        Self::new(Arc::new(contents), before, clock, Seen { stamps, read_at, digest: None, settled: false })
    }

    fn new(contents: Arc<C>, content: C::Content, clock: Box<dyn Clock>, seen: Seen) -> Self {
        Self {
            current: ArcSwap::from_pointee(Loaded { content, at: seen.read_at }),
            contents,
            clock,
            last_error: ArcSwapOption::empty(),
            seen: Mutex::new(seen),
            turn: Mutex::new(Turn::Idle),
            turned: Condvar::new(),
            hangs: AtomicBool::new(false),
            thorough: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        }
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn stop(&self) {
        // Hold the lock, so that no thread begins to wait in between.
        let _turn = self.turn();
        self.stop.store(true, Ordering::Release);
        self.turned.notify_all();
    }

    /// Pauses the supervisor between two polls; returns `false` when it must end.
    fn rest(&self, interval: Duration) -> bool {
        let awaited = self.waiting.load(Ordering::Acquire) > 0;
        thread::park_timeout(if awaited { interval.min(AWAITED_POLL_INTERVAL) } else { interval });
        !self.is_stopped()
    }

    /// The supervisor's work: asks the reader to poll, and waits for it with a timeout.
    fn have_it_read(&self) {
        let mut turn = self.turn();
        if *turn == Turn::Idle {
            let thorough = self.thorough.swap(false, Ordering::AcqRel);
            *turn = Turn::Asked(if thorough { Look::Thorough } else { Look::Quick });
            self.turned.notify_all();
        }
        if self.hangs.load(Ordering::Acquire) {
            return;
        }
        let is_busy = |turn: &mut Turn| *turn != Turn::Idle && !self.is_stopped();
        let waited = self.turned.wait_timeout_while(turn, MAX_READ, is_busy);
        let (turn, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            // Hold the lock: the reader clears the flag when it returns.
            self.hangs.store(true, Ordering::Release);
            drop(turn);
            self.contents.tell_refused(&self.contents.hangs());
        }
    }

    /// The reader's work.
    fn read_when_asked(&self) {
        let mut turn = self.turn();
        while !self.is_stopped() {
            let Turn::Asked(how) = *turn else {
                turn = self.turned.wait(turn).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            *turn = Turn::Reading;
            drop(turn);
            self.look(how);
            turn = self.turn();
            *turn = Turn::Idle;
            self.hangs.store(false, Ordering::Release);
            self.turned.notify_all();
        }
    }

    fn look(&self, how: Look) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Take the stamp before reading: a change in between then shows at the next poll.
        let stamps = Stamps::of(self.contents.path(), self.contents.companions());
        let changed = stamps != seen.stamps || self.contents.is_renewed();
        let now = self.clock.now();
        let needless = match how {
            Look::Quick => !changed && seen.settled,
            // A clock that was set back must not suppress the read.
            Look::Thorough => !changed && now.since(seen.read_at).is_some_and(|ago| ago < REREAD_INTERVAL),
        };
        if needless {
            return;
        }
        seen.read_at = now;
        seen.settled = !changed;
        seen.stamps = stamps;
        let bytes = match self.contents.read() {
            Ok(bytes) => bytes,
            Err(error) => {
                self.refuse(&seen, error);
                // The content is unknown, and the file may become readable without another change. For example, the
                // process may have been out of file descriptors.
                seen.settled = false;
                return;
            }
        };
        match self.contents.parse(&bytes) {
            Ok(content) => self.accept(&mut seen, content, digest(&SHA256, &bytes)),
            Err(error) => {
                let may_become_valid = self.contents.may_become_valid(&error);
                self.refuse(&seen, error);
                seen.settled &= !may_become_valid;
            }
        }
    }

    fn accept(&self, seen: &mut Seen, content: C::Content, digest: Digest) {
        self.last_error.store(None);
        if seen.digest.as_ref().is_some_and(|own| own.as_ref() == digest.as_ref()) {
            return;
        }
        self.contents.tell_loaded(&content);
        self.current.store(Arc::new(Loaded { content, at: seen.read_at }));
        seen.digest = Some(digest);
    }

    fn refuse(&self, seen: &Seen, error: C::Error) {
        let known = self.last_error.load().as_deref() == Some(&error);
        // The second read of the same change logs nothing new.
        if !(known && seen.settled) {
            self.contents.tell_refused(&error);
        }
        self.last_error.store(Some(Arc::new(error)));
    }
}

/// Reads a regular file like `read_bounded`, and refuses pipes. The file is read repeatedly: opening a pipe would
/// wait for a writer, and reading it would consume its content.
///
/// # Errors
/// When the file cannot be read or is not a regular one.
pub fn read_regular(path: &Path, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let kind = fs::metadata(path)?.file_type();
    if !kind.is_file() {
        let what = name_of(kind);
        return Err(io::Error::other(format!("it is {what}, expected a regular file")));
    }
    read_bounded(path, limit)
}

fn name_of(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe (FIFO)";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a directory" } else { "something else" }
}

/// Reads up to one byte more than `limit`, so that a file that is too long is refused and not truncated.
pub(crate) fn read_bounded(path: &Path, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    // Allocate the full size first: a vector that grows leaves copies of a secret in memory.
    let size = file.metadata()?.len().min(limit as u64);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 2));
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
