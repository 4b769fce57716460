//! `service-token man`: writes the manual, from the same definitions as `--help`.

use std::path::PathBuf;

use clap::Args;

use crate::exit::Exit;
use crate::new_file::{self, NewFile, Overwrite};
use crate::output;
use crate::problem::{Outcome, Problem, ProblemCode};

const EXAMPLES: &str = "\
Examples:
  service-token man | man -l -
  service-token man --out-dir /usr/local/share/man/man1";

/// Print the manual page, or write one page for each command
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManOptions {
    /// Write `service-token.1` and a page for each command into this directory
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Replace existing pages
    #[arg(long, requires = "out_dir")]
    force: bool,
}

pub(crate) fn run(options: &ManOptions, mut command: clap::Command) -> Outcome<Exit> {
    let Some(dir) = &options.out_dir else {
        output::result_bytes(&page(command)?)?;
        return Ok(Exit::Done);
    };
    command.build();
    let mut pages = vec![NewFile::public(dir.join("service-token.1"), page(command.clone())?)];
    for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let name = format!("service-token-{}", subcommand.get_name());
        let content = page(subcommand.clone())?;
        pages.push(NewFile::public(dir.join(format!("{name}.1")), content));
    }
    new_file::write_all(&pages, Overwrite::from_force(options.force))?;
    for page in &pages {
        output::result(&page.path().display().to_string())?;
    }
    Ok(Exit::Done)
}

fn page(command: clap::Command) -> Outcome<Vec<u8>> {
    let mut content = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut content)
        .map_err(|error| Problem::new(ProblemCode::Io, format!("cannot write the manual: {error}")))?;
    Ok(content)
}
