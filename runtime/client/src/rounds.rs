//! A watched file with an async wait for its next read, on any executor and without a timer.
//!
//! The file's own thread reports each read. A task that needs a fresh read waits until the next read has
//! ended. [`MAX_READ`](service_only::__satellite::MAX_READ) bounds each read, so it also bounds the wait.

use std::time::Duration;

use service_only::{
    __satellite::{Contents, Round, Stopwatch, WatchedFile, WeakHandle},
    clock::Clock,
};
use tokio::sync::watch;

/// A file and its last valid content; see [`WatchedFile`]. Cheap to clone.
pub(crate) struct AwaitedFile<C: Contents> {
    file: WatchedFile<C>,
    rounds: watch::Receiver<Rounds>,
}

/// The number of reads that have started, and of reads that have ended or timed out.
#[derive(Copy, Clone, Default)]
struct Rounds {
    begun: u64,
    ended: u64,
}

impl<C: Contents> AwaitedFile<C> {
    /// Reads the file; see [`WatchedFile::open`].
    pub(crate) fn open(
        contents: C,
        interval: Duration,
        clock: Box<dyn Clock>,
        patience: Duration,
    ) -> Result<Self, C::Error> {
        let (report, rounds) = counted();
        let file = WatchedFile::open(contents, interval, clock, patience, report)?;
        Ok(Self { file, rounds })
    }

    /// Starts to watch a file that may not exist yet; see [`WatchedFile::start`].
    pub(crate) fn start(
        contents: C,
        before: C::Content,
        interval: Duration,
        clock: Box<dyn Clock>,
    ) -> Result<Self, C::Error> {
        let (report, rounds) = counted();
        let file = WatchedFile::start(contents, before, interval, clock, report)?;
        Ok(Self { file, rounds })
    }

    /// Waits until the file was checked once more, even if its timestamp is unchanged. The check skips a file
    /// that was read too recently. Returns immediately if reading hangs.
    pub(crate) async fn read_again(&self) {
        if self.file.hangs() {
            return;
        }
        // Force the read before the count is taken: every later check then reads the file.
        self.file.force_next_read();
        let mut rounds = self.rounds.clone();
        let wanted = rounds.borrow_and_update().begun + 1;
        self.file.wake();
        // If the file's thread has ended, there is nothing to wait for.
        let _ = rounds.wait_for(|rounds| rounds.ended >= wanted).await;
    }

    /// Waits until `is_good` accepts the content, up to `patience`; `false` if it does not in time.
    pub(crate) async fn wait_for(&self, patience: Duration, is_good: impl Fn(&C::Content) -> bool) -> bool {
        let _hurry = self.file.hurry();
        let running = Stopwatch::start();
        self.file.wake();
        let mut rounds = self.rounds.clone();
        while !is_good(&self.file.current().content) {
            if running.elapsed() >= patience || rounds.changed().await.is_err() {
                return false;
            }
        }
        true
    }

    pub(crate) fn file(&self) -> &WatchedFile<C> {
        &self.file
    }
}

/// The callback that counts reads, and the receiver of the counts.
fn counted() -> (impl FnMut(Round) + Send + 'static, watch::Receiver<Rounds>) {
    let (sender, rounds) = watch::channel(Rounds::default());
    let report = move |round| {
        sender.send_modify(|rounds| match round {
            Round::Begun => rounds.begun += 1,
            Round::Ended => rounds.ended = rounds.begun,
        });
    };
    (report, rounds)
}

impl<C: Contents> Clone for AwaitedFile<C> {
    fn clone(&self) -> Self {
        Self { file: self.file.clone(), rounds: self.rounds.clone() }
    }
}

impl<C: Contents> WeakHandle for AwaitedFile<C> {
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static {
        let (own, rounds) = (self.file.weak(), self.rounds.clone());
        move || own().map(|file| Self { file, rounds: rounds.clone() })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs, io,
        path::{Path, PathBuf},
        sync::{Arc, Mutex},
        thread,
    };

    use service_only::{
        __satellite::{MAX_READ, read_regular},
        clock::SystemClock,
    };
    use zeroize::Zeroizing;

    use super::*;

    /// A file on a mount that hangs while a test holds the lock.
    struct Hanging {
        path: PathBuf,
        held: Arc<Mutex<()>>,
    }

    impl Contents for Hanging {
        type Content = Vec<u8>;
        type Error = String;

        const THREAD: &'static str = "hanging";

        fn path(&self) -> &Path {
            &self.path
        }

        fn read(&self) -> Result<Zeroizing<Vec<u8>>, String> {
            drop(self.held.lock().unwrap());
            read_regular(&self.path, 64).map_err(|error| error.to_string())
        }

        fn parse(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
            if bytes.is_empty() { Err("empty".to_owned()) } else { Ok(bytes.to_vec()) }
        }

        fn no_thread(&self, error: io::Error) -> String {
            error.to_string()
        }

        fn hangs(&self) -> String {
            "hangs".to_owned()
        }

        fn tell_loaded(&self, _: &Vec<u8>) {}

        fn tell_refused(&self, _: &String) {}
    }

    fn eventually(what: impl Fn() -> bool) {
        let waiting = Stopwatch::start();
        while !what() {
            assert!(waiting.elapsed() < Duration::from_secs(10), "not within ten seconds");
            thread::yield_now();
        }
    }

    #[expect(clippy::await_holding_lock, reason = "the file hangs while the lock is held")]
    #[tokio::test]
    async fn only_the_first_requests_wait_for_an_unresponsive_file_and_need_no_timer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, b"old").unwrap();
        let held = Arc::new(Mutex::new(()));
        let contents = Hanging { path: path.clone(), held: Arc::clone(&held) };
        let hour = Duration::from_secs(3600);
        let watched = AwaitedFile::open(contents, hour, Box::new(SystemClock), Duration::ZERO).unwrap();
        let hold = held.lock().unwrap();
        fs::write(&path, b"newer").unwrap();
        let waiting = Stopwatch::start();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let without_timer = watched.clone();
        let first = thread::spawn(move || runtime.block_on(without_timer.read_again()));
        watched.read_again().await;
        first.join().unwrap();
        assert!(waiting.elapsed() >= MAX_READ && waiting.elapsed() < MAX_READ * 3);
        let waiting = Stopwatch::start();
        for _ in 0..1000 {
            watched.read_again().await;
        }
        assert!(waiting.elapsed() < MAX_READ, "nothing waits for what hangs already");
        drop(hold);
        eventually(|| watched.file().last_error().is_none());
        watched.read_again().await;
        assert_eq!(watched.file().current().content, b"newer");
    }
}
