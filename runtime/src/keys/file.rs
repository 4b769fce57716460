//! Keys in a file that may change: a JWK set, a public key or a secret, as Kubernetes mounts them.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use zeroize::Zeroizing;

use super::{Algorithm, KeyError, KeySet, KeySource, KeysUnavailable, SecretEncoding, VerifyingKey};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    handle::WeakHandle,
    watched_file::{Contents, DEFAULT_POLL_INTERVAL, MAX_READ, MIN_POLL_INTERVAL, WatchedFile, read_regular},
};

/// Keys from a file, which are reloaded when the file changes. It is cheap to clone, and all clones share one state.
///
/// The first load must succeed. If the file is broken or missing later, the last good
/// keys stay in use, with an error in the log and in [`FileKeys::last_error`]. To withdraw a key, write
/// a file without it. If the file is on a mount that hangs, the last good keys stay in use too: one thread is
/// blocked, but no request. The threads that poll the file end when the last clone is dropped.
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
pub struct FileKeys(WatchedFile<KeyFile>);

impl FileKeys {
    /// The maximum size of a file with one key, in bytes: 40 times an RSA key of 8192 bits in PEM. A file
    /// with a JWK set may have [`KeySet::MAX_JWKS_BYTES`].
    pub const MAX_BYTES: usize = 64 * 1024;

    /// The default interval between two polls of the file: one second. A poll costs two system calls, and an
    /// operator who repairs a file sees the effect almost immediately.
    pub const DEFAULT_POLL_INTERVAL: Duration = crate::watched_file::DEFAULT_POLL_INTERVAL;

    /// Uses a file with a JWK set; see [`KeySet::from_jwks`].
    pub fn jwks(path: impl Into<PathBuf>) -> FileKeysBuilder {
        FileKeysBuilder::of(path.into(), Format::Jwks)
    }

    /// Uses a file with one public key in PEM; see [`VerifyingKey::from_pem`].
    pub fn pem(algorithm: Algorithm, path: impl Into<PathBuf>) -> FileKeysBuilder {
        FileKeysBuilder::of(path.into(), Format::Pem(algorithm))
    }

    /// Uses a file that is an HMAC secret; see [`VerifyingKey::hmac`]. Every byte belongs to the secret, including a
    /// line ending at the end, unless you set another [`encoding`](FileKeysBuilder::encoding).
    pub fn hmac(algorithm: Algorithm, path: impl Into<PathBuf>) -> FileKeysBuilder {
        FileKeysBuilder::of(path.into(), Format::Hmac(algorithm, SecretEncoding::Raw))
    }

    /// Why the current file cannot be used; `None` if its keys are in use.
    pub fn last_error(&self) -> Option<KeyError> {
        self.0.last_error()
    }

    /// When the keys in use were loaded.
    pub fn loaded_at(&self) -> Timestamp {
        self.0.current().at
    }
}

impl WeakHandle for FileKeys {
    fn weak(&self) -> impl Fn() -> Option<Self> + Clone + Send + Sync + 'static {
        let own = self.0.weak();
        move || own().map(Self)
    }
}

impl KeySource for FileKeys {
    /// Never an error: the last good keys stay in use.
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        Ok(self.0.current().content.clone())
    }

    fn refreshes(&self) -> bool {
        false
    }

    fn is_current(&self, keys: &KeySet) -> bool {
        self.0.current().content.is(keys)
    }
}

impl fmt::Debug for FileKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileKeys")
            .field("path", &self.0.contents().path)
            .field("keys", &self.0.current().content)
            .field("last_error", &self.0.last_error())
            .finish_non_exhaustive()
    }
}

/// Configures a file with keys; [`FileKeysBuilder::open`] loads it.
#[must_use = "nothing is loaded until `open` is called"]
pub struct FileKeysBuilder {
    file: KeyFile,
    interval: Duration,
    clock: Box<dyn Clock>,
    /// Whether `encoding` was called for a file that is not a secret.
    encoding_of_no_secret: bool,
}

impl FileKeysBuilder {
    fn of(path: PathBuf, format: Format) -> Self {
        let file = KeyFile {
            path,
            format,
            kid: None,
            #[cfg(feature = "config")]
            named_by_secret: false,
        };
        let clock = Box::new(SystemClock);
        Self { file, interval: DEFAULT_POLL_INTERVAL, clock, encoding_of_no_secret: false }
    }

