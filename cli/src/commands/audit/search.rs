//! `service-token audit search`: prints the records that meet all conditions.

use clap::Args;
use service_only_evidence::read::{Place, Record, Visitor};

use super::files::AuditFiles;
use super::filter::{self, Filter, Names};
use crate::exit::Exit;
use crate::output::{self, Format};
use crate::problem::Outcome;

const EXAMPLES: &str = "\
Examples:
  service-token audit search audit.jsonl* --service orders --code expired
  service-token audit search audit.jsonl --jti 76514ef5 --format json | jq .client.address
  service-token audit search audit.jsonl --trace 4bf92f3577b34da6a3ce929d0e0e4736

Exit codes: 0 done, also if no record meets the conditions, 2 usage,
9 no record has such a service, handler or token.";

/// Print the records that meet all conditions
///
/// With `--format json`, the lines are those of the file. A service, a handler or a token without any record is an
/// error.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct SearchOptions {
    #[command(flatten)]
    files: AuditFiles,
    #[command(flatten)]
    filter: Filter,
    /// Stop after this many records
    #[arg(long, value_name = "COUNT", default_value_t = u64::MAX, hide_default_value = true, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The bytes of one write. A write for each record would take longer than the search.
const BLOCK: usize = 64 * 1024;

pub(super) fn run(options: &SearchOptions) -> Outcome<Exit> {
    options.filter.check()?;
    let mut found =
        Found { options, shown: 0, names: Names::default(), pending: String::new(), written: Ok(()) };
    options.files.read(&mut found)?;
    found.write();
    if found.shown == 0 {
        found.names.check(&options.filter)?;
        output::note("no record meets the conditions");
    }
    found.written.map(|()| Exit::Done)
}

/// Prints the records, and ends the reading after the last one.
struct Found<'o> {
    options: &'o SearchOptions,
    shown: u64,
    names: Names,
    /// Lines that are not written yet.
    pending: String,
    written: Outcome<()>,
}

impl Found<'_> {
    fn write(&mut self) {
        let text = std::mem::take(&mut self.pending);
        if let Some(text) = text.strip_suffix('\n').filter(|_| self.written.is_ok()) {
            self.written = output::coloured(text);
        }
    }
}

impl Visitor for Found<'_> {
    fn record(&mut self, place: Place<'_>, record: &Record<'_>) {
        if self.shown == 0 {
            self.names.meet(&self.options.filter, record);
        }
        if self.wants_more() && self.options.filter.admits(record) {
            self.shown += 1;
            self.pending.push_str(&filter::line(record, place.bytes, self.options.format));
            self.pending.push('\n');
            if self.pending.len() >= BLOCK {
                self.write();
            }
        }
    }

    fn progress(&mut self, _: u64) {
        // A rare record is shown when it is found, and not at the end of the file.
        self.write();
    }

    fn wants_more(&self) -> bool {
        self.written.is_ok() && self.shown < self.options.limit && !output::is_closed()
    }
}
