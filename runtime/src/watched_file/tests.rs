//! What only the inside shows: that the thread ends, and that nothing is logged or loaded twice.

use std::{
    fs,
    path::PathBuf,
    sync::{Weak, atomic::AtomicUsize},
};

use super::*;
use crate::clock::SystemClock;

/// A file whose content is its bytes, and which is never empty.
struct Bytes(PathBuf);

impl Contents for Bytes {
    type Content = Vec<u8>;
    type Error = String;

    const THREAD: &'static str = "bytes";

    fn path(&self) -> &Path {
        &self.0
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        read_bounded(&self.0, 64).map_err(|error| error.to_string())
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        if bytes.is_empty() { Err("empty".to_owned()) } else { Ok(bytes.to_vec()) }
    }

    fn no_thread(&self, error: &io::Error) -> String {
        error.to_string()
    }

    fn tell_loaded(&self, _: &Vec<u8>) {}

    fn tell_refused(&self, _: &String) {}
}

fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn eventually(what: impl Fn() -> bool) {
    let waiting = crate::clock::Stopwatch::start();
    while !what() {
        assert!(waiting.elapsed_us() < 10_000_000, "not within ten seconds");
        thread::yield_now();
    }
}

#[test]
fn the_thread_ends_promptly_with_the_last_clone() {
    let (_folder, path) = file(b"old");
    let watched = WatchedFile::open(Bytes(path), Duration::from_secs(3600), Box::new(SystemClock)).unwrap();
    let shared: Weak<Shared<Bytes>> = Arc::downgrade(&watched.0.shared);
    let clone = watched.clone();
    drop(watched);
    assert!(clone.current().content == b"old" && shared.strong_count() == 2, "a clone keeps it alive");
    drop(clone);
    eventually(|| shared.strong_count() == 0);
}

/// A watched file without its thread.
fn shared(path: PathBuf) -> Shared<Bytes> {
    Shared::load(Bytes(path), Box::new(SystemClock)).unwrap()
}

fn is_settled(shared: &Shared<Bytes>) -> bool {
    shared.seen.lock().unwrap().settled
}

#[test]
fn every_change_is_read_twice_and_then_no_more() {
    let (_folder, path) = file(b"old");
    let shared = shared(path.clone());
    shared.look(Look::Quick);
    assert!(is_settled(&shared));
    fs::write(&path, b"newer").unwrap();
    shared.look(Look::Quick);
    assert!(!is_settled(&shared), "the file may change again without a trace in its times");
    shared.look(Look::Quick);
    assert!(is_settled(&shared));
}

#[test]
fn a_change_that_left_no_trace_in_the_times_is_found_by_the_second_look() {
    let (_folder, path) = file(b"old");
    let shared = shared(path.clone());
    fs::write(&path, b"new").unwrap();
    shared.look(Look::Quick);
    fs::write(&path, b"now").unwrap();
    shared.seen.lock().unwrap().stamp = Stamp::of(&path);
    shared.look(Look::Quick);
    assert_eq!(shared.current.load().content, b"now");
}

#[test]
fn the_same_content_again_is_not_loaded_again() {
    let (_folder, path) = file(b"old");
    let shared = shared(path.clone());
    let before = shared.current.load_full();
    fs::write(&path, b"old").unwrap();
    shared.look(Look::Quick);
    shared.look(Look::Quick);
    assert!(Arc::ptr_eq(&before, &shared.current.load_full()));
}

#[test]
fn broken_content_leaves_the_last_good_one_and_is_forgotten_when_it_is_repaired() {
    let (_folder, path) = file(b"old");
    let shared = shared(path.clone());
    fs::write(&path, b"").unwrap();
    shared.look(Look::Quick);
    assert_eq!(shared.last_error.load().as_deref().map(String::as_str), Some("empty"));
    assert_eq!(shared.current.load().content, b"old");
    fs::write(&path, b"new").unwrap();
    shared.look(Look::Quick);
    assert!(shared.last_error.load().is_none());
    assert_eq!(shared.current.load().content, b"new");
}

/// A file that cannot be opened for some times, by a process that is out of file descriptors.
struct Unreadable {
    file: Bytes,
    times: AtomicUsize,
    told: Mutex<Vec<String>>,
}

impl Contents for Unreadable {
    type Content = Vec<u8>;
    type Error = String;

    const THREAD: &'static str = "unreadable";

    fn path(&self) -> &Path {
        self.file.path()
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let one_less = |times: usize| times.checked_sub(1);
        match self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            Ok(_) => Err("too many open files".to_owned()),
            Err(_) => self.file.read(),
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        self.file.parse(bytes)
    }

    fn no_thread(&self, error: &io::Error) -> String {
        error.to_string()
    }

    fn tell_loaded(&self, content: &Vec<u8>) {
        self.told.lock().unwrap().push(String::from_utf8(content.clone()).unwrap());
    }

    fn tell_refused(&self, error: &String) {
        self.told.lock().unwrap().push(error.clone());
    }
}

#[test]
fn a_change_that_could_not_be_read_is_read_as_soon_as_it_can_be() {
    let (_folder, path) = file(b"old");
    let contents =
        Unreadable { file: Bytes(path.clone()), times: AtomicUsize::new(0), told: Mutex::default() };
    let shared = Shared::load(contents, Box::new(SystemClock)).unwrap();
    shared.look(Look::Quick);
    fs::write(&path, b"newer").unwrap();
    shared.contents.times.store(5, Ordering::Relaxed);
    for _ in 0..5 {
        shared.look(Look::Quick);
        assert_eq!(shared.current.load().content, b"old");
    }
    shared.look(Look::Quick);
    assert_eq!(shared.current.load().content, b"newer", "its stamp has not changed since");
    assert!(shared.last_error.load().is_none() && shared.seen.lock().unwrap().settled);
    assert_eq!(*shared.contents.told.lock().unwrap(), ["too many open files", "newer"], "each said once");
}

#[cfg(feature = "client")]
#[test]
fn a_thorough_look_reads_what_seems_to_be_the_same_file_but_not_at_once_again() {
    let (_folder, path) = file(b"old");
    let clock = ManualClock::default();
    let shared = Shared::load(Bytes(path.clone()), Box::new(clock.clone())).unwrap();
    let thorough = || shared.look(Look::Thorough { unless_within: Duration::from_millis(100) });
    let write = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        shared.seen.lock().unwrap().stamp = Stamp::of(&path);
    };
    shared.look(Look::Quick);
    write(b"new");
    shared.look(Look::Quick);
    assert_eq!(shared.current.load().content, b"old", "nothing tells the two apart");
    clock.0.fetch_add(99, Ordering::Relaxed);
    thorough();
    assert_eq!(shared.current.load().content, b"old", "it was read 99 ms ago");
    clock.0.fetch_add(1, Ordering::Relaxed);
    thorough();
    assert_eq!(shared.current.load().content, b"new");
    clock.0.store(0, Ordering::Relaxed);
    write(b"now");
    thorough();
    assert_eq!(shared.current.load().content, b"now", "a clock set back does not stop it");
}

/// Milliseconds since the epoch.
#[cfg(feature = "client")]
#[derive(Clone, Default)]
struct ManualClock(Arc<std::sync::atomic::AtomicU64>);

#[cfg(feature = "client")]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(0).plus(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}
