//! Compresses the old files of a rotated log, and deletes the oldest if there are too many. They are found by name.
//!
//! A compressed file replaces the original only after it is complete and on the disk, so an interrupted run
//! loses nothing. The next run deletes the partial file and starts again.

use std::{
    fs, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

#[cfg(feature = "compress")]
use super::rotated::Form;
use super::{rotate::Rotation, rotated::rotated_files};

/// Compresses and deletes files in the background, one run at a time.
#[derive(Default)]
pub(crate) struct Tidier {
    is_running: Arc<AtomicBool>,
    again: Arc<AtomicBool>,
}

impl Tidier {
    pub(crate) fn start(&self, log: &Path, rotation: &Rotation) {
        if rotation.keep.is_none() && !rotation.compress {
            return;
        }
        self.again.store(true, Ordering::SeqCst);
        if self.is_running.swap(true, Ordering::SeqCst) {
            return;
        }
        let (log, rotation) = (log.to_owned(), rotation.clone());
        let (is_running, again) = (Arc::clone(&self.is_running), Arc::clone(&self.again));
        let run = move || {
            loop {
                while again.swap(false, Ordering::SeqCst) {
                    if let Err(error) = tidy(&log, &rotation) {
                        tracing::error!(
                            target: "service_only::audit", %error, log = %log.display(),
                            "old audit logs were not compressed or deleted"
                        );
                    }
                }
                is_running.store(false, Ordering::SeqCst);
                // A start that was requested in between relies on this run.
                if !again.load(Ordering::SeqCst) || is_running.swap(true, Ordering::SeqCst) {
                    return;
                }
            }
        };
        let started = thread::Builder::new().name("service-only-tidy".to_owned()).spawn(run);
        if let Err(error) = started {
            self.is_running.store(false, Ordering::SeqCst);
            tracing::error!(target: "service_only::audit", %error, "old audit logs are not compressed or deleted");
        }
    }
}

fn tidy(log: &Path, rotation: &Rotation) -> io::Result<()> {
    if let Some(keep) = rotation.keep {
        delete_all_but(log, keep)?;
    }
    #[cfg(feature = "compress")]
    if rotation.compress {
        for file in rotated_files(log)? {
            if file.form == Form::Plain {
                compress::compress(&file.path)?;
            }
        }
    }
    Ok(())
}

fn delete_all_but(log: &Path, keep: usize) -> io::Result<()> {
    let files = rotated_files(log)?;
    let mut stamps: Vec<_> = files.iter().map(|file| file.stamp.clone()).collect();
    stamps.dedup();
    let Some(oldest_kept) = stamps.len().checked_sub(keep).and_then(|first| stamps.get(first)) else {
        return Ok(());
    };
    for file in files.iter().filter(|file| file.stamp < *oldest_kept) {
        match fs::remove_file(&file.path) {
            // Another process deleted the file first.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(())
}

#[cfg(feature = "compress")]
mod compress {
    use std::{
        fs::{self, File, OpenOptions, TryLockError},
        io,
        path::Path,
    };

    use flate2::{Compression, write::GzEncoder};

    use crate::audit::json_lines::rotated::{COMPRESSED, PART, sync_folder};

    /// Replaces a file with its compressed form.
    pub(crate) fn compress(path: &Path) -> io::Result<()> {
        let source = match File::open(path) {
            // Another process has compressed or deleted it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            source => source?,
        };
        if matches!(source.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(());
        }
        let with = |ending: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            name
        };
        let part = with(PART);
        let compressed = write_compressed(&source, part.as_ref())?;
        fs::rename(&part, with(COMPRESSED))?;
        sync_folder(path)?;
        // Another process may have written to the file until it noticed the rotation: then the next run starts again.
        if source.metadata()?.len() == compressed { fs::remove_file(path) } else { Ok(()) }
    }

    /// Compresses the source, and returns how many of its bytes were compressed.
    fn write_compressed(mut source: &File, part: &Path) -> io::Result<u64> {
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut encoder = GzEncoder::new(options.open(part)?, Compression::default());
        let length = io::copy(&mut source, &mut encoder)?;
        let file = encoder.finish()?;
        file.set_permissions(source.metadata()?.permissions())?;
        file.sync_all()?;
        Ok(length)
    }
}
