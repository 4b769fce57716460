//! The orchestrator: asks all twelve services at once, through the gateway, what a deletion would
//! delete; asks a person whether to do it; does it; and says what became of each service.
//!
//! It holds no state. A service that failed keeps its records whole, so the way to finish a run is
//! to run it again: services that are done answer that nothing was left.

mod client;
mod report;

use std::io::IsTerminal;

use anyhow::ensure;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use self::client::Ask;
pub use self::client::{Client, Patience};
pub use self::report::{Line, Report, State};
use crate::catalogue::SERVICES;
use crate::tenant::TenantId;

/// What is done after the preview.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Delete, a person has said so already (`--yes`).
    Given,
    /// Ask on the terminal.
    Ask,
}

impl Consent {
    /// Refuses to ask where nobody can answer, before anything is done.
    pub fn can_be_had(self) -> anyhow::Result<()> {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        ensure!(
            self == Self::Given || terminal,
            "there is no terminal to ask on; pass `--yes` to delete without asking, or `--preview-only`"
        );
        Ok(())
    }

    /// Asks, where it was not given.
    pub async fn obtain(self, preview: &Report) -> anyhow::Result<bool> {
        if self == Self::Given {
            return Ok(true);
        }
        let reached = preview.services.len() - preview.failed().count();
        let question = format!(
            "Delete {} records of tenant {} in {reached} services?",
            preview.found(),
            preview.tenant_id
        );
        let answer = tokio::task::spawn_blocking(move || {
            dialoguer::Confirm::new().with_prompt(question).default(false).wait_for_newline(true).interact()
        });
        Ok(answer.await??)
    }
}

/// Asks every service what a deletion of `tenant` would delete.
pub async fn preview(client: &Client, tenant: TenantId) -> Report {
    let mut calls = JoinSet::new();
    for service in &SERVICES {
        let client = client.clone();
        calls
            .spawn(async move { Line::previewed(service, client.call(Ask::Preview, service, tenant).await) });
    }
    let lines = finish(calls, Vec::new(), "preview").await;
    Report::new(tenant, client.trace_id(), lines)
}

/// Deletes `tenant` in every service that answered the preview. One that did not is not asked:
/// nothing is deleted that was not counted before.
pub async fn delete(client: &Client, preview: Report) -> Report {
    let tenant = preview.tenant_id;
    let mut calls = JoinSet::new();
    let mut lines = Vec::new();
    for line in preview.services {
        match crate::catalogue::find(line.service).filter(|_| line.state != State::Failed) {
            Some(service) => {
                let client = client.clone();
                calls.spawn(async move { line.deleted(client.call(Ask::Delete, service, tenant).await) });
            }
            None => lines.push(line),
        }
    }
    let lines = finish(calls, lines, "delete").await;
    Report::new(tenant, client.trace_id(), lines)
}

async fn finish(mut calls: JoinSet<Line>, mut lines: Vec<Line>, what: &'static str) -> Vec<Line> {
    let progress = progress_bar(calls.len(), what);
    while let Some(line) = calls.join_next().await {
        match line {
            Ok(line) => {
                progress.set_message(line.service);
                lines.push(line);
            }
            Err(error) => tracing::error!(%error, "a call ended without an answer"),
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    lines
}

/// On standard error, and only where that is a terminal.
fn progress_bar(length: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64).with_prefix(what);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>8} [{bar:24}] {pos:>2}/{len} {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
