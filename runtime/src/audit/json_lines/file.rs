//! A log file that follows its path: if the file was renamed, deleted or replaced, the path is opened
//! again. A FIFO, a terminal or a device is opened and written without blocking.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::{
    observe::LogObserver,
    output::{Output, Unwritten},
    rotate::{self, Rotated, Rotation},
    rotated::sync_folder,
    tidy::Tidier,
};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    file_identity::FileIdentity,
};

/// How many bytes of one write a pipe takes without mixing them with those of other processes (POSIX: 512 at least;
/// Linux and macOS keep 4,096 and 512).
const PIPE_WHOLE: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

/// A full disk counts as usable again when it has this much free space.
#[cfg(unix)]
const FREE_SPACE: u64 = 1 << 20;

/// How log files are created and written.
#[derive(Debug, Clone)]
pub(crate) struct FileSettings {
    /// The permissions of a new file.
    #[cfg_attr(not(unix), allow(dead_code, reason = "permissions are those of Unix"))]
    pub(crate) mode: u32,
    /// Whether each write is followed by `fdatasync`.
    pub(crate) sync: bool,
    pub(crate) rotation: Rotation,
}

pub(crate) struct LogFile {
    path: PathBuf,
    settings: FileSettings,
    open: Opened,
    tidier: Tidier,
    /// Whether the last rotation failed, which was logged.
    rotation_fails: bool,
    observer: Option<Box<dyn LogObserver>>,
}

struct Opened {
    file: File,
    kind: Kind,
    identity: FileIdentity,
    /// When the file was created, or opened if the file system does not store the time of creation.
    since: Timestamp,
    /// Whether the last line of the file is incomplete.
    torn: bool,
    /// Whether the last write found the disk or the user's quota full.
    full: bool,
    /// What was written and not yet shown to the observer; `None` without an observer.
    unobserved: Option<Vec<u8>>,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Kind {
    Regular,
    Fifo,
    /// A terminal or a device.
    Other,
}

impl LogFile {
    pub(crate) fn open(path: &Path, settings: FileSettings) -> io::Result<Self> {
        // Make the path absolute, so that the program may change its working directory.
        let path = std::path::absolute(path)?;
        let open = Opened::open(&path, &settings)?;
        let tidier = Tidier::default();
        if settings.rotation.is_on() {
            tidier.start(&fs::canonicalize(&path).unwrap_or_else(|_| path.clone()), &settings.rotation);
        }
        Ok(Self { path, settings, open, tidier, rotation_fails: false, observer: None })
    }

