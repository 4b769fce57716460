//! The orchestrator deletes a tenant in all twelve services, through the gateway.
//!
//! It asks every service in parallel what a deletion would delete, asks a person for consent, deletes, and
//! reports the result of each service. It has no state. A failed service keeps all its records, so you finish
//! a run by running it again: completed services answer that nothing was left.

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

/// What happens if a service did not answer the preview.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// Delete nothing: a person consented to the deletion of a tenant, and not of a part of it.
    Stop,
    /// Delete in the services that answered (`--partial`).
    DeleteTheRest,
}

/// The consent to delete after the preview.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// Delete without a question: a person has already consented (`--yes`).
    Given,
    /// Ask on the terminal.
    Ask,
}

impl Consent {
    /// Fails before any request if no person can answer on a terminal.
    pub fn can_be_had(self) -> anyhow::Result<()> {
        let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        ensure!(
            self == Self::Given || terminal,
            "standard input is not a terminal, so you cannot confirm; pass `--yes` to delete without asking, or `--preview-only`"
        );
        Ok(())
    }

    /// Asks for consent, unless it was given.
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

/// Deletes the tenant of a preview in every service. If a service did not answer the preview, nothing is deleted, unless
/// `incomplete` asks for it. That service is skipped even then: nothing is deleted that was not counted before.
pub async fn delete(client: &Client, preview: Report, incomplete: Incomplete) -> Report {
    if !preview.complete && incomplete == Incomplete::Stop {
        return preview;
    }
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

/// Shows progress on standard error, and only if that is a terminal.
fn progress_bar(length: usize, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length as u64).with_prefix(what);
    if let Ok(style) = ProgressStyle::with_template("{prefix:>8} [{bar:24}] {pos:>2}/{len} {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
