//! The files of the demonstration: below the target directory, so that the work tree stays clean, and
//! readable only by their owner.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The file that marks a directory as the demonstration's, so that the next run may empty it.
const MARKER: &str = ".tenant-deletion-demo";

/// A directory that only this process uses. It remains after the process ends.
pub(crate) struct StateDir {
    path: PathBuf,
    /// Locked while the directory is in use.
    _lock: Option<File>,
}

impl StateDir {
    /// Creates an empty directory `demo` below `base`, or `demo-PID` if another run uses the first.
    pub(crate) fn create(base: Option<PathBuf>) -> anyhow::Result<Self> {
        let base = match base {
            Some(base) => base,
            None => default_base()?,
        };
        Self::below(&base).with_context(|| format!("cannot make a directory in `{}`", base.display()))
    }

    fn below(base: &Path) -> io::Result<Self> {
        fs::create_dir_all(base)?;
        let lock = File::create(base.join("demo.lock"))?;
        let (path, lock) = match lock.try_lock() {
            Ok(()) => (base.join("demo"), Some(lock)),
            Err(_) => (base.join(format!("demo-{}", std::process::id())), None),
        };
        remove_earlier(&path)?;
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        File::create(path.join(MARKER))?;
        Ok(Self { path, _lock: lock })
    }

    /// The path of a file in the directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a new file that only its owner can read.
    pub(crate) fn write(&self, name: &str, content: &str) -> anyhow::Result<PathBuf> {
        let path = self.file(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&path).and_then(|mut file| file.write_all(content.as_bytes()));
        written.with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Removes the files of an earlier run, and nothing else.
fn remove_earlier(path: &Path) -> io::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    if !path.join(MARKER).exists() {
        let said =
            format!("`{}` exists and was not made by this program; choose another directory", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, said));
    }
    fs::remove_dir_all(path)
}

/// The path relative to the current directory, as a person would type it.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

/// `tenant-deletion/` in cargo's target directory, or in the temporary directory for an installed binary.
fn default_base() -> anyhow::Result<PathBuf> {
    let binary = std::env::current_exe().context("cannot find out where this program is")?;
    let target = binary.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    Ok(target.map_or_else(std::env::temp_dir, Path::to_path_buf).join("tenant-deletion"))
}