    /// Sets the name of the one key in the file; see [`VerifyingKey::with_kid`]. The keys of a JWK set
    /// have their own names.
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.file.kid = Some(kid.into());
        self
    }

    /// Names the secret as the command `service-token` does if it has no other name, so that a token with another `kid` is
    /// refused.
    #[cfg(feature = "config")]
    pub(crate) fn named_by_secret(mut self) -> Self {
        self.file.named_by_secret = true;
        self
    }

    /// Sets the encoding of the secret of [`FileKeys::hmac`], like `encoding` of `service-token.toml` and
    /// `--secret-encoding` of the command. The default is [`SecretEncoding::Raw`].
    pub fn encoding(mut self, encoding: SecretEncoding) -> Self {
        match self.file.format {
            Format::Hmac(algorithm, _) => self.file.format = Format::Hmac(algorithm, encoding),
            Format::Jwks | Format::Pem(_) => self.encoding_of_no_secret = true,
        }
        self
    }

    /// Sets how often the file is polled, 10 ms or more. The default is [`FileKeys::DEFAULT_POLL_INTERVAL`].
    pub fn poll_every(self, interval: Duration) -> Self {
        Self { interval, ..self }
    }

    /// Sets the clock for [`FileKeys::loaded_at`]. The default is [`SystemClock`].
    pub fn clock(self, clock: impl Clock) -> Self {
        Self { clock: Box::new(clock), ..self }
    }

    /// Loads the keys, and starts the threads that poll the file.
    ///
    /// # Errors
    /// When the file cannot be read within two seconds, is not a regular file, is too large or contains no
    /// usable key. Also when the interval is too short, a JWK set has a name, an encoding is set for a file that is
    /// not a secret, or no thread can be started.
    pub fn open(self) -> Result<FileKeys, KeyError> {
        if self.interval < MIN_POLL_INTERVAL {
            return Err(KeyError::unusable(format!(
                "the file would be read every {:?}; the minimum is {MIN_POLL_INTERVAL:?}",
                self.interval
            )));
        }
        if self.file.format == Format::Jwks && self.file.kid.is_some() {
            return Err(KeyError::unusable(
                "each key of a JWK set contains its own `kid`; leave out `.kid(…)`",
            ));
        }
        if self.encoding_of_no_secret {
            return Err(KeyError::unusable("only an HMAC secret has an encoding; leave out `.encoding(…)`"));
        }
        let keys = FileKeys(WatchedFile::open(self.file, self.interval, self.clock, Duration::ZERO, |_| ())?);
        keys.0.current().content.log_skipped(&keys.0.contents().path.display());
        Ok(keys)
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
    /// Whether a secret without a `kid` gets the name that is derived from it.
    #[cfg(feature = "config")]
    named_by_secret: bool,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Format {
    Jwks,
    Pem(Algorithm),
    Hmac(Algorithm, SecretEncoding),
}

impl Contents for KeyFile {
    type Content = KeySet;
    type Error = KeyError;

    const THREAD: &'static str = "key-file";

    fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let limit = match self.format {
            Format::Jwks => KeySet::MAX_JWKS_BYTES,
            Format::Pem(_) | Format::Hmac(..) => FileKeys::MAX_BYTES,
        };
        let bytes = read_regular(&self.path, limit)
            .map_err(|error| KeyError::unreadable(format!("{}: {error}", self.path.display())))?;
        if bytes.len() > limit {
            return Err(self.named(KeyError::unusable(format!("the file is larger than {limit} bytes"))));
        }
        Ok(bytes)
    }

    fn parse(&self, bytes: &[u8]) -> Result<KeySet, KeyError> {
        let key = match self.format {
            Format::Jwks => return KeySet::from_jwks(bytes).map_err(|error| self.named(error)),
            Format::Pem(algorithm) => VerifyingKey::from_pem(algorithm, bytes),
            Format::Hmac(algorithm, encoding) => {
                encoding.decode(bytes).and_then(|secret| self.of_secret(algorithm, &secret))
            }
        };
        let key = key.map_err(|error| self.named(error))?;
        Ok(KeySet::from(match &self.kid {
            Some(kid) => key.with_kid(kid),
            None => key,
        }))
    }

    fn no_thread(&self, error: io::Error) -> KeyError {
        KeyError::unreadable(format!("no thread can be started: {error}"))
    }

    fn hangs(&self) -> KeyError {
        let path = self.path.display();
        KeyError::unreadable(format!("{path}: not read within {MAX_READ:?}: does its file system hang?"))
    }

    fn tell_loaded(&self, keys: &KeySet) {
        let path = self.path.display();
        tracing::info!(target: "service_only", %path, keys = keys.len(), skipped = keys.skipped().len(), "keys loaded");
        keys.log_skipped(&path);
    }

    fn tell_refused(&self, error: &KeyError) {
        tracing::error!(target: "service_only", %error, "the key file cannot be used, the last valid keys stay in use");
    }
}

impl KeyFile {
    fn of_secret(&self, algorithm: Algorithm, secret: &[u8]) -> Result<VerifyingKey, KeyError> {
        let key = VerifyingKey::hmac(algorithm, secret)?;
        #[cfg(feature = "config")]
        if self.named_by_secret {
            return Ok(key.with_kid(super::secret_name(secret).as_str()));
        }
        Ok(key)
    }

    fn named(&self, error: KeyError) -> KeyError {
        error.in_file(&self.path)
    }
}

impl KeyError {
    fn in_file(self, path: &Path) -> Self {
        Self { message: format!("{}: {}", path.display(), self.message), ..self }
    }
}
