//! A record as it waits for the writer: one piece of memory of a known size, so that to hand it over is
//! to copy it, without an allocation and without a lock.

use std::{mem, net::IpAddr};

use uuid::Uuid;

use crate::{
    audit::{AuditEvent, Decision},
    clock::Timestamp,
    denial::{Code, Stage},
};

/// Room for the texts of a usual request: a path and its template, what the token says, a trace. With it
/// a record takes six lines of a processor's cache. Longer ones are boxed, which is the one allocation
/// that a record may cost.
const INLINE: usize = 272;

/// What [`AuditEvent`] borrows, by value.
pub(super) struct Record {
    pub(super) id: Uuid,
    pub(super) time: Timestamp,
    pub(super) duration_us: u64,
    /// The module and the function.
    pub(super) endpoint: Option<(&'static str, &'static str)>,
    pub(super) client_address: Option<IpAddr>,
    pub(super) decision: Decision,
    pub(super) status: u16,
    pub(super) code: Option<Code>,
    pub(super) stage: Option<Stage>,
    texts: Place,
}

#[expect(clippy::large_enum_variant, reason = "to be large is what it is for")]
enum Place {
    Inline([u8; INLINE]),
    Boxed(Box<[u8]>),
}

/// A text that a record may have.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Text {
    Reason = 1,
    Method,
    Route,
    Path,
    /// The next six, as members of a JSON object.
    Said,
    Service,
    User,
    Jti,
    Kid,
    Issuer,
    Profile,
    Trace,
    UnverifiedService,
}

/// Before each text stands which it is, and its length. Where none does there is a zero, or the end.
const HEAD: usize = 5;

impl Record {
    #[inline]
    pub(super) fn new(event: &AuditEvent<'_>) -> Self {
        let mut record = Self {
            id: event.id,
            time: event.time,
            duration_us: event.duration_us,
            endpoint: event.endpoint.map(|endpoint| (endpoint.module_path(), endpoint.function())),
            client_address: event.client_address,
            decision: event.decision,
            status: event.status,
            code: event.code,
            stage: event.stage,
            texts: Place::Inline([0; INLINE]),
        };
        // Filled where it stands: to move it would cost more.
        let filled = match &mut record.texts {
            Place::Inline(bytes) => fill(bytes, event),
            Place::Boxed(_) => None,
        };
        if filled.is_none() {
            record.texts = Place::Boxed(boxed(event));
        }
        record
    }

    pub(super) fn texts(&self) -> Texts<'_> {
        match &self.texts {
            Place::Inline(bytes) => Texts(bytes),
            Place::Boxed(bytes) => Texts(bytes),
        }
    }
}

/// The texts of a record, to be asked for in their order.
pub(super) struct Texts<'r>(&'r [u8]);

impl<'r> Texts<'r> {
    /// The next one, if it is this.
    pub(super) fn next(&mut self, wanted: Text) -> Option<&'r [u8]> {
        let (&[text, a, b, c, d], rest) = self.0.split_first_chunk::<HEAD>()?;
        if text != wanted as u8 {
            return None;
        }
        let (text, rest) = rest.split_at_checked(u32::from_ne_bytes([a, b, c, d]) as usize)?;
        self.0 = rest;
        Some(text)
    }
}

/// Nothing when there is no room for all.
fn fill(bytes: &mut [u8], event: &AuditEvent<'_>) -> Option<()> {
    let mut place = bytes;
    each(event, |text, written| {
        let head;
        (head, place) = mem::take(&mut place).split_first_chunk_mut::<HEAD>()?;
        let [a, b, c, d] = u32::try_from(written.len()).ok()?.to_ne_bytes();
        *head = [text as u8, a, b, c, d];
        let to;
        (to, place) = mem::take(&mut place).split_at_mut_checked(written.len())?;
        to.copy_from_slice(written.as_bytes());
        Some(())
    })
}

#[cold]
fn boxed(event: &AuditEvent<'_>) -> Box<[u8]> {
    let mut length = 0;
    each(event, |_, written| {
        length += HEAD + written.len();
        Some(())
    });
    let mut bytes = vec![0; length].into_boxed_slice();
    // It has room for all, and four GiB are no text.
    let _ = fill(&mut bytes, event);
    bytes
}

/// The texts that there are, in the order of [`Text`]; until `with` has enough.
#[inline]
fn each(event: &AuditEvent<'_>, mut with: impl FnMut(Text, &str) -> Option<()>) -> Option<()> {
    let mut take = |text, written: Option<&str>| written.map_or(Some(()), |written| with(text, written));
    take(Text::Reason, event.reason.as_deref())?;
    take(Text::Method, event.method.as_deref())?;
    take(Text::Route, event.route.as_deref())?;
    take(Text::Path, event.path.as_deref())?;
    match event.said.members() {
        Some(members) => take(Text::Said, Some(members))?,
        None => {
            take(Text::Service, event.service.as_deref())?;
            take(Text::User, event.user.as_deref())?;
            take(Text::Jti, event.jti.as_deref())?;
            take(Text::Kid, event.kid.as_deref())?;
            take(Text::Issuer, event.issuer.as_deref())?;
            take(Text::Profile, event.profile)?;
        }
    }
    take(Text::Trace, event.trace_id.as_deref())?;
    take(Text::UnverifiedService, event.unverified_service.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::json_lines::tests::event;

    #[test]
    fn a_record_gives_back_its_texts_wherever_they_are_kept() {
        let fixed = "orders".len() + 2 * HEAD;
        for length in [0, 1, INLINE - fixed, INLINE - fixed + 1, 10_000] {
            let path = "x".repeat(length);
            let record = Record::new(&event(&path));
            let mut texts = record.texts();
            assert_eq!(texts.next(Text::Service), None, "out of order");
            assert_eq!(texts.next(Text::Path), Some(path.as_bytes()), "{length}");
            assert_eq!(texts.next(Text::Service), Some(b"orders".as_slice()), "{length}");
            assert_eq!(texts.next(Text::UnverifiedService), None, "{length}");
            assert_eq!(matches!(record.texts, Place::Inline(_)), length <= INLINE - fixed, "{length}");
        }
    }

    #[test]
    fn a_record_and_its_place_in_the_queue_take_six_lines_of_cache() {
        assert!(size_of::<Record>() + size_of::<usize>() <= 384, "{}", size_of::<Record>());
    }
}
