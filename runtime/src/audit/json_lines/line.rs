//! A record as a line: the same bytes that serde_json makes of its [`AuditEvent`], at a fraction of the time. A
//! name is written with its quotes and colon in one piece, and what a caller's and a route's records have in
//! common is there already. Only what needs an escape goes through serde_json.

mod digits;
mod head;
mod kept;

use std::net::IpAddr;

use serde::Serialize;

use self::{head::Head, kept::KeptRoutes};
use crate::{
    audit::{AuditEvent, Decision, is_bare},
    recorder::{Draft, Usual},
};

const ALLOWED: &[u8; 32] = br#","decision":"allow","status":200"#;

/// Writes the lines of a thread; keeps what the last ones had in common.
#[derive(Default)]
pub(super) struct Lines {
    head: Head,
    routes: KeptRoutes,
}

impl Lines {
    /// Writes an event, whoever made it.
    pub(super) fn add(&mut self, line: &mut Vec<u8>, event: &AuditEvent<'_>) -> serde_json::Result<()> {
        self.head.add(line, event.id, event.time);
        if (event.decision, event.status) == (Decision::Allow, 200) {
            line.extend_from_slice(ALLOWED);
        } else {
            value(line, br#","decision":"#, &event.decision)?;
            value(line, br#","status":"#, &event.status)?;
        }
        if let Some(code) = event.code {
            value(line, br#","code":"#, &code)?;
        }
        if let Some(stage) = event.stage {
            value(line, br#","stage":"#, &stage)?;
        }
        text(line, br#","reason":""#, event.reason.as_deref())?;
        route(line, event)?;
        text(line, br#","url.path":""#, event.path.as_deref())?;
        text(line, br#","service":""#, event.service.as_deref())?;
        text(line, br#","user.id":""#, event.user.as_deref())?;
        text(line, br#","jti":""#, event.jti.as_deref())?;
        text(line, br#","kid":""#, event.kid.as_deref())?;
        text(line, br#","issuer":""#, event.issuer.as_deref())?;
        text(line, br#","profile":""#, event.profile)?;
        client(line, event.client_address)?;
        text(line, br#","trace_id":""#, event.trace_id.as_deref())?;
        value(line, br#","duration_us":"#, &event.duration_us)?;
        text(line, br#","unverified.service":""#, event.unverified_service.as_deref())?;
        line.extend_from_slice(b"}\n");
        Ok(())
    }

    /// Writes what the event of a draft would be written as; nearly always without making one.
    #[inline]
    pub(super) fn add_draft(&mut self, line: &mut Vec<u8>, draft: &Draft<'_>) -> serde_json::Result<()> {
        let Some(usual) = draft.usual() else { return self.add(line, &draft.event()) };
        match self.routes.find(&usual) {
            Some(kept) if self.head.is_of(draft.time) => {
                line.extend_from_slice(self.head.with(draft.id, draft.time));
                line.extend_from_slice(ALLOWED);
                line.extend_from_slice(kept);
                add_usual(line, &usual)
            }
            kept => {
                let is_kept = kept.is_some();
                let event = draft.event();
                self.add(line, &event)?;
                if !is_kept {
                    self.routes.keep(&usual, |written| route(written, &event))?;
                }
                Ok(())
            }
        }
    }
}

/// Behind the route: what is printable ASCII, or of the token.
#[inline]
fn add_usual(line: &mut Vec<u8>, usual: &Usual<'_>) -> serde_json::Result<()> {
    if let Some(path) = usual.request.path {
        bare(line, br#","url.path":""#, path);
    }
    line.extend_from_slice(usual.said.as_bytes());
    client(line, usual.request.client_address)?;
    if let Some(trace) = usual.request.trace {
        bare(line, br#","trace_id":""#, trace.trace_id);
    }
    line.extend_from_slice(br#","duration_us":"#);
    match u8::try_from(usual.duration_us) {
        Ok(digit @ 0..=9) => line.push(b'0' + digit),
        _ => serde_json::to_writer(&mut *line, &usual.duration_us)?,
    }
    line.extend_from_slice(b"}\n");
    Ok(())
}

/// What stands before the path.
fn route(line: &mut Vec<u8>, event: &AuditEvent<'_>) -> serde_json::Result<()> {
    if let Some(endpoint) = event.endpoint {
        value(line, br#","endpoint":"#, &endpoint)?;
    }
    text(line, br#","http.request.method":""#, event.method.as_deref())?;
    text(line, br#","http.route":""#, event.route.as_deref())
}

fn client(line: &mut Vec<u8>, address: Option<IpAddr>) -> serde_json::Result<()> {
    address.map_or(Ok(()), |address| value(line, br#","client.address":"#, &address))
}

fn value(line: &mut Vec<u8>, name: &[u8], value: &impl Serialize) -> serde_json::Result<()> {
    line.extend_from_slice(name);
    serde_json::to_writer(line, value)
}

/// A name ends with the quote before its text.
fn text(line: &mut Vec<u8>, name: &[u8], text: Option<&str>) -> serde_json::Result<()> {
    match text {
        None => Ok(()),
        Some(text) if is_bare(text.as_bytes()) => {
            bare(line, name, text);
            Ok(())
        }
        Some(text) => {
            line.extend_from_slice(name);
            // serde_json writes that quote itself.
            line.pop();
            serde_json::to_writer(line, text)
        }
    }
}

/// Inlined, so that the length of a name is known.
#[inline(always)]
fn bare(line: &mut Vec<u8>, name: &[u8], text: &str) {
    line.extend_from_slice(name);
    line.extend_from_slice(text.as_bytes());
    line.push(b'"');
}

#[cfg(test)]
mod tests;
