//! Passphrases and PINs: read from files and descriptors, never shown, and zeroed.

use std::{fmt, fs::File, io::Read as _, path::Path};

use service_only::issue::SignError;
use zeroize::Zeroizing;

/// A passphrase of a private key, or the PIN of a token. It is zeroed on drop, and `Debug` does not show it.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// The longest passphrase, in bytes. A larger file is a mistake, such as the key itself.
    pub const MAX_BYTES: usize = 1024;

    /// Takes a passphrase, without one final line ending (LF or CRLF).
    ///
    /// # Errors
    /// When it is empty, has several lines, begins with a byte order mark, or is longer than [`Passphrase::MAX_BYTES`].
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, SignError> {
        let mut bytes = Zeroizing::new(bytes.into());
        let end = bytes
            .strip_suffix(b"\r\n")
            .or_else(|| bytes.strip_suffix(b"\n"))
            .map_or(bytes.len(), <[u8]>::len);
        bytes.truncate(end);
        if bytes.is_empty() {
            return Err(SignError::new("the passphrase is empty"));
        }
        if bytes.len() > Self::MAX_BYTES {
            return Err(SignError::new(format!(
                "the passphrase has more than {} bytes; name a file that contains nothing else",
                Self::MAX_BYTES
            )));
        }
        // A prompt would not add the mark, and the key would open with the file only.
        if bytes.starts_with(b"\xef\xbb\xbf") || bytes.contains(&0) {
            return Err(SignError::new(
                "the passphrase begins with a byte order mark, or has a zero byte, as UTF-16 has; save it as UTF-8 without a mark",
            ));
        }
        if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return Err(SignError::new(
                "the passphrase has several lines; name a file that contains nothing else",
            ));
        }
        Ok(Self(bytes))
    }

    /// Reads a passphrase from a file: its only line.
    ///
    /// # Errors
    /// When the file cannot be read, and as [`Passphrase::new`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, SignError> {
        let path = path.as_ref();
        let place = format!("passphrase file `{}`", path.display());
        let failed = |error: std::io::Error| {
            SignError::new(format!("{place}: {error}; check the path and its permissions")).caused_by(error)
        };
        // Allocate once: a buffer that grows leaves copies of its content behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(Self::MAX_BYTES + 3));
        let file = File::open(path).map_err(failed)?;
        file.take(Self::MAX_BYTES as u64 + 3).read_to_end(&mut bytes).map_err(failed)?;
        Self::new(std::mem::take(&mut *bytes)).map_err(|error| SignError::new(format!("{place}: {error}")))
    }

    /// Reads a passphrase from a file descriptor that the caller of this program has opened.
    ///
    /// # Errors
    /// As [`Passphrase::from_file`].
    #[cfg(unix)]
    pub fn from_descriptor(number: u32) -> Result<Self, SignError> {
        Self::from_file(format!("/dev/fd/{number}"))
    }

    /// The bytes, for a backend.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}
