//! Shows another crate what is in a log file, byte for byte. Only `service-only-evidence` uses it.

use std::fs::File;

/// Sees the bytes of a log after they are in the file. It is called on the writer's thread, never on that of a request.
pub trait LogObserver: Send {
    /// A file was opened: at the start, after a rotation, or because the log was moved or deleted. What is written from
    /// now on is in this file.
    fn opened(&mut self, file: &File);

    /// These bytes were appended to the file. They may end within a line.
    fn written(&mut self, bytes: &[u8]);

    /// Is called every few milliseconds while records arrive, and every 400 ms while none do. `lost` is the number of
    /// records that were lost so far.
    fn tick(&mut self, lost: u64);

    /// Is called once, after the last record.
    fn finish(&mut self, lost: u64);
}
