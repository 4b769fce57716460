//! Why files with TLS material cannot be used.

use std::{error::Error, fmt};

/// Why a certificate, a key or roots cannot be used. The message names the file and the problem, and never contains a
/// part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsError {
    kind: TlsErrorKind,
    message: String,
}

/// The kinds of [`TlsError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsErrorKind {
    /// A setting cannot be used; no file was read.
    Configuration,
    /// A file does not exist, is not a regular file, is too large, or cannot be read.
    Unreadable,
    /// The read takes too long: the file system may hang.
    Timeout,
    /// No thread can be started to watch the files.
    NoThread,
    /// A file does not contain the expected PEM.
    Pem,
    /// The private key does not belong to the leaf certificate.
    KeyMismatch,
    /// The leaf certificate is not one that a service may use: it belongs to a certificate authority, has a wrong
    /// usage, or wrong names.
    Leaf,
    /// The leaf certificate has expired.
    Expired,
    /// The leaf certificate is not valid yet.
    NotYetValid,
    /// The SPIFFE Workload API cannot be reached, delivers no SVID, or its stream has ended.
    WorkloadApi,
    /// The roots do not verify the chain.
    Path,
    /// A root cannot be used.
    Roots,
}

impl TlsErrorKind {
    /// The kind as logs and metrics show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Unreadable => "unreadable",
            Self::Timeout => "timeout",
            Self::NoThread => "no_thread",
            Self::Pem => "pem",
            Self::KeyMismatch => "key_mismatch",
            Self::Leaf => "leaf",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WorkloadApi => "workload_api",
            Self::Path => "path",
            Self::Roots => "roots",
        }
    }

    /// Whether the same files may be valid at another time.
    pub(crate) const fn depends_on_time(self) -> bool {
        matches!(self, Self::Expired | Self::NotYetValid | Self::Path)
    }
}

impl TlsError {
    pub(crate) fn new(kind: TlsErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The kind of the error.
    pub fn kind(&self) -> TlsErrorKind {
        self.kind
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for TlsError {}
