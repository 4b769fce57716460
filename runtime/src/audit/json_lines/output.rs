//! The output of the writer: a file that is found again by its path (`file`), or any other `Write`.

use std::io::{self, Write};

/// Receives whole lines from the writer.
pub(crate) trait Output {
    /// Writes whole lines. If an earlier failure cut a line, that line is ended first.
    ///
    /// While the other end takes no data, `stalled` is called repeatedly. It rests for a moment, and returns
    /// whether to give up.
    fn append(&mut self, lines: &[u8], stalled: &mut dyn FnMut() -> bool) -> Result<(), Unwritten>;

    /// Checks that the output still leads to the configured place, and opens it again if not. It is called before
    /// lines are written. If the output [is watched](Self::is_watched), it is also called at intervals while idle.
    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether `check` can detect a change.
    fn is_watched(&self) -> bool {
        false
    }

    /// Whether the next write after a failed one would succeed, as far as this is known without writing a record.
    fn has_recovered(&mut self) -> bool {
        false
    }

    /// Is called at each round of the writer, with the number of records lost so far.
    fn tick(&mut self, _lost: u64) {}

    /// Is called once, after the last lines.
    fn finish(&mut self, _lost: u64) {}
}

/// The error for lines that were not written completely.
pub(crate) struct Unwritten {
    /// How many bytes of the lines were written before the failure.
    pub(crate) written: usize,
    pub(crate) error: io::Error,
}

/// Any other writer. It is unknown what it wrote before a failure, so all of the lines count as lost.
pub(crate) struct Plain<W> {
    out: W,
    torn: bool,
}

impl<W> Plain<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, torn: false }
    }
}

impl<W: Write> Output for Plain<W> {
    fn append(&mut self, lines: &[u8], _: &mut dyn FnMut() -> bool) -> Result<(), Unwritten> {
        let line_end: &[u8] = if self.torn && !lines.is_empty() { b"\n" } else { b"" };
        let written = self.out.write_all(line_end).and_then(|()| self.out.write_all(lines));
        match written.and_then(|()| self.out.flush()) {
            Ok(()) => {
                self.torn &= lines.is_empty();
                Ok(())
            }
            Err(error) => {
                self.torn = true;
                Err(Unwritten { written: 0, error })
            }
        }
    }
}
