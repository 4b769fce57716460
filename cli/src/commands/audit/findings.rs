//! Writes findings, and leaves out those that a person has accepted.

use clap::Args;
use serde_json::{Value, json};
use service_only_evidence::findings::Finding;

use super::csv;
use super::files::ReportFormat;
use crate::exit::Exit;
use crate::output::{self, Cell, Table};
use crate::problem::Outcome;
use crate::store;

/// Findings that are known.
#[derive(Args, Debug)]
pub(super) struct Accepted {
    /// Leave out the finding with this id; repeatable
    #[arg(long, value_name = "ID")]
    accept: Vec<String>,
}

impl Accepted {
    /// The findings that are not accepted. An id that matches nothing is named, because it may be mistyped or obsolete.
    pub(super) fn filter(&self, findings: Vec<Finding>) -> Vec<Finding> {
        for id in self.accept.iter().filter(|id| findings.iter().all(|found| found.id != **id)) {
            output::note(&format!("no finding has the accepted id `{id}`"));
        }
        findings.into_iter().filter(|found| !self.accept.contains(&found.id)).collect()
    }
}

/// Writes a report. The exit code is 1 if it has findings.
pub(super) fn write(findings: &[Finding], report: Value, format: ReportFormat) -> Outcome<Exit> {
    match format {
        ReportFormat::Json => {
            let mut report = report;
            if let Some(members) = report.as_object_mut() {
                members.insert("findings".to_owned(), json!(findings));
            }
            output::json(&report)?;
        }
        ReportFormat::Csv => {
            let mut text = String::new();
            csv::row(&mut text, ["id", "rule", "service", "endpoint", "subject", "since", "text"]);
            for found in findings {
                let optional = |text: &Option<String>| text.clone().unwrap_or_default();
                let cells = [
                    found.id.clone(),
                    found.rule.to_string(),
                    optional(&found.service),
                    optional(&found.endpoint),
                    optional(&found.subject),
                    optional(&found.since),
                    found.text.clone(),
                ];
                csv::row(&mut text, cells.iter().map(String::as_str));
            }
            output::result_bytes(text.as_bytes())?;
        }
        ReportFormat::Text if findings.is_empty() => {}
        ReportFormat::Text => {
            let mut table = Table::new(["id", "finding"]);
            for found in findings {
                table.row([Cell::word(&found.id), Cell::text(&found.text)]);
            }
            table.print(store::now())?;
        }
    }
    Ok(if findings.is_empty() { Exit::Done } else { Exit::Found })
}
