//! `service-token completions`: a completion script for a shell.

use clap::Args;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output;
use crate::problem::Outcome;

const EXAMPLES: &str = "\
Examples:
  service-token completions bash > ~/.local/share/bash-completion/completions/service-token
  service-token completions fish > ~/.config/fish/completions/service-token.fish";

/// Print a completion script for a shell
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsOptions {
    /// The shell that reads the script
    shell: Shell,
}

pub(crate) fn run(options: &CompletionsOptions, mut command: clap::Command) -> Outcome<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, "service-token", &mut script);
    output::result_bytes(&script)?;
    Ok(Exit::Done)
}
