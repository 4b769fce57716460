//! Which records `search` and `tail` show, and how.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anstyle::{AnsiColor, Style};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use service_only::error::Code;
use service_only_evidence::read::Record;

use crate::escape;
use crate::instant::Instant;
use crate::known;
use crate::output::Format;
use crate::problem::{Outcome, Problem, ProblemCode};

/// The conditions of the command line. A record has to meet all of them.
#[derive(Args, Debug, Default)]
pub(super) struct Filter {
    /// Only records of this authenticated service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only records of this handler, or of handlers whose path ends with it
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Option<String>,
    /// Only refusals with this code
    #[arg(long, value_name = "CODE", value_parser = code)]
    code: Option<String>,
    /// Only records of the token with this `jti`, or with this beginning
    #[arg(long, value_name = "JTI", value_parser = NonEmptyStringValueParser::new())]
    jti: Option<String>,
    /// Only records of this trace: its id, or the `traceparent` of a request
    #[arg(long, value_name = "TRACE", value_parser = trace)]
    trace: Option<String>,
    /// Only records of this client address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// Only refusals
    #[arg(long, conflicts_with = "allow")]
    deny: bool,
    /// Only admitted calls
    #[arg(long, conflicts_with = "code")]
    allow: bool,
    /// Only records from this time on
    #[arg(long, value_name = "TIME")]
    since: Option<Instant>,
    /// Only records before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Instant>,
}

/// Parses the code of a refusal. No record has another one, so a mistyped code would find nothing.
fn code(text: &str) -> Result<String, String> {
    let known = || Code::ALL.iter().map(|code| code.as_str());
    if known().any(|code| code == text) {
        return Ok(text.to_owned());
    }
    let (_, nearest) = known::nearest(text, known()).unwrap_or_default();
    Err(format!("no refusal has this code; did you mean `{nearest}`?"))
}

impl Filter {
    pub(super) fn admits(&self, record: &Record<'_>) -> bool {
        let equals = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let at = |Instant(instant): Instant| instant.unix().saturating_mul(1_000_000);
        let is_from = |wanted: IpAddr| {
            let found = record.client_address.as_deref().and_then(|found| found.parse::<IpAddr>().ok());
            found.is_some_and(|found| found.to_canonical() == wanted.to_canonical())
        };
        self.is_of_endpoint(record)
            && self.is_of_token(record)
            && equals(&self.service, record.service.as_deref())
            && equals(&self.code, record.code.as_deref())
            && equals(&self.trace, record.trace_id.as_deref())
            && self.address.is_none_or(is_from)
            && (!self.deny || !record.is_allowed())
            && (!self.allow || record.is_allowed())
            && self.since.is_none_or(|since| record.micros() >= at(since))
            && self.until.is_none_or(|until| record.micros() < at(until))
    }

    fn is_of_endpoint(&self, record: &Record<'_>) -> bool {
        self.endpoint.as_deref().is_none_or(|wanted| {
            record.endpoint.as_deref().is_some_and(|found| {
                found.strip_suffix(wanted).is_some_and(|before| before.is_empty() || before.ends_with("::"))
            })
        })
    }

    fn is_of_token(&self, record: &Record<'_>) -> bool {
        let begins = |wanted: &str| record.jti.as_deref().is_some_and(|found| found.starts_with(wanted));
        self.jti.as_deref().is_none_or(begins)
    }

    /// Refuses a time that ends before it begins.
    pub(super) fn check(&self) -> Outcome<()> {
        match (self.since, self.until) {
            (Some(Instant(since)), Some(Instant(until))) if since >= until => {
                Err(Problem::usage("`--since` is not before `--until`, so no record is between them"))
            }
            _ => Ok(()),
        }
    }
}

/// A trace id has 32 digits (W3C Trace Context section 3.2.2.3). The header has them in its second part.
fn trace(text: &str) -> Result<String, String> {
    let id = text.split('-').nth(1).unwrap_or(text);
    match id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(id.to_ascii_lowercase()),
        false => Err(format!("`{text}` is not the id of a trace, which has 32 hexadecimal digits")),
    }
}

