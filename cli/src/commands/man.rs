//! `service-token man`: writes the manual, from the same definitions as `--help`.

use std::path::PathBuf;

use clap::Args;

use crate::change;
use crate::exit::Exit;
use crate::manual;
use crate::new_file::{self, NewFile, Overwrite};
use crate::output::{self, Format};
use crate::problem::Outcome;

const EXAMPLES: &str = "\
Examples:
  service-token man | man -l -
  service-token man --out-dir /usr/local/share/man/man1";

/// Print the manual page, or write all pages
///
/// There is one page for each command, and `service-token.toml.5` for the configuration file.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManOptions {
    /// Write all pages into this directory
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Replace existing pages
    #[arg(long, requires = "out_dir")]
    force: bool,
    /// With --out-dir, print which files would be written, and write none
    #[arg(long, requires = "out_dir")]
    dry_run: bool,
}

pub(crate) fn run(options: &ManOptions, command: &clap::Command) -> Outcome<Exit> {
    let Some(dir) = &options.out_dir else {
        output::result_bytes(manual::overview(command).content.as_bytes())?;
        return Ok(Exit::Done);
    };
    let pages = manual::all(command);
    let pages: Vec<_> =
        pages.iter().map(|page| NewFile::public(dir.join(&page.file), page.content.as_str())).collect();
    let overwrite = Overwrite::from_force(options.force);
    if options.dry_run {
        let targets: Vec<_> = pages.iter().map(NewFile::path).collect();
        new_file::check_targets(&targets, overwrite)?;
        return change::preview(&targets, Format::Text).map(|()| Exit::Done);
    }
    new_file::write_all(&pages, overwrite)?;
    for page in &pages {
        output::result(&page.path().display().to_string())?;
    }
    Ok(Exit::Done)
}
