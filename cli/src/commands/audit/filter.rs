//! Which records `search` and `tail` show, and how.

use anstyle::{AnsiColor, Style};
use clap::Args;
use service_only::error::Code;
use service_only_evidence::read::Record;

use crate::escape;
use crate::instant::Instant;
use crate::output::Format;

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
    #[arg(long, value_name = "JTI")]
    jti: Option<String>,
    /// Only records of this trace
    #[arg(long, value_name = "TRACE")]
    trace: Option<String>,
    /// Only records of this client address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Only refusals
    #[arg(long, conflicts_with = "allow")]
    deny: bool,
    /// Only admitted calls
    #[arg(long)]
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
    let alike =
        known().max_by(|a, b| strsim::jaro_winkler(a, text).total_cmp(&strsim::jaro_winkler(b, text)));
    Err(format!("no refusal has this code; did you mean `{}`?", alike.unwrap_or_default()))
}

impl Filter {
    pub(super) fn admits(&self, record: &Record<'_>) -> bool {
        let equals = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let at = |Instant(instant): Instant| instant.unix().saturating_mul(1_000_000);
        let is_endpoint = self.endpoint.as_deref().is_none_or(|wanted| {
            record.endpoint.as_deref().is_some_and(|found| {
                found.strip_suffix(wanted).is_some_and(|before| before.is_empty() || before.ends_with("::"))
            })
        });
        let is_token = self
            .jti
            .as_deref()
            .is_none_or(|wanted| record.jti.as_deref().is_some_and(|found| found.starts_with(wanted)));
        is_endpoint
            && is_token
            && equals(&self.service, record.service.as_deref())
            && equals(&self.code, record.code.as_deref())
            && equals(&self.trace, record.trace_id.as_deref())
            && equals(&self.address, record.client_address.as_deref())
            && (!self.deny || !record.is_allowed())
            && (!self.allow || record.is_allowed())
            && self.since.is_none_or(|since| record.micros() >= at(since))
            && self.until.is_none_or(|until| record.micros() < at(until))
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
    let plain = escape::one_line;
    format!(
        "{faint}{}{faint:#} {style}{decision} {}{style:#} {} {}{} {faint}{}{faint:#}",
        plain(&record.time),
        record.status,
        plain(&who),
        plain(endpoint),
        plain(&reason),
        plain(&record.id),
    )
}
