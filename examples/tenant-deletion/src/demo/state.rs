//! Where the demonstration keeps its files: below the target directory, so that the work tree
//! stays clean, and readable by their owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Says that a directory is the demonstration's and may be emptied by the next one.
const MARKER: &str = ".tenant-deletion-demo";

/// A directory that this process alone uses. It stays when the process ends.
pub(crate) struct StateDir {
    path: PathBuf,
    /// Held for as long as the directory is in use.
    _lock: Option<File>,
}

impl StateDir {
    /// An empty directory `demo` below `base`, or `demo-PID` while another run uses that one.
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

    /// The path of a file in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a new file that its owner alone can read.
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

/// Removes what an earlier run left, and nothing else.
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

/// The path as a person would type it here.
pub(crate) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

/// `tenant-deletion/` in cargo's target directory, or in the temporary one for an installed binary.
fn default_base() -> anyhow::Result<PathBuf> {
    let binary = std::env::current_exe().context("cannot find out where this program is")?;
    let target = binary.ancestors().find(|directory| directory.join("CACHEDIR.TAG").is_file());
    Ok(target.map_or_else(std::env::temp_dir, Path::to_path_buf).join("tenant-deletion"))
}
