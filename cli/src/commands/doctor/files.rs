//! The checks of files: the key, permissions, and what a killed program has left.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{DoctorOptions, Report, folder};
use crate::config::Config;
use crate::new_file;
use crate::problem::Outcome;
use crate::rotation::next_file;

/// A program that runs now writes its temporary file within seconds.
const LEFT_AFTER: Duration = Duration::from_secs(3600);

pub(super) fn key(report: &mut Report, config: &Config) {
    let place = config.key.path.display();
    match config.key.load() {
        Ok(key) => report.ok("key", format!("`{place}` is the {} key `{}`", key.algorithm(), key.kid())),
        Err(problem) => {
            report.failed("key", &problem, "restore the key from its backup, or run `service-token keygen`")
        }
    }
}

/// A file, and the permission bits that it must not have.
struct Guarded {
    path: PathBuf,
    forbidden: u32,
    danger: &'static str,
}

/// The files that only their owner may read, and those that only their owner may write.
fn guarded(config: Option<&Config>, url: Option<&str>) -> Vec<Guarded> {
    let secret = |path: PathBuf| Guarded { path, forbidden: 0o077, danger: "other users can read or write" };
    let mut files = Vec::new();
    if let Some(config) = config {
        let writable = |path: &Path| Guarded {
            path: path.to_owned(),
            forbidden: 0o022,
            danger: "other users can write",
        };
        files.push(secret(config.key.path.clone()));
        files.push(secret(next_file(&config.key.path)));
        files.push(writable(&config.path));
        files.push(writable(&config.rotation.jwks));
        // Who writes to the folder can replace the key.
        files.push(writable(folder(&config.key.path)));
    }
    if let Some(path) = url.and_then(|url| url.strip_prefix("sqlite:")) {
        files.extend(["", "-wal", "-shm"].map(|end| secret(PathBuf::from(format!("{path}{end}")))));
    }
    files
}

#[cfg(unix)]
pub(super) fn permissions(
    report: &mut Report,
    options: &DoctorOptions,
    config: Option<&Config>,
    url: Option<&str>,
) -> Outcome<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut seen = 0;
    for Guarded { path, forbidden, danger } in guarded(config, url) {
        // A missing file is the concern of another check.
        let Ok(found) = std::fs::metadata(&path) else { continue };
        seen += 1;
        let mode = found.permissions().mode() & 0o7777;
        let is_shared_like_tmp = found.is_dir() && mode & 0o1000 != 0;
        if mode & forbidden == 0 || is_shared_like_tmp {
            continue;
        }
        let place = path.display();
        let kept = mode & !forbidden;
        if options.fix && std::fs::set_permissions(&path, std::fs::Permissions::from_mode(kept)).is_ok() {
            report.fixed("permissions", format!("`{place}` had mode {mode:04o}, and has {kept:04o} now"));
        } else {
            let found = format!("{danger} `{place}` (mode {mode:04o})");
            report.problem(
                "permissions",
                found,
                format!("`service-token doctor --fix`, or `chmod {kept:o} {place}` as its owner"),
            );
        }
    }
    if report.is_clean("permissions") {
        match seen {
            0 => report.skipped("permissions", "no file was found to check"),
            seen => report.ok("permissions", format!("{seen} files and folders are safe from other users")),
        }
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn permissions(
    report: &mut Report,
    _: &DoctorOptions,
    config: Option<&Config>,
    url: Option<&str>,
) -> Outcome<()> {
    let files = guarded(config, url).len();
    report.skipped("permissions", format!("this system has no modes for {files} files"));
    Ok(())
}

/// Temporary files of programs that were killed: they may contain a key or a token.
pub(super) fn staged(report: &mut Report, options: &DoctorOptions, config: &Config) -> Outcome<()> {
    let folders: BTreeSet<_> =
        [&config.path, &config.key.path, &config.rotation.jwks].map(|path| folder(path).to_owned()).into();
    let left: Vec<PathBuf> = folders.iter().flat_map(|folder| staged_in(folder)).collect();
    if left.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = left.iter().map(|path| format!("`{}`", path.display())).collect();
    let names = names.join(", ");
    if !options.fix {
        report.problem(
            "leftovers",
            format!("a killed program left temporary files, which may contain a key or a token: {names}"),
            "`service-token doctor --fix` removes them",
        );
        return Ok(());
    }
    options.consent.ask(&format!("The temporary files {names} will be removed."))?;
    for path in left {
        match new_file::remove(&path) {
            Ok(()) => report.fixed("leftovers", format!("removed the temporary file `{}`", path.display())),
            Err(problem) => report.failed("leftovers", &problem, "remove the file as its owner"),
        }
    }
    Ok(())
}

fn staged_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let is_old = |found: &std::fs::Metadata| {
        let age = found.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        age.is_some_and(|age| age > LEFT_AFTER)
    };
    let staged = entries.filter_map(Result::ok).filter(|entry| {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(new_file::STAGED));
        is_ours && entry.metadata().is_ok_and(|found| found.is_file() && is_old(&found))
    });
    let mut paths: Vec<_> = staged.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