    /// Shows everything that is written from now on to an observer.
    pub(crate) fn observed_by(mut self, mut observer: Box<dyn LogObserver>) -> io::Result<Self> {
        if self.open.kind != Kind::Regular {
            let text = format!("`{}` is not a regular file, so it cannot be sealed", self.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        observer.opened(&self.open.file);
        self.open.unobserved = Some(Vec::new());
        self.observer = Some(observer);
        Ok(self)
    }

    fn observe(&mut self) {
        let (Some(observer), Some(bytes)) = (&mut self.observer, &mut self.open.unobserved) else { return };
        if !bytes.is_empty() {
            observer.written(bytes);
            bytes.clear();
        }
    }

    /// Rotates the file before `more` bytes are added, if it is due. If that fails, the old file is written to.
    fn rotate_if_due(&mut self, more: usize) {
        let is_due = self.settings.rotation.is_on()
            && self
                .open
                .file
                .metadata()
                .is_ok_and(|file| self.settings.rotation.is_due(file.len(), self.open.since, more));
        if !is_due {
            return;
        }
        match self.rotate() {
            Ok(()) => self.rotation_fails = false,
            Err(error) if !self.rotation_fails => {
                self.rotation_fails = true;
                let path = self.path.display();
                tracing::error!(target: "service_only::audit", %error, %path, "the audit log cannot be rotated");
            }
            Err(_) => {}
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let is_ours =
            || fs::metadata(&self.path).is_ok_and(|there| FileIdentity::of(&there) == self.open.identity);
        // If the path is a symbolic link, the file is renamed and the link stays.
        let path = match fs::canonicalize(&self.path) {
            Ok(path) => path,
            // Another process has renamed the file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        match rotate::rename(&path, &self.open.file, is_ours)? {
            Rotated::ByAnother => return Ok(()),
            Rotated::Renamed(renamed) => self.reopen().inspect_err(|_| {
                // The old file stays the log. If another process has created a new file in between, that is the log.
                if !path.exists() {
                    let _ = fs::rename(renamed, &path);
                }
            })?,
        }
        if self.settings.sync {
            sync_folder(&path)?;
        }
        self.tidier.start(&path, &self.settings.rotation);
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.open = Opened::open(&self.path, &self.settings)?;
        if let Some(observer) = &mut self.observer {
            observer.opened(&self.open.file);
            self.open.unobserved = Some(Vec::new());
        }
        Ok(())
    }

    fn append_lines(&mut self, lines: &[u8], stalled: &mut dyn FnMut() -> bool) -> Result<(), Unwritten> {
        self.rotate_if_due(lines.len());
        if let Err(Unwritten { written, error }) = self.open.append(lines, stalled) {
            // Requests whose lines come before the cut are admitted, so these lines must be kept like any others.
            let is_synced = || !self.settings.sync || self.open.file.sync_data().is_ok();
            let is_kept = written > 0 && !self.open.was_deleted() && is_synced();
            return Err(Unwritten { written: if is_kept { written } else { 0 }, error });
        }
        if self.open.was_deleted() {
            let deleted = self.open.identity;
            let unwritten = |error| Unwritten { written: 0, error };
            self.reopen().map_err(unwritten)?;
            if self.open.identity != deleted {
                self.open.append(lines, stalled)?;
            }
        }
        if self.settings.sync && !lines.is_empty() {
            self.open.file.sync_data().map_err(|error| Unwritten { written: 0, error })?;
        }
        Ok(())
    }
}

impl Output for LogFile {
    fn append(&mut self, lines: &[u8], stalled: &mut dyn FnMut() -> bool) -> Result<(), Unwritten> {
        let written = self.append_lines(lines, stalled);
        self.observe();
        written
    }

    fn check(&mut self) -> io::Result<()> {
        match fs::metadata(&self.path) {
            Ok(metadata) if FileIdentity::of(&metadata) == self.open.identity => {
                // The file was truncated in place, as by `copytruncate` of logrotate.
                self.open.torn &= metadata.len() > 0;
                self.rotate_if_due(0);
                Ok(())
            }
            _ => self.reopen(),
        }
    }

    fn is_watched(&self) -> bool {
        cfg!(unix)
    }

    fn has_recovered(&mut self) -> bool {
        match self.open.kind {
            // A single byte may fit although a record does not.
            #[cfg(unix)]
            Kind::Regular if self.open.full => self.open.has_space(),
            Kind::Fifo => self.reopen().is_ok(),
            Kind::Regular | Kind::Other => match (&self.open.file).write(b"\n") {
                Ok(written) => {
                    self.open.torn &= written == 0;
                    if let Some(unobserved) = self.open.unobserved.as_mut().filter(|_| written > 0) {
                        unobserved.push(b'\n');
                    }
                    self.observe();
                    written > 0
                }
                Err(_) => false,
            },
        }
    }

    fn tick(&mut self, lost: u64) {
        if let Some(observer) = &mut self.observer {
            observer.tick(lost);
        }
    }

    fn finish(&mut self, lost: u64) {
        if let Some(observer) = &mut self.observer {
            observer.finish(lost);
        }
    }
}

impl Opened {
    fn open(path: &Path, settings: &FileSettings) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        {
            use rustix::fs::OFlags;
            // `NONBLOCK`: opening a FIFO that no process reads would wait for a reader.
            let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, settings.mode);
            std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.cast_signed());
        }
        let is_new = !path.exists();
        let file = options.open(path).map_err(|error| explained(path, &error))?;
        let metadata = file.metadata()?;
        let kind = Kind::of(&metadata);
        if kind != Kind::Regular && (settings.sync || settings.rotation.is_on()) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "`{}` is not a regular file, so it can be neither synced nor rotated",
                    path.display()
                ),
            ));
        }
        if settings.sync && is_new {
            sync_folder(path)?;
        }
        let torn = kind == Kind::Regular && metadata.len() > 0 && ends_within_a_line(path);
        Ok(Self {
            file,
            kind,
            identity: FileIdentity::of(&metadata),
            since: created(&metadata).unwrap_or_else(|| SystemClock.now()),
            torn,
            full: false,
            unobserved: None,
        })
    }

    fn append(&mut self, lines: &[u8], stalled: &mut dyn FnMut() -> bool) -> Result<(), Unwritten> {
        let mut written = 0;
        if lines.is_empty() {
            return Ok(());
        }
        let ended = if self.torn { self.write(b"\n", stalled).map_err(|(_, error)| error) } else { Ok(()) };
        let result = ended.map_err(|error| (0, error)).and_then(|()| match self.kind {
            Kind::Regular => self.write(lines, stalled),
            Kind::Fifo | Kind::Other => whole_lines(lines, PIPE_WHOLE).try_for_each(|chunk| {
                self.write(chunk, stalled).map_err(|(part, error)| (written + part, error))?;
                written += chunk.len();
                Ok(())
            }),
        });
        result.map_err(|(written, error)| {
            self.full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            Unwritten { written, error }
        })?;
        self.full = false;
        Ok(())
    }

    /// Writes all bytes, or returns how many were written.
    fn write(&mut self, bytes: &[u8], stalled: &mut dyn FnMut() -> bool) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match (&self.file).write(rest) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(more) => {
                    if let Some(unobserved) = &mut self.unobserved {
                        unobserved.extend_from_slice(rest.get(..more).unwrap_or_default());
                    }
                    written += more;
                    self.torn = bytes.get(written - 1) != Some(&b'\n');
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if stalled() {
                        return Err((written, stalled_reader()));
                    }
                }
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }

    /// Whether the disk has space again, and the user's quota too: only a reservation checks the quota.
    #[cfg(unix)]
    fn has_space(&self) -> bool {
        let is_free = rustix::fs::fstatvfs(&self.file)
            .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= FREE_SPACE);
        #[cfg(target_os = "linux")]
        {
            use rustix::{fs::FallocateFlags, io::Errno};
            let Ok(end) = self.file.metadata().map(|file| file.len()) else { return false };
            let reserved = || rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, end, FREE_SPACE);
            // File systems that cannot reserve space report different errors, so only a full disk counts.
            is_free && !matches!(reserved(), Err(Errno::NOSPC | Errno::DQUOT | Errno::INTR))
        }
        #[cfg(not(target_os = "linux"))]
        is_free
    }

    /// Whether the open file was deleted, so that no process can read what is written to it.
    fn was_deleted(&self) -> bool {
        #[cfg(unix)]
        if self.kind == Kind::Regular {
            use std::os::unix::fs::MetadataExt;
            return self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
        }
        false
    }
}

