//! Distinguishes two files that had the same path, one after the other.

use std::fs::Metadata;

/// Which file a path leads to. Two values are equal if they are of the same file.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct FileIdentity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl FileIdentity {
    /// The identity of the file with this metadata.
    #[cfg(unix)]
    pub fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device_and_inode: (metadata.dev(), metadata.ino()) }
    }

    /// The identity of the file. On other systems the standard library cannot distinguish two files.
    #[cfg(not(unix))]
    pub fn of(_: &Metadata) -> Self {
        Self {}
    }
}
