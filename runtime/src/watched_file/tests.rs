//! Behaviour that only internal tests can observe: the thread ends, and nothing is logged or loaded twice.

use std::{fs, path::PathBuf, sync::Weak};

use super::*;
use crate::clock::SystemClock;

/// A file whose content is its bytes. Empty content is an error.
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

    fn no_thread(&self, error: io::Error) -> String {
        error.to_string()
    }

    fn hangs(&self) -> String {
        "hangs".to_owned()
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
fn the_threads_end_promptly_with_the_last_clone() {
    let (_folder, path) = file(b"old");
    let watched = open(Bytes(path), Duration::from_secs(3600)).unwrap();
    let shared: Weak<Shared<Bytes>> = Arc::downgrade(&watched.0.shared);
    let clone = watched.clone();
    drop(watched);
    assert!(clone.current().content == b"old" && shared.strong_count() == 3, "a clone keeps it alive");
    drop(clone);
    eventually(|| shared.strong_count() == 0);
}

fn open<C: Contents>(contents: C, interval: Duration) -> Result<WatchedFile<C>, C::Error> {
    WatchedFile::open(contents, interval, Box::new(SystemClock), Duration::ZERO, |_| ())
}

/// A watched file without its threads.
fn load<C: Contents>(contents: C, clock: Box<dyn Clock>) -> Shared<C> {
    Shared::load_within(&Arc::new(contents), clock, Duration::ZERO).ok().unwrap()
}

fn shared(path: PathBuf) -> Shared<Bytes> {
    load(Bytes(path), Box::new(SystemClock))
}

fn is_settled<C: Contents>(shared: &Shared<C>) -> bool {
    shared.seen.lock().unwrap().settled
}

#[test]
fn every_change_is_read_exactly_twice() {
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
fn a_change_without_a_new_modification_time_is_found_by_the_second_read() {
    let (_folder, path) = file(b"old");
    let shared = shared(path.clone());
    fs::write(&path, b"new").unwrap();
    shared.look(Look::Quick);
    fs::write(&path, b"now").unwrap();
    shared.seen.lock().unwrap().stamps = Stamps::of(&path, &[]);
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
fn invalid_content_keeps_the_last_valid_content_until_it_is_repaired() {
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

/// A file that a process without free file descriptors cannot open for some time.
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

    fn no_thread(&self, error: io::Error) -> String {
        error.to_string()
    }

    fn hangs(&self) -> String {
        "hangs".to_owned()
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
    let shared = load(contents, Box::new(SystemClock));
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

#[test]
fn a_forced_read_reads_an_unchanged_file_but_not_twice_in_a_row() {
    let (_folder, path) = file(b"old");
    let clock = ManualClock::default();
    let shared = load(Bytes(path.clone()), Box::new(clock.clone()));
    let thorough = || shared.look(Look::Thorough);
    let write = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        shared.seen.lock().unwrap().stamps = Stamps::of(&path, &[]);
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

/// A clock in milliseconds since the epoch.
#[derive(Clone, Default)]
struct ManualClock(Arc<std::sync::atomic::AtomicU64>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(0).plus(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

/// A file on a mount that hangs while a test holds it.
struct Hanging {
    file: Bytes,
    held: Arc<Mutex<()>>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Contents for Hanging {
    type Content = Vec<u8>;
    type Error = String;

    const THREAD: &'static str = "hanging";

    fn path(&self) -> &Path {
        self.file.path()
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        drop(self.held.lock().unwrap());
        self.file.read()
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        self.file.parse(bytes)
    }

    fn no_thread(&self, error: io::Error) -> String {
        error.to_string()
    }

    fn hangs(&self) -> String {
        "hangs".to_owned()
    }

    fn tell_loaded(&self, content: &Vec<u8>) {
        self.told.lock().unwrap().push(String::from_utf8(content.clone()).unwrap());
    }

    fn tell_refused(&self, error: &String) {
        self.told.lock().unwrap().push(error.clone());
    }
}

type Told = Arc<Mutex<Vec<String>>>;

fn hanging(path: PathBuf) -> (Hanging, Arc<Mutex<()>>, Told) {
    let (held, told) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(Vec::new())));
    let contents = Hanging { file: Bytes(path), held: Arc::clone(&held), told: Arc::clone(&told) };
    (contents, held, told)
}

#[test]
fn a_file_that_is_unresponsive_at_open_is_an_error_within_a_time_limit() {
    let (_folder, path) = file(b"old");
    let (contents, held, _) = hanging(path);
    let _held = held.lock().unwrap();
    let waiting = Stopwatch::start();
    assert_eq!(open(contents, Duration::from_secs(1)).err().as_deref(), Some("hangs"));
    assert!(waiting.elapsed() < MAX_READ * 3);
}

#[test]
fn a_file_that_becomes_unresponsive_keeps_its_content_and_is_reported_once() {
    let (_folder, path) = file(b"old");
    let (contents, held, told) = hanging(path.clone());
    let watched = open(contents, MIN_POLL_INTERVAL).unwrap();
    let hold = held.lock().unwrap();
    fs::write(&path, b"newer").unwrap();
    eventually(|| watched.last_error().as_deref() == Some("hangs"));
    // Many polls are due meanwhile.
    thread::sleep(MIN_POLL_INTERVAL * 20);
    assert_eq!(watched.current().content, b"old");
    drop(hold);
    eventually(|| watched.current().content == b"newer" && watched.last_error().is_none());
    assert_eq!(*told.lock().unwrap(), ["hangs", "newer"], "each once");
}

#[cfg(unix)]
#[test]
fn a_file_that_is_not_a_regular_one_is_named_and_never_opened() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    if !std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        return;
    }
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    for (path, what) in [
        (pipe.as_path(), "a named pipe (FIFO)"),
        (&folder.path().join("socket"), "a socket"),
        (Path::new("/dev/null"), "a device"),
        (folder.path(), "a directory"),
    ] {
        let error = read_regular(path, 64).unwrap_err().to_string();
        assert_eq!(error, format!("it is {what}, expected a regular file"));
    }
}

#[test]
fn a_file_that_is_written_later_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let later = path.clone();
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        fs::write(later, b"late").unwrap();
    });
    let patience = Duration::from_secs(60);
    let watched =
        WatchedFile::open(Bytes(path.clone()), patience, Box::new(SystemClock), patience, |_| ()).unwrap();
    assert_eq!(watched.current().content, b"late");
    writer.join().unwrap();
    fs::remove_file(&path).unwrap();
    let short =
        WatchedFile::open(Bytes(path), patience, Box::new(SystemClock), Duration::from_millis(150), |_| ());
    assert!(short.err().unwrap().contains("No such file"));
}

/// Two files that are read together. `late` becomes valid while the files do not change.
struct Pair {
    files: [PathBuf; 2],
    companions: Vec<PathBuf>,
    is_late: AtomicBool,
}

impl Contents for Pair {
    type Content = Vec<u8>;
    type Error = String;

    const THREAD: &'static str = "pair";

    fn path(&self) -> &Path {
        &self.files[0]
    }

    fn companions(&self) -> &[PathBuf] {
        &self.companions
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let [first, second] = self.files.each_ref().map(|file| fs::read(file).unwrap());
        Ok(Zeroizing::new([first, second].concat()))
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let is_early = bytes.ends_with(b"late") && !self.is_late.load(Ordering::Relaxed);
        if is_early { Err("early".to_owned()) } else { Ok(bytes.to_vec()) }
    }

    fn may_become_valid(&self, _: &String) -> bool {
        true
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

fn pair() -> (tempfile::TempDir, Shared<Pair>) {
    let (folder, first) = file(b"a");
    let second = folder.path().join("second");
    fs::write(&second, b"b").unwrap();
    let companions = vec![second.clone()];
    let pair = Pair { files: [first, second], companions, is_late: AtomicBool::new(false) };
    (folder, load(pair, Box::new(SystemClock)))
}

#[test]
fn a_change_of_a_companion_reads_all_files() {
    let (_folder, shared) = pair();
    shared.look(Look::Quick);
    assert!(is_settled(&shared));
    fs::write(&shared.contents.files[1], b"changed").unwrap();
    shared.look(Look::Quick);
    assert_eq!(shared.current.load().content, b"achanged");
}

#[test]
fn content_that_becomes_valid_with_time_is_parsed_again_without_a_change() {
    let (_folder, shared) = pair();
    fs::write(&shared.contents.files[1], b"late").unwrap();
    for _ in 0..3 {
        shared.look(Look::Quick);
        assert_eq!(shared.last_error.load().as_deref().map(String::as_str), Some("early"));
    }
    shared.contents.is_late.store(true, Ordering::Relaxed);
    shared.look(Look::Quick);
    assert_eq!(shared.current.load().content, b"alate");
    assert!(shared.last_error.load().is_none());
}
