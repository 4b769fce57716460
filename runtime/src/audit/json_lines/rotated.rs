//! The rotated files of a log. They are found by their names, which contain the instant of the rotation.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::clock::Timestamp;

pub(crate) const COMPRESSED: &str = ".gz";
pub(crate) const PART: &str = ".gz.part";

/// One old file, which may exist plain, compressed or both.
pub(crate) struct RotatedFile {
    pub(crate) stamp: String,
    pub(crate) path: PathBuf,
    pub(crate) form: Form,
}

#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    Plain,
    Compressed,
    Part,
}

/// The old files of a log, oldest first.
pub(crate) fn rotated_files(log: &Path) -> io::Result<Vec<RotatedFile>> {
    let (Some(folder), Some(name)) = (log.parent(), log.file_name().and_then(OsStr::to_str)) else {
        return Ok(Vec::new());
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let own = path.file_name().and_then(OsStr::to_str);
        let Some(rest) = own.and_then(|own| own.strip_prefix(name)?.strip_prefix('.')) else { continue };
        let (stamp, form) = match (rest.strip_suffix(PART), rest.strip_suffix(COMPRESSED)) {
            (Some(stamp), _) => (stamp, Form::Part),
            (_, Some(stamp)) => (stamp, Form::Compressed),
            _ => (rest, Form::Plain),
        };
        if is_stamp(stamp) {
            files.push(RotatedFile { stamp: stamp.to_owned(), path: path.clone(), form });
        }
    }
    files.sort_by(|one, other| (&one.stamp, one.form).cmp(&(&other.stamp, other.form)));
    Ok(files)
}

/// Formats an instant without `:`, which some file systems do not allow in names.
pub(crate) fn stamp_of(at: Timestamp) -> String {
    at.to_string().replace(':', "-")
}

pub(crate) fn instant_of(stamp: &str) -> Option<Timestamp> {
    let (date, time) = stamp.split_once('T')?;
    let at: jiff::Timestamp = format!("{date}T{}", time.replace('-', ":")).parse().ok()?;
    let since = Duration::from_micros(u64::try_from(at.as_microsecond()).ok()?);
    Some(Timestamp::from_unix(0).plus(since))
}

/// Whether a text has the form of a stamp.
pub(crate) fn is_stamp(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00-00-00.000000Z";
    text.len() == FORM.len()
        && text
            .bytes()
            .zip(FORM)
            .all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form })
}

/// Makes the name of a new file durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
