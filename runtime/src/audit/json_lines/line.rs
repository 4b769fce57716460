//! An event as a line: the same bytes that serde_json makes of it, at a fraction of the time. A name is
//! written with its quotes and colon in one piece, what the token says is there already, what the recorder
//! has looked through is copied, and the rest goes through serde_json.

mod digits;

use std::{borrow::Cow, net::IpAddr};

use serde::Serialize;
use uuid::Uuid;

use self::digits::{hyphenated, put, six};
use crate::{
    audit::{AuditEvent, Decision},
    clock::Timestamp,
    policy::Endpoint,
};

/// How every line of a usual second begins; id and time are filled in.
const HEAD: [u8; 81] =
    *br#"{"id":"00000000-0000-0000-0000-000000000000","time":"0000-00-00T00:00:00.000000Z""#;
const ID: usize = 7;
const SECOND: usize = 53;
const MICROS: usize = SECOND + 20;

/// Writes the lines of a thread; keeps what the last ones had in common.
pub(super) struct Lines {
    second: Option<i64>,
    head: [u8; HEAD.len()],
    endpoints: [Option<Named>; ENDPOINTS],
}

/// Handlers whose names are kept as they are written.
const ENDPOINTS: usize = 8;

/// By the addresses of texts that are there as long as the program.
struct Named {
    module: &'static str,
    function: &'static str,
    written: Box<[u8]>,
}

impl Default for Lines {
    fn default() -> Self {
        Self { second: None, head: HEAD, endpoints: Default::default() }
    }
}

impl Lines {
    #[inline]
    pub(super) fn add(&mut self, line: &mut Vec<u8>, event: &AuditEvent<'_>) -> serde_json::Result<()> {
        self.begin(line, event.id, event.time);
        if (event.decision, event.status) == (Decision::Allow, 200) {
            line.extend_from_slice(br#","decision":"allow","status":200"#);
        } else {
            refused(line, event)?;
        }
        if let Some(endpoint) = event.endpoint {
            self.endpoint(line, endpoint)?;
        }
        let is_bare = event.prepared.is_bare();
        text(line, br#","http.request.method":""#, &event.method, is_bare)?;
        text(line, br#","http.route":""#, &event.route, is_bare)?;
        text(line, br#","url.path":""#, &event.path, is_bare)?;
        match event.prepared.members() {
            Some(members) => {
                line.push(b',');
                line.extend_from_slice(members.as_bytes());
            }
            None => said(line, event)?,
        }
        if let Some(address) = event.client_address {
            client(line, address)?;
        }
        text(line, br#","trace_id":""#, &event.trace_id, is_bare)?;
        line.extend_from_slice(br#","duration_us":"#);
        serde_json::to_writer(&mut *line, &event.duration_us)?;
        if event.unverified_service.is_some() {
            text(line, br#","unverified.service":""#, &event.unverified_service, false)?;
        }
        line.extend_from_slice(b"}\n");
        Ok(())
    }

    /// All instants of a second are written alike, but for the microseconds.
    fn begin(&mut self, line: &mut Vec<u8>, id: Uuid, time: Timestamp) {
        if self.second != Some(time.unix()) && !self.begin_second(time) {
            return begin_in_words(line, id, time);
        }
        put(&mut self.head, ID, hyphenated(id.as_u128()));
        put(&mut self.head, MICROS, six(time.subsec_nanos() / 1_000));
        line.extend_from_slice(&self.head);
    }

    /// `false` in a year that RFC 3339 does not have.
    #[cold]
    fn begin_second(&mut self, time: Timestamp) -> bool {
        let text = Timestamp::from_unix(time.unix()).to_string();
        self.second = None;
        if let Some(second) =
            text.strip_suffix("000000Z").and_then(|text| text.as_bytes().first_chunk::<20>())
        {
            put(&mut self.head, SECOND, *second);
            self.second = Some(time.unix());
        }
        self.second.is_some()
    }

    fn endpoint(&mut self, line: &mut Vec<u8>, endpoint: Endpoint) -> serde_json::Result<()> {
        let (module, function) = (endpoint.module_path(), endpoint.function());
        // Functions of one module stand one behind another, and texts are seldom shorter than this.
        let place = (function.as_ptr() as usize / 8 + module.as_ptr() as usize / 8) % ENDPOINTS;
        let Some(place) = self.endpoints.get_mut(place) else { return Ok(()) };
        match place {
            Some(named) if same(named.module, module) && same(named.function, function) => {
                line.extend_from_slice(&named.written);
                Ok(())
            }
            place => {
                let mut written = br#","endpoint":"#.to_vec();
                serde_json::to_writer(&mut written, &endpoint)?;
                line.extend_from_slice(&written);
                *place = Some(Named { module, function, written: written.into() });
                Ok(())
            }
        }
    }
}

/// Whether two texts that never change are one, without a look at them.
fn same(a: &'static str, b: &'static str) -> bool {
    std::ptr::eq(a, b)
}

#[cold]
fn begin_in_words(line: &mut Vec<u8>, id: Uuid, time: Timestamp) {
    line.extend_from_slice(br#"{"id":""#);
    line.extend_from_slice(&hyphenated(id.as_u128()));
    line.extend_from_slice(br#"","time":""#);
    line.extend_from_slice(time.to_string().as_bytes());
    line.push(b'"');
}

#[cold]
fn refused(line: &mut Vec<u8>, event: &AuditEvent<'_>) -> serde_json::Result<()> {
    value(line, br#","decision":"#, &event.decision)?;
    value(line, br#","status":"#, &event.status)?;
    if let Some(code) = event.code {
        value(line, br#","code":"#, &code)?;
    }
    if let Some(stage) = event.stage {
        value(line, br#","stage":"#, &stage)?;
    }
    text(line, br#","reason":""#, &event.reason, false)
}

/// What is of the token where it was not joined.
fn said(line: &mut Vec<u8>, event: &AuditEvent<'_>) -> serde_json::Result<()> {
    text(line, br#","service":""#, &event.service, false)?;
    text(line, br#","user.id":""#, &event.user, false)?;
    text(line, br#","jti":""#, &event.jti, false)?;
    text(line, br#","kid":""#, &event.kid, false)?;
    text(line, br#","issuer":""#, &event.issuer, false)?;
    match event.profile {
        Some(profile) => value(line, br#","profile":"#, &profile),
        None => Ok(()),
    }
}

fn client(line: &mut Vec<u8>, address: IpAddr) -> serde_json::Result<()> {
    value(line, br#","client.address":"#, &address)
}

fn value(line: &mut Vec<u8>, name: &[u8], value: &impl Serialize) -> serde_json::Result<()> {
    line.extend_from_slice(name);
    serde_json::to_writer(line, value)
}

/// A name ends with the quote before its text. Inlined, so that the length of a name is known.
#[inline(always)]
fn text(
    line: &mut Vec<u8>,
    name: &[u8],
    text: &Option<Cow<'_, str>>,
    is_bare: bool,
) -> serde_json::Result<()> {
    let Some(text) = text else { return Ok(()) };
    line.extend_from_slice(name);
    if is_bare {
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
        return Ok(());
    }
    escaped(line, text)
}

#[inline(never)]
fn escaped(line: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    // serde_json writes that quote itself.
    line.pop();
    serde_json::to_writer(line, text)
}

#[cfg(test)]
mod tests;
