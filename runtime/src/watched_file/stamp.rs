//! Detects that a file has changed, without reading it.

use std::{
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The stamps of all files that are read together. Without a stamp, no file was looked at yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamps(Vec<Stamp>);

impl Stamps {
    pub(crate) fn of(path: &Path, companions: &[PathBuf]) -> Self {
        Self([path].into_iter().chain(companions.iter().map(PathBuf::as_path)).map(Stamp::of).collect())
    }
}

/// The target of a path, and the metadata of the file there. Two equal stamps mean the
/// same content, except for a change within the resolution of the file's times.
#[derive(Debug, PartialEq, Eq)]
enum Stamp {
    File {
        /// The path without symbolic links: Kubernetes swaps one on the way.
        target: PathBuf,
        length: u64,
        modified: Option<SystemTime>,
        identity: Identity,
    },
    /// The file cannot be found, and why.
    Missing(io::ErrorKind),
}

impl Stamp {
    fn of(path: &Path) -> Self {
        Self::of_file(path).unwrap_or_else(|error| Self::Missing(error.kind()))
    }

    fn of_file(path: &Path) -> io::Result<Self> {
        let target = fs::canonicalize(path)?;
        let metadata = fs::metadata(&target)?;
        Ok(Self::File {
            target,
            length: metadata.len(),
            modified: metadata.modified().ok(),
            identity: Identity::of(&metadata),
        })
    }
}

/// The identity of the file, if the system has a number for it, and the time of its inode's last change. The latter
/// differs for a file that was copied together with its times.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
    #[cfg(unix)]
    changed: (i64, i64),
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self {}
    }
}
