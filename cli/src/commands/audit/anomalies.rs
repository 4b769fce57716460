//! `service-token anomalies`: what is unusual since an instant.

use clap::{Args, ValueEnum};
use serde_json::json;
use service_only_evidence::anomalies::AnomalyRules;
use service_only_evidence::survey::Survey;

use super::files::{self, AuditFiles, ReportFormat};
use super::findings::{self, Accepted};
use crate::exit::Exit;
use crate::instant::Instant;
use crate::output;
use crate::problem::{Outcome, Problem};

const EXAMPLES: &str = "\
Rules:
  new-pair             a service called an endpoint for the first time
  two-networks         one token from two networks within ten minutes, one of them rare for this token or new
  two-keys             two keys verified the same `jti`
  new-network          a token from a network that no token of its service came from before
  refusal-burst        at least 20 refusals in five minutes, and ten times the median of that caller and code
  used-after-rotation  a replaced token was used again, after an hour without calls
  gap                  a log without records for 15 minutes, and ten times as long as usual

A network is a /24 of IPv4 or a /64 of IPv6.

Exit codes: 0 nothing is unusual, 1 something is, 2 usage, or no record is in that time.
The format `prometheus` has exit code 0.

Examples:
  service-token anomalies audit.jsonl*
  service-token anomalies --since 2026-01-31T12:00:00Z logs/*/audit.jsonl* --format json
  service-token anomalies audit.jsonl* --format prometheus > audit.prom.new && mv audit.prom.new audit.prom";

/// Find what is unusual, by rules that you can check; exit code 1 if there is anything
///
/// Compares the records since an instant with those before it. Each finding names its rule, and its id
/// is the same in each run.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AnomaliesOptions {
    #[command(flatten)]
    files: AuditFiles,
    /// Start of the time that is compared with the time before
    /// [default: the last quarter of the records, at most the last day]
    #[arg(long, value_name = "TIME")]
    since: Option<Instant>,
    #[command(flatten)]
    accepted: Accepted,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: AnomaliesFormat,
}

/// The format of the report, which can also be metrics.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, ValueEnum)]
enum AnomaliesFormat {
    /// A table for people.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// For the textfile collector of Prometheus' node_exporter.
    Prometheus,
}

impl AnomaliesFormat {
    /// The format of a report that is not metrics; `None` for metrics.
    fn report(self) -> Option<ReportFormat> {
        match self {
            Self::Text => Some(ReportFormat::Text),
            Self::Json => Some(ReportFormat::Json),
            Self::Csv => Some(ReportFormat::Csv),
            Self::Prometheus => None,
        }
    }
}

pub(crate) fn run(options: &AnomaliesOptions) -> Outcome<Exit> {
    let mut survey = Survey::new();
    let done = options.files.read(&mut survey)?;
    let since = options.since.map(|Instant(since)| since.unix().saturating_mul(1_000_000));
    let mut anomalies = survey.anomalies(&AnomalyRules { since, ..AnomalyRules::default() });
    let Some(format) = options.format.report() else {
        anomalies.findings = options.accepted.filter(anomalies.findings);
        output::metrics(&anomalies.exposition(&survey, &done))?;
        return Ok(Exit::Done);
    };
    let last = survey.span().map(|(_, last)| last);
    if last.is_none_or(|last| since.is_some_and(|since| last < since)) {
        let what =
            if last.is_none() { "the files have no records" } else { "no record is as new as `--since`" };
        return Err(Problem::usage(format!("{what}, so nothing was compared"))
            .help("name the files with the records of that time, also the rotated ones"));
    }
    if anomalies.since == anomalies.compared_from {
        output::warning(
            "the files have no earlier records, so the rules that compare with the past found nothing; pass an earlier file too",
        );
    } else {
        let (since, from) = (&anomalies.since, &anomalies.compared_from);
        output::note(&format!("records since {since} are compared with those from {from} on"));
    }
    anomalies.findings = options.accepted.filter(anomalies.findings);
    let report = json!({
        "read": files::summary(&done), "since": anomalies.since, "compared_from": anomalies.compared_from,
    });
    if anomalies.findings.is_empty() {
        output::note("nothing is unusual");
    }
    findings::write(&anomalies.findings, report, format)
}
