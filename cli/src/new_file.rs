//! Files that appear whole or not at all, and never in place of another without `--force`.
//!
//! Keys and tokens are written to a temporary file of the same directory, with their mode set
//! before the first byte, flushed to the disk, and only then renamed. The rename replaces a
//! symbolic link itself, never what it points to. Several files are checked and staged together,
//! so that a refusal leaves none of them behind.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::problem::{Outcome, Problem, ProblemCode};

/// What may happen to a file that is there already.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Overwrite {
    Refuse,
    Replace,
}

impl Overwrite {
    /// As the flag `--force` says.
    pub(crate) fn from_force(force: bool) -> Self {
        if force { Self::Replace } else { Self::Refuse }
    }
}

/// Who may read a new file.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Readers {
    /// The owner: mode 0600.
    Owner,
    /// Everybody: mode 0644.
    Everybody,
}

/// A file to be written.
pub(crate) struct NewFile {
    path: PathBuf,
    content: Zeroizing<Vec<u8>>,
    readers: Readers,
}

impl NewFile {
    pub(crate) fn secret(path: impl Into<PathBuf>, content: Zeroizing<Vec<u8>>) -> Self {
        Self { path: path.into(), content, readers: Readers::Owner }
    }

    pub(crate) fn public(path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        let content = Zeroizing::new(content.into());
        Self { path: path.into(), content, readers: Readers::Everybody }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Refuses a path that is taken, before any work is done for it.
pub(crate) fn check_free(path: &Path, overwrite: Overwrite) -> Outcome<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            Err(Problem::new(ProblemCode::Exists, format!("`{}` is a directory", path.display()))
                .help("name a file"))
        }
        Ok(_) if overwrite == Overwrite::Refuse => Err(taken(path)),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Problem::io("look at", path, &error)),
    }
}

/// Writes all files, or none when one of them is refused.
pub(crate) fn write_all(files: &[NewFile], overwrite: Overwrite) -> Outcome<()> {
    for file in files {
        check_free(&file.path, overwrite)?;
    }
    let staged = files.iter().map(stage).collect::<Outcome<Vec<_>>>()?;
    for (file, temporary) in files.iter().zip(staged) {
        publish(&file.path, temporary, overwrite)?;
    }
    Ok(())
}

/// Makes a directory that only its owner can enter, with its parents; one that exists stays as it is.
pub(crate) fn private_directory(path: &Path) -> Outcome<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| Problem::io("create the directory", path, &error))
}

fn stage(file: &NewFile) -> Outcome<NamedTempFile> {
    let directory = directory_of(&file.path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".service-token-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if file.readers == Readers::Owner { 0o600 } else { 0o644 };
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    let mut temporary = builder.tempfile_in(directory).map_err(|error| {
        Problem::io("write", &file.path, &error)
            .help(format!("check that the directory `{}` exists and is writable", directory.display()))
    })?;
    temporary
        .write_all(&file.content)
        .and_then(|()| temporary.as_file().sync_all())
        .map_err(|error| Problem::io("write", &file.path, &error))?;
    Ok(temporary)
}

fn publish(path: &Path, temporary: NamedTempFile, overwrite: Overwrite) -> Outcome<()> {
    let published = match overwrite {
        Overwrite::Replace => temporary.persist(path),
        // Also refuses a file that appeared since it was checked.
        Overwrite::Refuse => temporary.persist_noclobber(path),
    };
    published.map_err(|refused| match refused.error.kind() {
        io::ErrorKind::AlreadyExists => taken(path),
        _ => Problem::io("write", path, &refused.error),
    })?;
    sync_directory(directory_of(path));
    Ok(())
}

/// Makes the new name survive a power cut. Some file systems cannot; the file itself is safe then.
fn sync_directory(directory: &Path) {
    #[cfg(unix)]
    if let Ok(opened) = fs::File::open(directory) {
        let _ = opened.sync_all();
    }
    #[cfg(not(unix))]
    let _ = directory;
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn taken(path: &Path) -> Problem {
    Problem::new(ProblemCode::Exists, format!("`{}` exists already", path.display()))
        .help("choose another file, or pass `--force` to replace it")
}

#[cfg(test)]
mod tests;
