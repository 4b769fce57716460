//! Files that are written and flushed, but not yet visible: an error occurs before any file appears.
//!
//! The only remaining step is to rename them. If you drop them instead, nothing remains.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{NamedTempFile, TempPath};

use super::{NewFile, Overwrite, Readers, STAGED, check_targets, directory_of, sync_directory, taken};
use crate::output;
use crate::problem::{Outcome, Problem};

/// New temporary files in the directories of their targets.
pub(crate) struct Staged {
    files: Vec<(PathBuf, NamedTempFile)>,
    overwrite: Overwrite,
}

impl Staged {
    /// Writes all temporary files, or none if one of them is refused.
    pub(crate) fn new(files: &[NewFile], overwrite: Overwrite) -> Outcome<Self> {
        check_targets(&files.iter().map(NewFile::path).collect::<Vec<_>>(), overwrite)?;
        let staged = files.iter().map(|file| Ok((file.path.clone(), stage(file)?)));
        Ok(Self { files: staged.collect::<Outcome<_>>()?, overwrite })
    }

    /// Renames them into place. If one is refused, the earlier ones are restored.
    pub(crate) fn publish(self) -> Outcome<()> {
        let mut published = Vec::<(PathBuf, Before)>::with_capacity(self.files.len());
        for (path, temporary) in self.files {
            let before = Before::keep(&path, self.overwrite);
            if let Err(problem) = publish(&path, temporary, self.overwrite) {
                for (path, before) in published.into_iter().rev() {
                    put_back(&path, before);
                }
                return Err(problem);
            }
            published.push((path, before));
        }
        Ok(())
    }
}

fn stage(file: &NewFile) -> Outcome<NamedTempFile> {
    let mut temporary = temporary(&file.path, file.readers)?;
    temporary
        .write_all(&file.content)
        .and_then(|()| temporary.as_file().sync_all())
        .map_err(|error| Problem::io("write", &file.path, &error))?;
    Ok(temporary)
}

/// An empty file beside `path`, with its mode.
fn temporary(path: &Path, readers: Readers) -> Outcome<NamedTempFile> {
    let directory = directory_of(path);
    let mut builder = tempfile::Builder::new();
    builder.prefix(STAGED);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = if readers == Readers::Owner { 0o600 } else { 0o644 };
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    builder.tempfile_in(directory).map_err(|error| {
        // The message of `error` names the temporary file, which the operator does not know.
        let cause = fs::metadata(directory).err().unwrap_or(error);
        Problem::io("write", path, &cause)
            .help(format!("check that the directory `{}` exists and is writable", directory.display()))
    })
}

/// A new file that is too large for memory: its author writes it, and it appears when it is complete.
pub(crate) struct StagedFile {
    path: PathBuf,
    temporary: NamedTempFile,
}

impl StagedFile {
    /// An empty file, readable by its owner alone. Refuses a path that exists.
    pub(crate) fn new(path: &Path) -> Outcome<Self> {
        check_targets(&[path], Overwrite::Refuse)?;
        Ok(Self { path: path.to_owned(), temporary: temporary(path, Readers::Owner)? })
    }

    pub(crate) fn file(&self) -> &fs::File {
        self.temporary.as_file()
    }

    /// Renames the file into place. The author has synced it.
    pub(crate) fn publish(self) -> Outcome<()> {
        publish(&self.path, self.temporary, Overwrite::Refuse)
    }
}

/// What existed at a path before this run.
enum Before {
    Nothing,
    /// The old file under a second name, which is removed at the end.
    Kept(TempPath),
    /// An old file on a file system without hard links.
    Lost,
}

impl Before {
    fn keep(path: &Path, overwrite: Overwrite) -> Self {
        if overwrite == Overwrite::Refuse || fs::symlink_metadata(path).is_err() {
            return Self::Nothing;
        }
        let mut builder = tempfile::Builder::new();
        let kept = builder
            .prefix(STAGED)
            .make_in(directory_of(path), |name| fs::hard_link(path, name).map(|()| name.to_owned()));
        kept.map_or(Self::Lost, |kept| Self::Kept(kept.into_temp_path()))
    }
}

fn put_back(path: &Path, before: Before) {
    let undone = match before {
        Before::Nothing => fs::remove_file(path),
        Before::Kept(kept) => kept.persist(path).map_err(|refused| refused.error),
        Before::Lost => Err(io::Error::other("the old file is gone")),
    };
    if let Err(error) = undone {
        output::warning(&format!("`{}` is new, and stays: {error}", path.display()));
    }
    sync_directory(directory_of(path));
}

fn publish(path: &Path, temporary: NamedTempFile, overwrite: Overwrite) -> Outcome<()> {
    let published = match overwrite {
        Overwrite::Replace | Overwrite::ReplaceKey => temporary.persist(path),
        // This also refuses a file that appeared after the check.
        Overwrite::Refuse => temporary.persist_noclobber(path),
    };
    published.map_err(|refused| match refused.error.kind() {
        io::ErrorKind::AlreadyExists => taken(path),
        _ => Problem::io("write", path, &refused.error),
    })?;
    sync_directory(directory_of(path));
    Ok(())
}