/// The maximum number of names of which one is proposed for a mistyped one.
const MOST_NAMES: usize = 1_000;

/// Which of the filter's names occur in the records at all. A name that occurs nowhere is mistyped, or the file is the
/// wrong one.
#[derive(Default)]
pub(super) struct Names {
    services: BTreeSet<String>,
    endpoints: BTreeSet<String>,
    has_service: bool,
    has_endpoint: bool,
    has_token: bool,
}

impl Names {
    pub(super) fn meet(&mut self, filter: &Filter, record: &Record<'_>) {
        let meet = |names: &mut BTreeSet<String>, name: Option<&str>| match name {
            Some(name) if names.len() < MOST_NAMES && !names.contains(name) => {
                names.insert(name.to_owned());
            }
            _ => {}
        };
        let (service, endpoint) = (record.service.as_deref(), record.endpoint.as_deref());
        if filter.service.is_some() && !self.has_service {
            self.has_service = service == filter.service.as_deref();
            meet(&mut self.services, service);
        }
        if filter.endpoint.is_some() && !self.has_endpoint {
            self.has_endpoint = filter.is_of_endpoint(record);
            meet(&mut self.endpoints, endpoint);
        }
        self.has_token = self.has_token || filter.is_of_token(record);
    }

    /// Refuses a name that no record has.
    pub(super) fn check(&self, filter: &Filter) -> Outcome<()> {
        let check = |what: &str, name: &Option<String>, occurs: bool, names: &BTreeSet<String>| match name {
            Some(name) if !occurs => {
                let reason = format!("no record that was read is of the {what} `{name}`");
                Err(known::unknown(reason, name, names.iter().map(String::as_str)))
            }
            _ => Ok(()),
        };
        check("service", &filter.service, self.has_service, &self.services)?;
        check("handler", &filter.endpoint, self.has_endpoint, &self.endpoints)?;
        match &filter.jti {
            Some(jti) if !self.has_token => {
                let reason = format!("no record that was read is of the token `{jti}`");
                Err(Problem::new(ProblemCode::NotFound, reason)
                    .help("check the name; a rotated file may have its records"))
            }
            _ => Ok(()),
        }
    }
}

/// One record as a line. JSON is the line of the file, byte for byte.
pub(super) fn line(record: &Record<'_>, bytes: &[u8], format: Format) -> String {
    if format == Format::Json {
        return escape::one_line(&String::from_utf8_lossy(bytes));
    }
    let (decision, style) = match record.is_allowed() {
        true => ("allow", AnsiColor::Green.on_default()),
        false => ("deny ", AnsiColor::Red.on_default().bold()),
    };
    let faint = Style::new().dimmed();
    let who = match (&record.service, &record.unverified_service, &record.user) {
        (Some(service), ..) => service.clone().into_owned(),
        (None, Some(claimed), _) => format!("unverified:{claimed}"),
        (None, None, Some(user)) => format!("user:{user}"),
        (None, None, None) => "-".to_owned(),
    };
    let endpoint = record.endpoint.as_deref().or(record.route.as_deref()).unwrap_or("-");
    let reason = match (&record.code, &record.reason) {
        (Some(code), Some(reason)) => format!(" {code}: {reason}"),
        (Some(code), None) => format!(" {code}"),
        _ => String::new(),
    };
    let sender = match (&record.proof, &record.peer) {
        (Some(proof), Some(peer)) => format!(" ({proof}, {peer})"),
        (Some(one), None) | (None, Some(one)) => format!(" ({one})"),
        (None, None) => String::new(),
    };
    let plain = escape::one_line;
    format!(
        "{faint}{}{faint:#} {style}{decision} {}{style:#} {}{} {}{} {faint}{}{faint:#}",
        plain(&record.time),
        record.status,
        plain(&who),
        plain(&sender),
        plain(endpoint),
        plain(&reason),
        plain(&record.id),
    )
}
