//! `service-token`, the operator's command: creates keys, mints service tokens, verifies and inspects them.
//!
//! This file parses the command line and converts the outcome to an exit code. Each command is a module of
//! `commands`. Shared code (configuration, key files, safe writing, escaping) is beside it. This crate makes
//! no decision about a token: the runtime does.

mod acceptance;
mod arguments;
mod bounded_file;
mod certificate;
mod change;
mod clocks;
mod commands;
mod completion;
mod config;
mod database;
mod device;
mod dpop_key;
mod errors;
mod escape;
mod exit;
mod expectations;
mod help;
mod instant;
mod key_file;
mod keys;
mod known;
mod listener;
mod manual;
mod members;
mod named;
mod new_file;
mod option_values;
mod output;
mod problem;
mod profile;
mod public_jwk;
mod published;
mod redact;
mod reference;
mod rotation;
mod service_token;
mod signing;
mod stdout;
mod store;
mod unlisted;
mod unlock;
mod variable;
mod verdict;

use std::process::ExitCode;

use arguments::Cli;

fn main() -> ExitCode {
    completion::answer();
    let exit = match Cli::from_command_line() {
        Ok(cli) => cli.run().unwrap_or_else(|problem| {
            output::problem(&problem);
            problem.code().exit()
        }),
        Err(exit) => exit,
    };
    ExitCode::from(exit.code())
}
