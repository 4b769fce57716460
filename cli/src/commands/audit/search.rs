//! `service-token audit search`: prints the records that meet all conditions.

use clap::Args;
use service_only_evidence::read::{Place, Record};

use super::files::AuditFiles;
use super::filter::{self, Filter};
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::Outcome;

const EXAMPLES: &str = "\
Examples:
  service-token audit search audit.jsonl* --service orders --code expired
  service-token audit search audit.jsonl --jti 76514ef5 --format json | jq .client.address
  service-token audit search audit.jsonl --trace 4bf92f3577b34da6a3ce929d0e0e4736";

/// Print the records that meet all conditions
///
/// With `--format json`, the lines are those of the file.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct SearchOptions {
    #[command(flatten)]
    files: AuditFiles,
    #[command(flatten)]
    filter: Filter,
    /// Stop after this many records
    #[arg(long, value_name = "COUNT", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(options: &SearchOptions) -> Outcome<Exit> {
    let mut shown = 0;
    let mut written = Ok(());
    options.files.read(&mut |place: Place<'_>, record: &Record<'_>| {
        if written.is_ok() && shown < options.limit && options.filter.admits(record) {
            shown += 1;
            written = output::coloured(&filter::line(record, place.bytes, options.format));
        }
    })?;
    written.map(|()| Exit::Done)
}
