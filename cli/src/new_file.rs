//! Writes files that appear completely or not at all, and never replace another file without `--force`.
//!
//! Keys and tokens are written to a temporary file in the same directory. Its mode is set before the first
//! byte, it is flushed to the disk, and only then renamed. The rename replaces a symbolic link itself, never
//! its target. Several files are checked and staged together. If one fails, the already renamed files are
//! restored, so that a refusal changes nothing.
//!
//! `--force` replaces files only, never a device or a pipe. A private key is replaced by another key only, and a
//! store by nothing: both exist once.

mod staged;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

pub(crate) use self::staged::{Staged, StagedFile};
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};

/// How the name of a temporary file begins.
pub(crate) const STAGED: &str = ".service-token-";

/// What may happen to an existing file.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Overwrite {
    Refuse,
    /// Replaces a file, but neither a private key nor a store.
    Replace,
    /// Replaces a private key too: the new file is a key.
    ReplaceKey,
}

impl Overwrite {
    /// Converts the flag `--force`.
    pub(crate) fn from_force(force: bool) -> Self {
        if force { Self::Replace } else { Self::Refuse }
    }

    /// Converts the flag `--force` of a command that writes a private key.
    pub(crate) fn of_key(force: bool) -> Self {
        if force { Self::ReplaceKey } else { Self::Refuse }
    }
}

/// Which users may read a new file.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Readers {
    /// The owner: mode 0600.
    Owner,
    /// All users: mode 0644.
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

/// Refuses existing files and two paths to the same file, before any work is done.
pub(crate) fn check_targets(paths: &[&Path], overwrite: Overwrite) -> Outcome<()> {
    check_distinct(paths)?;
    paths.iter().try_for_each(|path| check_free(path, overwrite))
}

/// Refuses two paths to the same file.
pub(crate) fn check_distinct(paths: &[&Path]) -> Outcome<()> {
    let mut seen = HashMap::new();
    for path in paths {
        // The second content would replace the first, and a lost key is lost with all its tokens.
        if let Some(first) = seen.insert(identity(path), path) {
            let reason = format!("`{}` and `{}` are the same file", first.display(), path.display());
            return Err(Problem::usage(reason).help("name two files"));
        }
    }
    Ok(())
}

/// Whether both paths lead to the same file.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    identity(one) == identity(other)
}

/// The identity of a path: two paths have the same one if a rename to one replaces the other.
fn identity(path: &Path) -> PathBuf {
    let directory = directory_of(path);
    // A missing directory is refused later, when the files are staged.
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    match path.file_name() {
        // On these systems `Key.pem` and `key.pem` are usually the same file.
        Some(name) if cfg!(any(windows, target_vendor = "apple")) => {
            directory.join(name.to_ascii_lowercase())
        }
        Some(name) => directory.join(name),
        None => directory,
    }
}

fn check_free(path: &Path, overwrite: Overwrite) -> Outcome<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            Err(Problem::new(ProblemCode::Exists, format!("`{}` is a directory", path.display()))
                .help("name a file"))
        }
        Ok(_) if overwrite == Overwrite::Refuse => Err(taken(path)),
        Ok(_) => check_replaceable(path, overwrite),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Problem::io("look at", path, &error)),
    }
}

/// How much of an existing file is searched for a private key: text may precede the PEM block.
const SEARCHED: u64 = 64 * 1024;

/// How a store in SQLite begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// How private keys are marked: PEM, and the key of an audit log.
const PRIVATE_KEYS: [&[u8]; 2] = [b"PRIVATE KEY-----", b"PRIVATE+KEY+"];

/// Refuses to replace what a rename would destroy: a device, a pipe, a store, or a private key.
fn check_replaceable(path: &Path, overwrite: Overwrite) -> Outcome<()> {
    let refused = |what: &str, help: &str| {
        let reason = format!("`{}` is {what}, and `--force` does not replace it", path.display());
        Err(Problem::new(ProblemCode::Exists, reason).help(help))
    };
    // Of a symbolic link, only the link is replaced. A link to a device, such as `/dev/stdout`, counts as one.
    let Ok(found) = fs::metadata(path) else { return Ok(()) };
    if !found.is_file() && !found.is_dir() {
        return refused(
            "not a regular file",
            "name a file; without an option for a file, the result is printed",
        );
    }
    let mut start = Zeroizing::new(Vec::new());
    let is_read = found.is_file()
        && fs::File::open(path).and_then(|file| file.take(SEARCHED).read_to_end(&mut start)).is_ok();
    let contains = |marks: &&[u8]| start.windows(marks.len()).any(|window| window == *marks);
    if is_read && start.starts_with(SQLITE) {
        return refused(
            "a store",
            "name another file; the store has all revocations and the journal of the keys",
        );
    }
    if is_read && overwrite != Overwrite::ReplaceKey && PRIVATE_KEYS.iter().any(contains) {
        return refused("a private key", "name another file, or remove the key first if nothing needs it");
    }
    Ok(())
}

/// Writes all files, or none if one of them is refused.
pub(crate) fn write_all(files: &[NewFile], overwrite: Overwrite) -> Outcome<()> {
    Staged::new(files, overwrite)?.publish()
}

/// Moves a file over another one atomically; the old path no longer exists.
pub(crate) fn promote(from: &Path, to: &Path) -> Outcome<()> {
    fs::rename(from, to).map_err(|error| Problem::io("replace", to, &error))?;
    sync_directory(directory_of(to));
    Ok(())
}

/// Removes a file; a missing file is not an error.
pub(crate) fn remove(path: &Path) -> Outcome<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Problem::io("remove", path, &error)),
        _ => {
            sync_directory(directory_of(path));
            Ok(())
        }
    }
}

/// Creates a directory that only its owner can enter, with its parents. An existing directory is not changed;
/// a warning is printed if other users can replace files in it.
pub(crate) fn private_directory(path: &Path) -> Outcome<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| {
        Problem::io("create the directory", path, &error)
            .help("name a directory, not a file, whose parent you may write to")
    })?;
    warn_if_others_can_write(path);
    Ok(())
}

fn warn_if_others_can_write(directory: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(found) = fs::metadata(directory) else { return };
        let mode = found.permissions().mode() & 0o7777;
        if mode & 0o022 != 0 {
            let directory = directory.display();
            output::warning(&format!(
                "others can write to the directory `{directory}` (mode {mode:04o}) and replace these files; \
                 choose another directory, or run `chmod go-w {directory}`"
            ));
        }
    }
    #[cfg(not(unix))]
    let _ = directory;
}

/// Makes the rename survive a power loss. Some file systems do not support it; the file itself is safe then.
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
