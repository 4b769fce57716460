//! What only the inside shows: that the thread ends, and that nothing is logged or loaded twice.

use std::{fs, sync::Weak};

use super::*;

const SECRET: &[u8] = &[7; 32];

fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
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
    let (_folder, path) = file(SECRET);
    let keys = FileKeys::hmac(Algorithm::HS256, path).poll_every(Duration::from_secs(3600)).open().unwrap();
    let shared: Weak<Shared> = Arc::downgrade(&keys.0.shared);
    let clone = keys.clone();
    drop(keys);
    assert!(clone.snapshot().is_ok() && shared.strong_count() == 2, "a clone keeps it alive");
    drop(clone);
    eventually(|| shared.strong_count() == 0);
}

/// A watcher without its thread.
fn watcher(path: &Path) -> Watcher {
    let keys = FileKeys::hmac(Algorithm::HS256, path).poll_every(Duration::from_secs(3600)).open().unwrap();
    let shared = Arc::new(Shared {
        file: KeyFile { path: path.to_owned(), format: Format::Hmac(Algorithm::HS256), kid: None },
        clock: Box::new(SystemClock),
        current: ArcSwap::new(keys.0.shared.current.load_full()),
        last_error: ArcSwapOption::empty(),
        stop: AtomicBool::new(false),
    });
    let (_, content) = shared.file.load().unwrap();
    Watcher { shared, stamp: Stamp::of(path), content: Some(content), settled: false }
}

#[test]
fn every_change_is_read_twice_and_then_no_more() {
    let (_folder, path) = file(SECRET);
    let mut watcher = watcher(&path);
    watcher.look();
    assert!(watcher.settled);
    fs::write(&path, [8; 32]).unwrap();
    watcher.look();
    assert!(!watcher.settled, "the file may change again without a trace in its times");
    watcher.look();
    assert!(watcher.settled);
}

#[test]
fn a_change_that_left_no_trace_in_the_times_is_found_by_the_second_look() {
    let (_folder, path) = file(SECRET);
    let mut watcher = watcher(&path);
    fs::write(&path, [8; 32]).unwrap();
    watcher.look();
    let first = watcher.shared.current.load_full();
    fs::write(&path, [9; 32]).unwrap();
    watcher.stamp = Stamp::of(&path);
    watcher.look();
    assert!(!Arc::ptr_eq(&first, &watcher.shared.current.load_full()));
}

#[test]
fn the_same_content_again_is_not_loaded_again() {
    let (_folder, path) = file(SECRET);
    let mut watcher = watcher(&path);
    let before = watcher.shared.current.load_full();
    fs::write(&path, SECRET).unwrap();
    watcher.look();
    watcher.look();
    assert!(Arc::ptr_eq(&before, &watcher.shared.current.load_full()));
}
