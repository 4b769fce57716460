//! The report of a run: one line per service, as a table for people or as JSON for programs.

use comfy_table::{Cell, CellAlignment, Color};
use serde::Serialize;

use super::client::{Answer, CallError};
use crate::catalogue::{SERVICES, Service};
use crate::tenant::TenantId;
use crate::terminal::Terminal;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The tenant of the deletion.
    pub tenant_id: TenantId,
    /// The trace id of the run, which every audit record of it contains.
    pub trace_id: String,
    /// Whether every service completed its request.
    pub complete: bool,
    /// The services, in the order of the catalogue.
    pub services: Vec<Line>,
}

/// The result for the tenant in one service.
#[derive(Debug, Serialize)]
pub struct Line {
    /// The service.
    pub service: &'static str,
    /// The final state.
    pub state: State,
    /// Records that the preview found.
    pub found: Option<u64>,
    /// Records that this run deleted.
    pub deleted: Option<u64>,
    /// Records that earlier runs had deleted.
    pub deleted_before: u64,
    /// Attempts of the last call.
    pub attempts: u32,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The `instance` of a refusal. The audit record with this id has the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// The final state in one service.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Counted, nothing deleted.
    Previewed,
    /// Deleted now.
    Deleted,
    /// There was nothing left to delete.
    AlreadyGone,
    /// Not done, for any reason. The records still exist.
    Failed,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Previewed => "previewed",
            Self::Deleted => "deleted",
            Self::AlreadyGone => "already gone",
            Self::Failed => "failed",
        }
    }

    fn color(self) -> Option<Color> {
        match self {
            Self::Deleted => Some(Color::Green),
            Self::Failed => Some(Color::Red),
            Self::Previewed | Self::AlreadyGone => None,
        }
    }
}

impl Line {
    pub(crate) fn previewed(service: &'static Service, answer: Answer) -> Self {
        let mut line = Self::failed(service, answer.attempts);
        match answer.outcome {
            Ok(records) => {
                line.state = State::Previewed;
                line.found = Some(records.total);
                line.deleted_before = records.previously_deleted;
            }
            Err(error) => line.fail(&error),
        }
        line
    }

    pub(crate) fn deleted(mut self, answer: Answer) -> Self {
        self.attempts = answer.attempts;
        match answer.outcome {
            Ok(records) => {
                self.state = if records.total > 0 { State::Deleted } else { State::AlreadyGone };
                self.deleted = Some(records.total);
                self.deleted_before = records.previously_deleted;
            }
            Err(error) => self.fail(&error),
        }
        self
    }

    fn fail(&mut self, error: &CallError) {
        self.state = State::Failed;
        self.error = Some(error.to_string());
        self.instance = error.instance().map(|id| format!("urn:uuid:{id}"));
    }

    fn failed(service: &'static Service, attempts: u32) -> Self {
        Self {
            service: service.name,
            state: State::Failed,
            found: None,
            deleted: None,
            deleted_before: 0,
            attempts,
            error: None,
            instance: None,
        }
    }
}

impl Report {
    /// Creates a line for each service of the catalogue: a service that is missing in `lines` has failed.
    pub(crate) fn new(tenant_id: TenantId, trace_id: String, mut lines: Vec<Line>) -> Self {
        let services: Vec<Line> = SERVICES
            .iter()
            .map(|service| match lines.iter().position(|line| line.service == service.name) {
                Some(at) => lines.swap_remove(at),
                None => Line {
                    error: Some("the call ended without an answer".to_owned()),
                    ..Line::failed(service, 0)
                },
            })
            .collect();
        let complete = services.iter().all(|line| line.state != State::Failed);
        Self { tenant_id, trace_id, complete, services }
    }

    /// Converts a preview to a final report: a service without records is already done.
    pub fn settled(mut self) -> Self {
        for line in self.services.iter_mut().filter(|line| line.found == Some(0)) {
            line.state = State::AlreadyGone;
        }
        self
    }

    /// Records that the preview found, in all services that answered.
    pub fn found(&self) -> u64 {
        self.services.iter().filter_map(|line| line.found).sum()
    }

    /// Whether a service has or had a record of the tenant. A tenant that no service knows is a mistyped id.
    pub fn knows_the_tenant(&self) -> bool {
        self.found() > 0 || self.services.iter().any(|line| line.deleted_before > 0)
    }

    /// Records that this run deleted.
    pub fn deleted(&self) -> u64 {
        self.services.iter().filter_map(|line| line.deleted).sum()
    }

    /// The services that did not complete their request.
    pub fn failed(&self) -> impl Iterator<Item = &Line> {
        self.services.iter().filter(|line| line.state == State::Failed)
    }

    /// Prints the table.
    pub fn print(&self, terminal: &mut Terminal) -> std::io::Result<()> {
        let mut table = terminal.table(&["service", "found", "deleted", "before", "tries", "state"]);
        for column in table.column_iter_mut().skip(1).take(4) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for line in &self.services {
            let state = match &line.error {
                Some(error) => format!("{}: {error}", line.state.as_str()),
                None => line.state.as_str().to_owned(),
            };
            let mut state = Cell::new(state);
            if let Some(color) = line.state.color() {
                state = state.fg(color);
            }
            table.add_row([
                Cell::new(line.service),
                count(line.found),
                count(line.deleted),
                count(Some(line.deleted_before).filter(|&records| records > 0)),
                Cell::new(line.attempts),
                state,
            ]);
        }
        terminal.print_table(&table)?;
        for line in &self.services {
            if let Some(instance) = &line.instance {
                terminal.line(format_args!("{}: instance {instance}", line.service))?;
            }
        }
        terminal.line(format_args!("trace {}", self.trace_id))
    }
}

fn count(records: Option<u64>) -> Cell {
    Cell::new(records.map_or_else(|| "–".to_owned(), |records| records.to_string()))
}
