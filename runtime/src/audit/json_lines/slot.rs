//! The lines of one thread that the writer has not taken yet.
//!
//! Each thread has its own slot, so that no request waits for another one. The writer holds the slot's lock
//! only while it swaps an empty page for a full one.

use std::{mem, sync::Mutex};

use super::line::Lines;
use crate::{audit::AuditError, threads::locked};

/// A second of naps: after so many without a record the thread sleeps, and after so many without a
/// loss the losses are over.
pub(crate) const QUIET: u32 = 200;

/// The size of a page in bytes: about a hundred and sixty lines of usual length.
pub(crate) const PAGE: usize = 64 * 1024;

/// If a page has less room than this, the next line begins a new page, so that few pages grow.
const ROOM: usize = 1024;

/// How many written pages are kept for reuse: a mebibyte.
const SPARE: usize = 16;

/// Complete lines, one after another.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) lines: Vec<u8>,
    pub(crate) records: usize,
}

/// Written pages that can be filled again.
#[derive(Default)]
pub(crate) struct Pages(Mutex<Vec<Vec<u8>>>);

/// The pages of one thread.
#[derive(Default)]
pub(crate) struct Slot(Mutex<Filling>);

#[derive(Default)]
struct Filling {
    page: Page,
    full: Vec<Page>,
    lines: Lines,
    /// How often in a row the writer found nothing here.
    quiet: u32,
}

impl Slot {
    /// Adds a line. Only the slot's thread and the writer ever take the lock.
    #[inline]
    pub(crate) fn add(
        &self,
        pages: &Pages,
        write: impl FnOnce(&mut Lines, &mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Result<(), AuditError> {
        let Filling { page, full, lines, .. } = &mut *locked(&self.0);
        // Compare with the standard size of a page, not with its grown size: long lines must not make it grow
        // repeatedly.
        if page.lines.capacity().min(PAGE).saturating_sub(page.lines.len()) < ROOM {
            turn(page, full, pages);
        }
        let start = page.lines.len();
        match write(lines, &mut page.lines) {
            Ok(()) => {
                page.records += 1;
                Ok(())
            }
            Err(error) => {
                page.lines.truncate(start);
                Err(AuditError::new(format!("the record is not JSON: {error}")))
            }
        }
    }

    /// Formats a line that does not go to a page.
    pub(crate) fn line(
        &self,
        write: impl FnOnce(&mut Lines, &mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Result<Vec<u8>, AuditError> {
        let mut line = Vec::with_capacity(ROOM);
        let written = write(&mut locked(&self.0).lines, &mut line);
        written.map_err(|error| AuditError::new(format!("the record cannot be written as JSON: {error}")))?;
        Ok(line)
    }

    /// Takes all lines, in the order in which they were added, and leaves `spare` to be filled. A thread that records
    /// nothing for a while loses its page, whatever the other threads do.
    pub(crate) fn take(&self, spare: &mut Page) -> impl Iterator<Item = Page> + use<> {
        let mut filling = locked(&self.0);
        filling.quiet = if filling.page.records > 0 { 0 } else { filling.quiet.saturating_add(1) };
        if filling.quiet == QUIET {
            filling.page = Page::default();
        }
        let full = mem::take(&mut filling.full);
        let last = (filling.page.records > 0).then(|| mem::replace(&mut filling.page, mem::take(spare)));
        full.into_iter().chain(last)
    }

    /// Frees the memory of a thread that records nothing.
    pub(crate) fn shrink(&self) {
        let mut filling = locked(&self.0);
        if filling.page.records == 0 {
            filling.page = Page::default();
        }
    }
}

#[cold]
fn turn(page: &mut Page, full: &mut Vec<Page>, pages: &Pages) {
    let last = mem::replace(page, pages.empty());
    if last.records > 0 {
        full.push(last);
    }
}

impl Pages {
    pub(crate) fn empty(&self) -> Page {
        let lines = locked(&self.0).pop().unwrap_or_else(|| Vec::with_capacity(PAGE));
        Page { lines, records: 0 }
    }

    pub(crate) fn keep(&self, mut page: Page) {
        page.lines.clear();
        let mut pages = locked(&self.0);
        // A page that grew is not kept: long lines are rare.
        if (PAGE..2 * PAGE).contains(&page.lines.capacity()) && pages.len() < SPARE {
            pages.push(page.lines);
        }
    }

    pub(crate) fn shrink(&self) {
        *locked(&self.0) = Vec::new();
    }
}

#[cfg(test)]
mod tests;
