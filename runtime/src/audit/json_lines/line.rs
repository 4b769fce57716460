//! Writes a record as a line of JSON. The bytes are the same as serde_json's for
//! [`AuditRecord`](crate::audit::AuditRecord), in a fraction of the time. Member names are written with their
//! quotes and colon in one piece. The members of a caller and of a route are cached. Only a text that needs an
//! escape goes through serde_json.

mod digits;
mod head;
mod route_cache;

use std::net::IpAddr;

use serde::Serialize;

use self::{head::Head, route_cache::RouteCache};
use crate::audit::{AuditEvent, Decision, needs_no_escape};

const ALLOWED: &[u8; 32] = br#","decision":"allow","status":200"#;

/// Writes the lines of one thread, with its caches.
#[derive(Default)]
pub(crate) struct Lines {
    head: Head,
    routes: RouteCache,
}

impl Lines {
    #[inline]
    pub(crate) fn add(&mut self, line: &mut Vec<u8>, event: &AuditEvent<'_>) -> serde_json::Result<()> {
        let Some(caller) = event.compact() else { return self.add_any(line, event) };
        match self.routes.find(event) {
            Some(route) if self.head.is_of(event.time) => {
                line.extend_from_slice(self.head.with(event.id, event.time));
                line.extend_from_slice(ALLOWED);
                line.extend_from_slice(route);
                add_compact(line, event, caller)
            }
            route => {
                let is_cached = route.is_some();
                self.add_any(line, event)?;
                if !is_cached {
                    self.routes.insert(event, |written| route_members(written, event))?;
                }
                Ok(())
            }
        }
    }

    fn add_any(&mut self, line: &mut Vec<u8>, event: &AuditEvent<'_>) -> serde_json::Result<()> {
        self.head.add(line, event.id, event.time);
        if event.decision() == Decision::Allow {
            line.extend_from_slice(ALLOWED);
        } else {
            value(line, br#","decision":"#, &event.decision())?;
            value(line, br#","status":"#, &event.status())?;
        }
        if let Some(code) = event.code() {
            value(line, br#","code":"#, &code)?;
        }
        if let Some(stage) = event.stage() {
            value(line, br#","stage":"#, &stage)?;
        }
        text(line, br#","reason":""#, event.reason())?;
        route_members(line, event)?;
        text(line, br#","url.path":""#, event.path().as_deref())?;
        text(line, br#","service":""#, event.service())?;
        text(line, br#","user.id":""#, event.user().as_deref())?;
        text(line, br#","actor":""#, event.actor().as_deref())?;
        text(line, br#","jti":""#, event.jti().as_deref())?;
        text(line, br#","kid":""#, event.kid().as_deref())?;
        text(line, br#","issuer":""#, event.issuer().as_deref())?;
        text(line, br#","profile":""#, event.profile())?;
        text(line, br#","proof":""#, event.proof())?;
        text(line, br#","peer":""#, event.peer().as_deref())?;
        client(line, event.client_address())?;
        text(line, br#","trace_id":""#, event.trace_id())?;
        value(line, br#","duration_us":"#, &event.duration_us())?;
        text(line, br#","unverified.service":""#, event.unverified_service())?;
        line.extend_from_slice(b"}\n");
        Ok(())
    }
}

/// Writes the members after the route, for an event whose texts need no escape.
#[inline]
fn add_compact(line: &mut Vec<u8>, event: &AuditEvent<'_>, caller: &str) -> serde_json::Result<()> {
    if let Some(path) = event.request.path {
        plain(line, br#","url.path":""#, path);
    }
    line.extend_from_slice(caller.as_bytes());
    if let Some(peer) = event.request.peer {
        plain(line, br#","peer":""#, peer);
    }
    client(line, event.client_address())?;
    if let Some(trace_id) = event.trace_id() {
        plain(line, br#","trace_id":""#, trace_id);
    }
    line.extend_from_slice(br#","duration_us":"#);
    match u8::try_from(event.duration_us()) {
        Ok(digit @ 0..=9) => line.push(b'0' + digit),
        _ => serde_json::to_writer(&mut *line, &event.duration_us())?,
    }
    line.extend_from_slice(b"}\n");
    Ok(())
}

/// Writes the handler, the digest of its policy, the method and the template of the route.
fn route_members(line: &mut Vec<u8>, event: &AuditEvent<'_>) -> serde_json::Result<()> {
    if let Some(endpoint) = event.endpoint() {
        value(line, br#","endpoint":"#, &endpoint)?;
    }
    if let Some(digest) = event.policy_digest() {
        value(line, br#","policy_digest":"#, &digest)?;
    }
    text(line, br#","http.request.method":""#, event.method().as_deref())?;
    text(line, br#","http.route":""#, event.route().as_deref())
}

fn client(line: &mut Vec<u8>, address: Option<IpAddr>) -> serde_json::Result<()> {
    address.map_or(Ok(()), |address| value(line, br#","client.address":"#, &address))
}

fn value(line: &mut Vec<u8>, name: &[u8], value: &impl Serialize) -> serde_json::Result<()> {
    line.extend_from_slice(name);
    serde_json::to_writer(line, value)
}

/// Writes a text member. `name` ends with the opening quote of the text.
fn text(line: &mut Vec<u8>, name: &[u8], text: Option<&str>) -> serde_json::Result<()> {
    match text {
        None => Ok(()),
        Some(text) if needs_no_escape(text.as_bytes()) => {
            plain(line, name, text);
            Ok(())
        }
        Some(text) => {
            line.extend_from_slice(name);
            // serde_json writes that quote as well.
            line.pop();
            serde_json::to_writer(line, text)
        }
    }
}

/// Inlined, so that the compiler knows the length of a name.
#[inline(always)]
fn plain(line: &mut Vec<u8>, name: &[u8], text: &str) {
    line.extend_from_slice(name);
    line.extend_from_slice(text.as_bytes());
    line.push(b'"');
}

#[cfg(test)]
mod tests;
