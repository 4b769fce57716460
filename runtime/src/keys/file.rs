//! Keys in a file that changes: a JWK set, a public key or a secret, as Kubernetes mounts them.
//!
//! Kubernetes replaces a mounted secret by swapping the symbolic link `..data`: no watch on the file
//! itself ever sees that. So the file is looked at again and again, by a thread of its own, with
//! what tells every kind of change: where the path leads, the inode, the length and the times.

mod stamp;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use aws_lc_rs::digest::{Digest, SHA256, digest};
use stamp::Stamp;
use zeroize::Zeroizing;

use super::{
    Algorithm, KeyError, KeySet, KeySource, KeysUnavailable, MAX_JWKS_BYTES, VerifyingKey, set::read_bounded,
};
use crate::clock::{Clock, SystemClock, Timestamp};

/// How often a file is looked at when nothing else is said: every second. That costs two system
/// calls, and an operator who has repaired a file sees the effect while still looking.
pub const DEFAULT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest interval: more often than this, looking costs more than it brings.
const MIN_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The largest file that holds one key, in bytes: 40 times an RSA key of 8192 bits in PEM. A file
/// with a JWK set may have [`MAX_JWKS_BYTES`].
pub const MAX_KEY_FILE_BYTES: usize = 64 * 1024;

/// Keys from a file that are loaded again when it changes. Cheap to clone; all clones are one.
///
/// The first load must succeed. From then on a file that is broken, or gone, leaves the last good
/// keys in place, with an error in the log and in [`FileKeys::last_error`]: to withdraw a key, write
/// a file without it. The thread that looks at the file ends with the last clone.
///
/// ```no_run
/// use service_only::{FileKeys, Verifier};
///
/// let verifier = Verifier::builder()
///     .issuer("bakery-auth")
///     .keys(FileKeys::jwks("/etc/service-keys/jwks.json").open()?)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FileKeys(Arc<Watch>);

/// Ends the thread when it is dropped.
struct Watch {
    shared: Arc<Shared>,
    thread: Thread,
}

struct Shared {
    file: KeyFile,
    clock: Box<dyn Clock>,
    current: ArcSwap<Loaded>,
    last_error: ArcSwapOption<KeyError>,
    stop: AtomicBool,
}

struct Loaded {
    keys: KeySet,
    at: Timestamp,
}

impl FileKeys {
    /// A file with a JWK set; see [`KeySet::from_jwks`].
    pub fn jwks(path: impl Into<PathBuf>) -> FileKeysBuilder {
        FileKeysBuilder::of(path.into(), Format::Jwks)
    }

    /// A file with one public key in PEM; see [`VerifyingKey::from_pem`].
    pub fn pem(algorithm: Algorithm, path: impl Into<PathBuf>) -> FileKeysBuilder {
        FileKeysBuilder::of(path.into(), Format::Pem(algorithm))
    }

    /// A file that is an HMAC secret; see [`VerifyingKey::hmac`]. Every byte of it counts, also a
    /// line break at its end.
    pub fn hmac(algorithm: Algorithm, path: impl Into<PathBuf>) -> FileKeysBuilder {
        FileKeysBuilder::of(path.into(), Format::Hmac(algorithm))
    }

    /// What is wrong with the file as it is now; `None` when its keys are those in use.
    pub fn last_error(&self) -> Option<KeyError> {
        self.0.shared.last_error.load().as_deref().cloned()
    }

    /// When the keys in use were loaded.
    pub fn loaded_at(&self) -> Timestamp {
        self.0.shared.current.load().at
    }
}

impl KeySource for FileKeys {
    /// Never an error: the last good keys stay.
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        Ok(self.0.shared.current.load().keys.clone())
    }
}

impl fmt::Debug for FileKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.0.shared;
        f.debug_struct("FileKeys")
            .field("path", &shared.file.path)
            .field("keys", &shared.current.load().keys)
            .field("last_error", &shared.last_error.load())
            .finish_non_exhaustive()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Describes a file with keys; [`FileKeysBuilder::open`] loads it.
#[must_use = "nothing is loaded until `open` is called"]
pub struct FileKeysBuilder {
    file: KeyFile,
    interval: Duration,
    clock: Box<dyn Clock>,
}

impl FileKeysBuilder {
    fn of(path: PathBuf, format: Format) -> Self {
        let file = KeyFile { path, format, kid: None };
        Self { file, interval: DEFAULT_POLL_INTERVAL, clock: Box::new(SystemClock) }
    }

