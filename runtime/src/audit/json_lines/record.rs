//! A record as it waits for the writer: one piece of memory of a known size, so that to hand it over is
//! to copy it, without an allocation and without a lock.

use std::{borrow::Cow, net::IpAddr, ops::Range};

use uuid::Uuid;

use crate::{
    audit::{AuditEvent, Decision},
    clock::Timestamp,
    denial::{Code, Stage},
    policy::Endpoint,
};

/// Room for the texts of a usual request: a path and its template, four names, a `jti`, a trace. With it
/// a record takes half a KiB. Longer ones are boxed, which is the one allocation that a record may cost.
const INLINE: usize = 320;

/// Texts that a record may have.
const TEXTS: usize = 11;

/// What [`AuditEvent`] borrows, by value.
pub(super) struct Record {
    id: Uuid,
    time: Timestamp,
    duration_us: u64,
    endpoint: Option<Endpoint>,
    profile: Option<&'static str>,
    client_address: Option<IpAddr>,
    decision: Decision,
    status: u16,
    code: Option<Code>,
    stage: Option<Stage>,
    /// Where each text ends; [`ABSENT`] for one that is not there.
    ends: [u32; TEXTS],
    texts: Texts,
}

#[expect(clippy::large_enum_variant, reason = "to be large is what it is for")]
enum Texts {
    Inline([u8; INLINE]),
    Boxed(Box<[u8]>),
}

const ABSENT: u32 = u32::MAX;

impl Record {
    pub(super) fn new(event: &AuditEvent<'_>) -> Self {
        let texts = texts(event);
        let length = texts.iter().flatten().map(|text| text.len()).sum();
        let mut ends = [ABSENT; TEXTS];
        let texts = if length <= INLINE {
            let mut inline = [0; INLINE];
            fill(&mut inline, &texts, &mut ends);
            Texts::Inline(inline)
        } else {
            let mut boxed = vec![0; length];
            fill(&mut boxed, &texts, &mut ends);
            Texts::Boxed(boxed.into_boxed_slice())
        };
        Self {
            id: event.id,
            time: event.time,
            duration_us: event.duration_us,
            endpoint: event.endpoint,
            profile: event.profile,
            client_address: event.client_address,
            decision: event.decision,
            status: event.status,
            code: event.code,
            stage: event.stage,
            ends,
            texts,
        }
    }

    /// The event again, borrowed from here.
    pub(super) fn event(&self) -> AuditEvent<'_> {
        let bytes = match &self.texts {
            Texts::Inline(bytes) => bytes.as_slice(),
            Texts::Boxed(bytes) => bytes,
        };
        let mut start = 0;
        let mut ends = self.ends.iter();
        let mut next = || {
            let end = *ends.next().filter(|end| **end != ABSENT)? as usize;
            let text = bytes.get(Range { start, end }).map(String::from_utf8_lossy);
            start = end;
            text
        };
        AuditEvent {
            reason: next(),
            method: next(),
            route: next(),
            path: next(),
            service: next(),
            user: next(),
            jti: next(),
            kid: next(),
            issuer: next(),
            trace_id: next(),
            unverified_service: next(),
            id: self.id,
            time: self.time,
            decision: self.decision,
            status: self.status,
            code: self.code,
            stage: self.stage,
            endpoint: self.endpoint,
            profile: self.profile,
            client_address: self.client_address,
            duration_us: self.duration_us,
        }
    }
}

/// The texts, in the order in which [`Record::event`] reads them.
fn texts<'e>(event: &'e AuditEvent<'_>) -> [Option<&'e str>; TEXTS] {
    let texts: [&Option<Cow<'_, str>>; TEXTS] = [
        &event.reason,
        &event.method,
        &event.route,
        &event.path,
        &event.service,
        &event.user,
        &event.jti,
        &event.kid,
        &event.issuer,
        &event.trace_id,
        &event.unverified_service,
    ];
    texts.map(Option::as_deref)
}

fn fill(bytes: &mut [u8], texts: &[Option<&str>; TEXTS], ends: &mut [u32; TEXTS]) {
    let mut at = 0;
    for (text, end) in texts.iter().zip(ends) {
        let Some(text) = text else { continue };
        let to = at + text.len();
        // The bytes have room for all of them, and four GiB are no record.
        if let (Some(place), Ok(to)) = (bytes.get_mut(at..to), u32::try_from(to)) {
            place.copy_from_slice(text.as_bytes());
            *end = to;
        }
        at = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: &str) -> AuditEvent<'_> {
        AuditEvent {
            id: Uuid::nil(),
            time: Timestamp::from_unix(7),
            decision: Decision::Deny,
            status: 401,
            code: Some(Code::Expired),
            stage: Some(Stage::Claims),
            reason: Some("expired".into()),
            endpoint: Some(Endpoint::new("a", "b", "c", 1)),
            method: Some("GET".into()),
            route: None,
            path: Some(path.into()),
            service: Some("orders".into()),
            user: None,
            jti: Some("".into()),
            kid: Some("k\u{e9}".into()),
            issuer: None,
            profile: Some("strict"),
            client_address: Some([127, 0, 0, 1].into()),
            trace_id: None,
            duration_us: 7,
            unverified_service: Some("last".into()),
        }
    }

    #[test]
    fn a_record_gives_back_the_event_that_it_was_made_of() {
        let fixed = event("").reason.iter().map(|text| text.len()).sum::<usize>() + 3 + 6 + 3 + 4;
        for length in [0, 1, INLINE - fixed, INLINE - fixed + 1, 10_000] {
            let path = "x".repeat(length);
            let record = Record::new(&event(&path));
            assert_eq!(record.event(), event(&path), "{length}");
            assert_eq!(matches!(record.texts, Texts::Inline(_)), length <= INLINE - fixed, "{length}");
        }
    }

    #[test]
    fn a_record_takes_half_a_kib() {
        assert!(size_of::<Record>() <= 512, "{}", size_of::<Record>());
    }
}
