//! An error of a command: what is wrong, where, and the next step.
//!
//! Every problem leaves nothing written. Its code decides the exit code, is stable, and is part of JSON answers;
//! the text is for the operator. A problem never contains a token or a secret.

use std::fmt;
use std::io;
use std::path::Path;

use service_only::keys::{KeyError, KeyErrorKind};

use crate::exit::Exit;

/// The result of a step that can end the command.
pub(crate) type Outcome<T> = Result<T, Problem>;

/// The kind of problem, with the word that JSON answers use.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum ProblemCode {
    /// The command line has invalid or conflicting options.
    Usage,
    /// The configuration cannot be read or is invalid.
    BadConfig,
    /// A line of a batch is not a case.
    BadCase,
    /// A key file or a key set cannot be used.
    BadKey,
    /// A secret is shorter than the hash of its algorithm: RFC 7518 section 3.2.
    WeakKey,
    /// An algorithm that this program does not support.
    UnknownAlgorithm,
    /// The clock of this machine and the clock of the database differ too much.
    Clock,
    /// A file exists already.
    Exists,
    /// A file cannot be restored as a backup.
    BadBackup,
    /// The operator did not confirm a step that cannot be undone.
    NotConfirmed,
    /// A token is not authentic.
    NotAuthentic,
    /// The store of tokens and revocations cannot be used.
    Store,
    /// A file system or a service cannot be used: it is full, read-only, or does not answer.
    Unavailable,
    /// Another run is active, or was faster.
    Busy,
    /// A name matches nothing.
    NotFound,
    /// The operating system returned an error.
    Io,
    /// Verifiers would refuse a valid token.
    WouldBreak,
    /// The signing key is revoked, retired or not published.
    KeyRefused,
}

impl ProblemCode {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 18] = [
        Self::Usage,
        Self::BadConfig,
        Self::BadCase,
        Self::BadKey,
        Self::WeakKey,
        Self::UnknownAlgorithm,
        Self::Exists,
        Self::BadBackup,
        Self::NotConfirmed,
        Self::NotAuthentic,
        Self::Store,
        Self::Unavailable,
        Self::Busy,
        Self::NotFound,
        Self::Clock,
        Self::Io,
        Self::WouldBreak,
        Self::KeyRefused,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::BadConfig => "bad_config",
            Self::BadCase => "bad_case",
            Self::BadKey => "bad_key",
            Self::WeakKey => "weak_key",
            Self::UnknownAlgorithm => "unknown_algorithm",
            Self::Exists => "exists",
            Self::BadBackup => "bad_backup",
            Self::NotConfirmed => "not_confirmed",
            Self::NotAuthentic => "not_authentic",
            Self::Clock => "clock",
            Self::Store => "store",
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::NotFound => "not_found",
            Self::Io => "io",
            Self::WouldBreak => "would_break",
            Self::KeyRefused => "key_refused",
        }
    }

    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::NotAuthentic => Exit::Found,
            Self::Store | Self::Unavailable => Exit::Unavailable,
            Self::Busy => Exit::Busy,
            Self::NotFound => Exit::NotFound,
            Self::WouldBreak | Self::Clock => Exit::WouldBreak,
            Self::KeyRefused => Exit::KeyRefused,
            Self::Usage
            | Self::BadConfig
            | Self::BadCase
            | Self::BadKey
            | Self::WeakKey
            | Self::UnknownAlgorithm
            | Self::Exists
            | Self::BadBackup
            | Self::NotConfirmed
            | Self::Io => Exit::Misuse,
        }
    }
}

/// One problem, with its remedy if one is known.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    code: ProblemCode,
    reason: String,
    remedy: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: ProblemCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), remedy: None }
    }

    pub(crate) fn usage(reason: impl Into<String>) -> Self {
        Self::new(ProblemCode::Usage, reason)
    }

    /// A key that the runtime refuses, with the runtime's message.
    pub(crate) fn key(error: &KeyError) -> Self {
        let code = match error.kind() {
            KeyErrorKind::Weak => ProblemCode::WeakKey,
            _ => ProblemCode::BadKey,
        };
        Self::new(code, error.to_string())
    }

    pub(crate) fn io(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(code_of(error), format!("cannot {doing} `{}`: {error}", path.display()))
    }

    pub(crate) fn help(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Appends the effect of the problem to the message.
    pub(crate) fn and(mut self, outcome: impl fmt::Display) -> Self {
        self.reason = format!("{}; {outcome}", self.reason);
        self
    }

    /// Adds another remedy after the first.
    pub(crate) fn also(mut self, remedy: &str) -> Self {
        self.remedy = Some(match self.remedy {
            Some(question) if question.ends_with('?') => format!("{question} Otherwise {remedy}"),
            Some(first) => format!("{first}; {remedy}"),
            None => remedy.to_owned(),
        });
        self
    }

    /// Prepends the place of the problem to the message.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.reason = format!("{place}: {}", self.reason);
        self
    }

    pub(crate) fn code(&self) -> ProblemCode {
        self.code
    }

    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

/// A wrong path or a missing right is a mistake of the operator. A disk that is full or broken is not: the same command
/// works later.
fn code_of(error: &io::Error) -> ProblemCode {
    use io::ErrorKind as Kind;
    /// `EIO`, for which the standard library has no kind.
    const EIO: i32 = 5;
    match error.kind() {
        Kind::StorageFull
        | Kind::QuotaExceeded
        | Kind::ReadOnlyFilesystem
        | Kind::StaleNetworkFileHandle
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::NetworkDown
        | Kind::TimedOut => ProblemCode::Unavailable,
        _ if cfg!(unix) && error.raw_os_error() == Some(EIO) => ProblemCode::Unavailable,
        _ => ProblemCode::Io,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_unavailable_and_a_missing_file_is_misuse() {
        let exit = |kind: io::ErrorKind| Problem::io("write", Path::new("a"), &kind.into()).code().exit();
        assert_eq!(exit(io::ErrorKind::StorageFull), Exit::Unavailable);
        assert_eq!(exit(io::ErrorKind::ReadOnlyFilesystem), Exit::Unavailable);
        assert_eq!(exit(io::ErrorKind::NotFound), Exit::Misuse);
        assert_eq!(exit(io::ErrorKind::PermissionDenied), Exit::Misuse);
        let broken = io::Error::from_raw_os_error(5);
        assert_eq!(Problem::io("write", Path::new("a"), &broken).code().exit(), Exit::Unavailable);
    }
}
