//! Prints the audit trail as a table, read back from its JSON lines: one row per kind of decision with its
//! count, or one row per decision.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use comfy_table::{Cell, CellAlignment, Color};
use serde::Deserialize;

use crate::terminal::Terminal;

/// The columns of one decision.
#[derive(Clone, Debug, Deserialize)]
pub struct Decision {
    time: String,
    decision: String,
    status: u16,
    code: Option<String>,
    endpoint: Option<String>,
    #[serde(rename = "http.request.method")]
    method: Option<String>,
    #[serde(rename = "url.path")]
    path: Option<String>,
    service: Option<String>,
    actor: Option<String>,
    #[serde(rename = "user.id")]
    user: Option<String>,
    #[serde(rename = "unverified.service")]
    unverified_service: Option<String>,
    duration_us: u64,
}

/// Which decisions share a row.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Those that differ only in time and path.
    Kinds,
    /// Each decision has its own row.
    Decisions,
}

/// Reads an audit log.
pub fn read(file: &Path) -> anyhow::Result<Vec<Decision>> {
    let open = File::open(file).with_context(|| format!("cannot read the audit log `{}`", file.display()))?;
    let mut decisions = Vec::new();
    for (number, line) in BufReader::new(open).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read the audit log `{}`", file.display()))?;
        let decision = serde_json::from_str(&line)
            .with_context(|| format!("`{}`, line {}: not an audit record", file.display(), number + 1))?;
        decisions.push(decision);
    }
    Ok(decisions)
}

/// Prints decisions in the order of the log.
pub fn print(decisions: &[Decision], rows: Rows, terminal: &mut Terminal) -> std::io::Result<()> {
    match rows {
        Rows::Kinds => kinds(decisions, terminal),
        Rows::Decisions => each(decisions, terminal),
    }
}

fn kinds(decisions: &[Decision], terminal: &mut Terminal) -> std::io::Result<()> {
    let mut kinds: Vec<(Vec<String>, &Decision, usize, u64)> = Vec::new();
    for decision in decisions {
        let row = decision.columns();
        match kinds.iter_mut().find(|(known, ..)| *known == row) {
            Some((_, _, count, slowest)) => {
                *count += 1;
                *slowest = decision.duration_us.max(*slowest);
            }
            None => kinds.push((row, decision, 1, decision.duration_us)),
        }
    }
    let mut table = terminal.table(&["decided by", "decision", "why", "caller", "times", "slowest"]);
    for (row, decision, count, slowest) in kinds {
        let mut cells = decision.cells(row);
        cells.push(Cell::new(format!("{count} ×")).set_alignment(CellAlignment::Right));
        cells.push(micros(slowest));
        table.add_row(cells);
    }
    terminal.print_table(&table)
}

fn each(decisions: &[Decision], terminal: &mut Terminal) -> std::io::Result<()> {
    let mut table = terminal.table(&["time", "decided by", "decision", "why", "caller", "request", "took"]);
    for decision in decisions {
        let mut cells = vec![Cell::new(&decision.time)];
        cells.extend(decision.cells(decision.columns()));
        let request = [decision.method.as_deref(), decision.path.as_deref()].into_iter().flatten();
        cells.push(Cell::new(request.collect::<Vec<_>>().join(" ")));
        cells.push(micros(decision.duration_us));
        table.add_row(cells);
    }
    terminal.print_table(&table)
}

impl Decision {
    fn columns(&self) -> Vec<String> {
        let (decided_by, caller) = (self.decided_by(), self.caller());
        let decision = format!("{} {}", self.decision, self.status);
        vec![decided_by, decision, self.code.clone().unwrap_or_default(), caller]
    }

    fn cells(&self, columns: Vec<String>) -> Vec<Cell> {
        let color = if self.decision == "allow" { Color::Green } else { Color::Red };
        let paint = |(index, text)| match index {
            1 => Cell::new(text).fg(color),
            _ => Cell::new(text),
        };
        columns.into_iter().enumerate().map(paint).collect()
    }

    /// The guarded function that decided, or the gateway, whose decisions have no function.
    fn decided_by(&self) -> String {
        let function = self.endpoint.as_deref().and_then(|endpoint| endpoint.rsplit("::").next());
        function.unwrap_or("gateway").to_owned()
    }

    /// An unverified name is in quotes.
    fn caller(&self) -> String {
        let caller = match (&self.service, &self.user, &self.unverified_service) {
            (Some(service), ..) => service.clone(),
            (None, Some(user), _) => format!("user {user}"),
            (None, None, Some(claimed)) => format!("“{claimed}”?"),
            (None, None, None) => "–".to_owned(),
        };
        match &self.actor {
            Some(actor) => format!("{caller} via {actor}"),
            None => caller,
        }
    }
}

fn micros(duration: u64) -> Cell {
    Cell::new(format!("{duration} µs")).set_alignment(CellAlignment::Right)
}
