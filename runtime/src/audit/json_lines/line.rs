//! A record as a line: the same bytes that serde_json makes of its [`AuditEvent`](crate::AuditEvent), at a
//! fraction of the time. A name is written with its quotes and colon in one piece, what the token says is
//! there already, and what is neither goes through serde_json.

use std::fmt::Write as _;

use serde::Serialize;

use super::record::{Record, Text, Texts};
use crate::{audit::Decision, clock::Timestamp};

/// Writes lines; keeps the text of the second that it wrote last.
#[derive(Default)]
pub(super) struct Lines {
    second: Option<i64>,
    text: String,
}

impl Lines {
    pub(super) fn add(&mut self, line: &mut Vec<u8>, record: &Record) -> serde_json::Result<()> {
        let mut texts = record.texts();
        line.extend_from_slice(br#"{"id":""#);
        line.extend_from_slice(record.id.hyphenated().encode_lower(&mut [0; 36]).as_bytes());
        line.extend_from_slice(br#"","time":""#);
        self.add_time(line, record.time);
        if (record.decision, record.status) == (Decision::Allow, 200) {
            line.extend_from_slice(br#"","decision":"allow","status":200"#);
        } else {
            line.extend_from_slice(b"\"");
            value(line, br#","decision":"#, &record.decision)?;
            value(line, br#","status":"#, &record.status)?;
        }
        if let Some(code) = record.code {
            value(line, br#","code":"#, &code)?;
        }
        if let Some(stage) = record.stage {
            value(line, br#","stage":"#, &stage)?;
        }
        text(line, br#","reason":"#, &mut texts, Text::Reason)?;
        if let Some((module, function)) = record.endpoint {
            line.extend_from_slice(br#","endpoint":"#);
            endpoint(line, module, function)?;
        }
        text(line, br#","http.request.method":"#, &mut texts, Text::Method)?;
        text(line, br#","http.route":"#, &mut texts, Text::Route)?;
        text(line, br#","url.path":"#, &mut texts, Text::Path)?;
        if let Some(members) = texts.next(Text::Said) {
            line.push(b',');
            line.extend_from_slice(members);
        } else {
            text(line, br#","service":"#, &mut texts, Text::Service)?;
            text(line, br#","user.id":"#, &mut texts, Text::User)?;
            text(line, br#","jti":"#, &mut texts, Text::Jti)?;
            text(line, br#","kid":"#, &mut texts, Text::Kid)?;
            text(line, br#","issuer":"#, &mut texts, Text::Issuer)?;
            text(line, br#","profile":"#, &mut texts, Text::Profile)?;
        }
        if let Some(address) = record.client_address {
            value(line, br#","client.address":"#, &address)?;
        }
        text(line, br#","trace_id":"#, &mut texts, Text::Trace)?;
        value(line, br#","duration_us":"#, &record.duration_us)?;
        text(line, br#","unverified.service":"#, &mut texts, Text::UnverifiedService)?;
        line.push(b'}');
        Ok(())
    }

    /// All instants of a second are written alike, but for the microseconds.
    fn add_time(&mut self, line: &mut Vec<u8>, time: Timestamp) {
        if self.second != Some(time.unix()) {
            self.second = Some(time.unix());
            self.text.clear();
            // To write into a string does not fail.
            let _ = write!(self.text, "{}", Timestamp::from_unix(time.unix()));
        }
        match self.text.strip_suffix("000000Z") {
            Some(second) => {
                line.extend_from_slice(second.as_bytes());
                line.extend_from_slice(&digits(time.subsec_nanos() / 1_000));
                line.push(b'Z');
            }
            // A year that RFC 3339 does not have.
            None => line.extend_from_slice(time.to_string().as_bytes()),
        }
    }
}

fn digits(mut micros: u32) -> [u8; 6] {
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(micros % 10).unwrap_or(0);
        micros /= 10;
    }
    digits
}

fn value(line: &mut Vec<u8>, name: &[u8], value: &impl Serialize) -> serde_json::Result<()> {
    line.extend_from_slice(name);
    serde_json::to_writer(line, value)
}

fn text(line: &mut Vec<u8>, name: &[u8], texts: &mut Texts<'_>, wanted: Text) -> serde_json::Result<()> {
    match texts.next(wanted) {
        Some(text) => value(line, name, &String::from_utf8_lossy(text)),
        None => Ok(()),
    }
}

/// As `Display` joins them.
fn endpoint(line: &mut Vec<u8>, module: &str, function: &str) -> serde_json::Result<()> {
    if !module.is_empty() {
        serde_json::to_writer(&mut *line, module)?;
        // The one quote between.
        line.pop();
        line.extend_from_slice(b"::");
        let quote = line.len();
        serde_json::to_writer(&mut *line, function)?;
        line.remove(quote);
        return Ok(());
    }
    serde_json::to_writer(line, function)
}

#[cfg(test)]
mod tests;
