//! Where the writer's lines go: a file that is found again by its path (`file`), or anything else that is `Write`.

use std::io::{self, Write};

/// Takes whole lines from the writer.
pub(crate) trait Output {
    /// Writes whole lines. Where an earlier failure cut a line, that line is ended first.
    ///
    /// While the other end takes nothing, `stalled` is called again and again: it rests for a moment, and says
    /// whether to give up.
    fn append(&mut self, lines: &[u8], stalled: &mut dyn FnMut() -> bool) -> Result<(), Unwritten>;

    /// Makes sure that what is written arrives where the settings say, and opens it again if not. Called before
    /// lines are written, and at intervals while there are none if it [watches](Self::is_watched).
    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether `check` can find anything.
    fn is_watched(&self) -> bool {
        false
    }

    /// After a failed write: whether the next one would succeed, as far as this can be found out without a record.
    fn has_recovered(&mut self) -> bool {
        false
    }
}

/// Lines that were not written, or not all of them.
pub(crate) struct Unwritten {
    /// How many bytes of the lines were written before the failure.
    pub(crate) written: usize,
    pub(crate) error: io::Error,
}

/// Any writer. What it took before a failure is not known, so all of the lines count as lost.
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
