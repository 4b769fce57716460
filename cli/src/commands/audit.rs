//! The commands that read the audit log back: reports, explanations, and `service-token audit`.

pub(crate) mod anomalies;
mod csv;
pub(crate) mod explain;
pub(crate) mod files;
mod filter;
mod findings;
mod search;
pub(crate) mod suggest;
mod tail;
pub(crate) mod tree;
pub(crate) mod unused;
pub(crate) mod usage;

use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::problem::Outcome;

const EXAMPLES: &str = "\
Examples:
  service-token audit tail /var/log/bakery/audit.jsonl --deny
  service-token audit search audit.jsonl* --service orders --code expired
  service-token audit verify audit.jsonl --key audit.key.pub";

/// Search, follow and verify the audit log, and prove its records
///
/// The reports are commands of their own: `usage`, `unused`, `anomalies`, `suggest` and `explain`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AuditCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Search(search::SearchOptions),
    Tail(tail::TailOptions),
    Verify(tree::VerifyLogOptions),
    Prove(tree::ProveOptions),
    Check(tree::CheckProofOptions),
    Export(tree::ExportOptions),
    Checkpoint(tree::CheckpointOptions),
}

pub(crate) fn run(options: &AuditCommand) -> Outcome<Exit> {
    match &options.command {
        Command::Search(options) => search::run(options),
        Command::Tail(options) => tail::run(options),
        Command::Verify(options) => tree::verify(options),
        Command::Prove(options) => tree::prove(options),
        Command::Check(options) => tree::check(options),
        Command::Export(options) => tree::export(options),
        Command::Checkpoint(options) => tree::checkpoint(options),
    }
}
