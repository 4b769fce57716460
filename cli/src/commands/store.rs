//! `service-token store`: creates and maintains the store of tokens, revocations and keys.

mod backup;
mod check;
mod init;
mod migrate;
mod restore;

use clap::{Args, Subcommand};

use crate::exit::Exit;
use crate::problem::Outcome;

const EXAMPLES: &str = "\
Examples:
  service-token store init
  service-token store check
  service-token store backup backup.jsonl
  service-token store move --to postgres://operator@db/tokens";

/// Create and maintain the store of tokens, revocations and keys
///
/// No other command but `init` creates a store: a mistyped address would become an empty one.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct StoreCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitOptions),
    Check(check::CheckOptions),
    Backup(backup::BackupOptions),
    Restore(restore::RestoreOptions),
    Move(migrate::MoveOptions),
}

pub(crate) fn run(options: &StoreCommand) -> Outcome<Exit> {
    match &options.command {
        Command::Init(options) => init::run(options),
        Command::Check(options) => check::run(options),
        Command::Backup(options) => backup::run(options),
        Command::Restore(options) => restore::run(options),
        Command::Move(options) => migrate::run(options),
    }
}
