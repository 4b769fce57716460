//! The lines of one thread that the writer has not taken yet.
//!
//! Each thread has a place of its own, so that no request waits for another one. The writer holds its lock
//! for as long as it takes to put an empty page where a full one was.

use std::{mem, sync::Mutex};

use super::line::Lines;
use crate::{audit::AuditError, threads::locked};

/// A second of naps: how long none may bring a record before the thread sleeps, and how long none may
/// bring a loss before losses are called over.
pub(crate) const QUIET: u32 = 200;

/// What a page holds: some hundred and sixty lines of usual length.
pub(crate) const PAGE: usize = 64 * 1024;

/// With less room than this the next line begins a new page, so that few pages grow.
const ROOM: usize = 1024;

/// Pages that are kept for later when they were written: a mebibyte.
const SPARE: usize = 16;

/// Whole lines, one behind another.
#[derive(Default)]
pub(crate) struct Page {
    pub(crate) lines: Vec<u8>,
    pub(crate) records: usize,
}

/// Pages that were written and can be filled again.
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
    /// How often the writer found nothing here, running.
    quiet: u32,
}

impl Slot {
    /// Adds a line. The lock is only ever held by its thread and by the writer.
    #[inline]
    pub(crate) fn add(
        &self,
        pages: &Pages,
        write: impl FnOnce(&mut Lines, &mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Result<(), AuditError> {
        let Filling { page, full, lines, .. } = &mut *locked(&self.0);
        // By what a page holds, and not by what one has grown to: long lines must not make it grow again and again.
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
                Err(AuditError::new(format!("the record is no JSON: {error}")))
            }
        }
    }

    /// Writes a line that does not go to a page.
    pub(crate) fn line(
        &self,
        write: impl FnOnce(&mut Lines, &mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Result<Vec<u8>, AuditError> {
        let mut line = Vec::with_capacity(ROOM);
        let written = write(&mut locked(&self.0).lines, &mut line);
        written.map_err(|error| AuditError::new(format!("the record cannot be written as JSON: {error}")))?;
        Ok(line)
    }

    /// Takes all lines, in the order in which they came, and leaves `spare` to be filled. A thread that records
    /// nothing for a while gives its page back, whatever the others do.
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

    /// Gives the memory back of a thread that records nothing.
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
        // One that grew is not kept: a long line is rare.
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