fn created(metadata: &Metadata) -> Option<Timestamp> {
    let since_epoch = metadata.created().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_unix(0).plus(since_epoch))
}

fn stalled_reader() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the reader of the audit log does not read")
}

impl Kind {
    fn of(metadata: &Metadata) -> Self {
        if metadata.is_file() {
            return Self::Regular;
        }
        #[cfg(unix)]
        if std::os::unix::fs::FileTypeExt::is_fifo(&metadata.file_type()) {
            return Self::Fifo;
        }
        Self::Other
    }
}

/// Splits lines into groups of whole lines of at most `limit` bytes; a longer line forms a group alone.
fn whole_lines(lines: &[u8], limit: usize) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        let line_end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n');
        let end = match rest.get(..limit).and_then(line_end) {
            _ if rest.len() <= limit => rest.len(),
            Some(last) => last + 1,
            None => rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |first| first + 1),
        };
        let (chunk, others) = rest.split_at_checked(end)?;
        rest = others;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// Whether a file that is not empty ends within a line, because a process was killed or a disk was full.
fn ends_within_a_line(path: &Path) -> bool {
    let last_byte = || -> io::Result<[u8; 1]> {
        let mut file = File::open(path)?;
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        Ok(last)
    };
    // If the file must not be read, its end is unknown. An empty line does no harm.
    !last_byte().is_ok_and(|last| last == *b"\n")
}

/// Builds an error that names the path, the kind of file there, and the next step.
fn explained(path: &Path, error: &io::Error) -> io::Error {
    let shown = path.display();
    let text = match error.kind() {
        _ if is_without_reader(error) => match kind_of_special(path) {
            Some("FIFO") => format!("no process reads the FIFO `{shown}`; start its reader first"),
            Some(kind) => format!(
                "`{shown}` is a {kind}, which cannot be opened as a file; pass an open connection, or \
                 `std::io::stdout()`, to `to_writer`"
            ),
            None => format!("`{shown}` cannot be opened: {error}"),
        },
        io::ErrorKind::IsADirectory => format!("`{shown}` is a directory; name a file in it"),
        io::ErrorKind::NotFound => format!("`{shown}` cannot be created: its folder does not exist"),
        io::ErrorKind::PermissionDenied => {
            format!(
                "`{shown}` cannot be opened for appending: {error}; check the owner and mode of the file and its folders"
            )
        }
        _ => format!("`{shown}` cannot be opened for appending: {error}"),
    };
    io::Error::new(error.kind(), text)
}

fn is_without_reader(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error());
    #[cfg(not(unix))]
    return false;
}

fn kind_of_special(path: &Path) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = fs::metadata(path).ok()?.file_type();
        if kind.is_fifo() {
            return Some("FIFO");
        }
        if kind.is_socket() {
            return Some("socket");
        }
    }
    None
}

#[cfg(test)]
mod tests;