    /// The name of the one key in the file; see [`VerifyingKey::with_kid`]. The keys of a JWK set
    /// bring their own.
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.file.kid = Some(kid.into());
        self
    }

    /// How often the file is looked at, 10 ms or more. Left out, it is [`DEFAULT_POLL_INTERVAL`].
    pub fn poll_every(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Where the time of [`FileKeys::loaded_at`] comes from. Left out, it is [`SystemClock`].
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// Loads the keys, and starts the thread that looks at the file.
    ///
    /// # Errors
    /// When the file cannot be read, is too large or holds no usable key, the interval is too short,
    /// a JWK set was given a name, or no thread can be started.
    pub fn open(self) -> Result<FileKeys, KeyError> {
        if self.interval < MIN_POLL_INTERVAL {
            return Err(KeyError::unusable(format!(
                "the file would be looked at every {:?}; {MIN_POLL_INTERVAL:?} is the least",
                self.interval
            )));
        }
        if self.file.format == Format::Jwks && self.file.kid.is_some() {
            return Err(KeyError::unusable(
                "the keys of a JWK set bring their own names; leave out `.kid(…)`",
            ));
        }
        let stamp = Stamp::of(&self.file.path);
        let (keys, content) = self.file.load()?;
        let current = ArcSwap::from_pointee(Loaded { keys, at: self.clock.now() });
        let shared = Arc::new(Shared {
            file: self.file,
            clock: self.clock,
            current,
            last_error: ArcSwapOption::empty(),
            stop: AtomicBool::new(false),
        });
        let watcher = Watcher { shared: Arc::clone(&shared), stamp, content: Some(content), settled: false };
        let thread = thread::Builder::new()
            .name("key-file".to_owned())
            .spawn(move || watcher.run(self.interval))
            .map_err(|error| KeyError::unreadable(format!("no thread can be started: {error}")))?;
        Ok(FileKeys(Arc::new(Watch { shared, thread: thread.thread().clone() })))
    }
}

impl fmt::Debug for FileKeysBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeysBuilder")
            .field("path", &self.file.path)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

struct KeyFile {
    path: PathBuf,
    format: Format,
    kid: Option<String>,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Format {
    Jwks,
    Pem(Algorithm),
    Hmac(Algorithm),
}

impl KeyFile {
    fn load(&self) -> Result<(KeySet, Content), KeyError> {
        let bytes = self.read()?;
        let content = Content(digest(&SHA256, &bytes));
        Ok((self.parse(&bytes)?, content))
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let limit = match self.format {
            Format::Jwks => MAX_JWKS_BYTES,
            Format::Pem(_) | Format::Hmac(_) => MAX_KEY_FILE_BYTES,
        };
        let bytes = read_bounded(&self.path, limit)?;
        if bytes.len() > limit {
            return Err(self.named(KeyError::unusable(format!("the file is larger than {limit} bytes"))));
        }
        Ok(bytes)
    }

    fn parse(&self, bytes: &[u8]) -> Result<KeySet, KeyError> {
        let key = match self.format {
            Format::Jwks => return KeySet::from_jwks(bytes).map_err(|error| self.named(error)),
            Format::Pem(algorithm) => VerifyingKey::from_pem(algorithm, bytes),
            Format::Hmac(algorithm) => VerifyingKey::hmac(algorithm, bytes),
        };
        let key = key.map_err(|error| self.named(error))?;
        Ok(KeySet::from(match &self.kid {
            Some(kid) => key.with_kid(kid),
            None => key,
        }))
    }

    fn named(&self, error: KeyError) -> KeyError {
        error.in_file(&self.path)
    }
}

/// What a file held, without keeping a secret.
struct Content(Digest);

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref() == other.0.as_ref()
    }
}

/// What the thread knows of the file.
struct Watcher {
    shared: Arc<Shared>,
    stamp: Stamp,
    /// Of the keys in use.
    content: Option<Content>,
    /// Whether the file has kept its stamp since it was last read. Times of files are coarse: a
    /// second change right after the first may leave no trace, so every change is read twice.
    settled: bool,
}

impl Watcher {
    fn run(mut self, interval: Duration) {
        loop {
            thread::park_timeout(interval);
            if self.shared.stop.load(Ordering::Acquire) {
                return;
            }
            self.look();
        }
    }

    fn look(&mut self) {
        // Before reading: a change in between then shows at the next look.
        let stamp = Stamp::of(&self.shared.file.path);
        let changed = stamp != self.stamp;
        if !changed && self.settled {
            return;
        }
        self.settled = !changed;
        self.stamp = stamp;
        match self.shared.file.load() {
            Ok((keys, content)) => self.accept(keys, content),
            Err(error) => self.refuse(error),
        }
    }

    fn accept(&mut self, keys: KeySet, content: Content) {
        self.shared.last_error.store(None);
        if self.content.as_ref() == Some(&content) {
            return;
        }
        let path = self.shared.file.path.display();
        tracing::info!(target: "service_only", %path, keys = keys.len(), skipped = keys.skipped().len(), "keys loaded");
        self.shared.current.store(Arc::new(Loaded { keys, at: self.shared.clock.now() }));
        self.content = Some(content);
    }

    fn refuse(&self, error: KeyError) {
        let known = self.shared.last_error.load().as_deref() == Some(&error);
        // The second look at a change says nothing new.
        if !(known && self.settled) {
            tracing::error!(target: "service_only", %error, "the key file cannot be used, its last good keys stay in use");
        }
        self.shared.last_error.store(Some(Arc::new(error)));
    }
}

impl KeyError {
    fn in_file(self, path: &Path) -> Self {
        Self { message: format!("{}: {}", path.display(), self.message), ..self }
    }
}

#[cfg(test)]
mod tests;
