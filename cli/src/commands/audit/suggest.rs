//! `service-token suggest`: narrower attributes, as text, as a patch, or as a table for the exports.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use service_only_evidence::suggest::{self, Suggestion};
use service_only_evidence::survey::Survey;

use super::csv;
use super::files::{self, AuditFiles};
use super::unused;
use crate::commands::endpoints;
use crate::config::Lifetime;
use crate::exit::Exit;
use crate::instant::Instant;
use crate::output::{self, Cell, Table};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store;

const EXAMPLES: &str = "\
Examples:
  service-token suggest --window 90d --endpoints orders.json audit.jsonl*
  service-token suggest --window 90d --endpoints orders.json --format patch --source . audit.jsonl* > narrow.patch
  service-token suggest --window 90d --endpoints orders.json --format table audit.jsonl* |
      service-token endpoints - --format istio --jwks-uri URL --namespace bakery";

/// Suggest narrower attributes: the services that called instead of those that may call
///
/// Applies nothing. The patch is for `git apply`, and the table for `service-token endpoints`, which exports
/// it to a mesh. A handler that no service called gets no suggestion; `unused` lists it.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SuggestOptions {
    #[command(flatten)]
    files: AuditFiles,
    /// The time without a call after which a caller is left out, such as `90d`
    #[arg(long, value_name = "DURATION")]
    window: Lifetime,
    /// End of the window
    #[arg(long, value_name = "TIME", default_value = "now")]
    until: Instant,
    /// The table of the program as JSON, as `service-token endpoints` reads it
    #[arg(long, value_name = "TABLE")]
    endpoints: PathBuf,
    /// The share of the window that the records must cover, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    min_coverage: u8,
    /// The folder of the program's sources, for `--format patch`
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: SuggestFormat,
}

#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
enum SuggestFormat {
    /// The attributes.
    #[default]
    Text,
    /// One JSON object.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// A patch of the sources.
    Patch,
    /// The table with narrower lists.
    Table,
}

pub(crate) fn run(options: &SuggestOptions) -> Outcome<Exit> {
    let source = match (&options.source, options.format) {
        (None, SuggestFormat::Patch) => {
            return Err(Problem::usage("a patch needs the sources").help("pass their folder: `--source DIR`"));
        }
        (source, _) => source.as_deref(),
    };
    let table = endpoints::read(&options.endpoints)?;
    let mut survey = Survey::new();
    let done = options.files.read(&mut survey)?;
    let window = unused::window(options.until, options.window, options.min_coverage);
    let coverage = survey.table_coverage(&table, window);
    unused::tell(&coverage);
    if !coverage.is_enough {
        return Err(Problem::usage("the logs cover too little of the window for a suggestion")
            .help("name more files, or choose a shorter `--window`"));
    }
    let suggestions = survey.suggestions(&table, window);
    match options.format {
        SuggestFormat::Text => print(&suggestions)?,
        SuggestFormat::Json => {
            let read = files::summary(&done);
            output::json(&json!({ "read": read, "coverage": coverage, "suggestions": suggestions }))?;
        }
        SuggestFormat::Csv => output::result_bytes(as_csv(&suggestions).as_bytes())?,
        SuggestFormat::Table => {
            let narrowed = suggest::narrowed(&table, &suggestions)
                .map_err(|error| Problem::new(ProblemCode::BadConfig, error.to_string()))?;
            output::json(&narrowed)?;
        }
        SuggestFormat::Patch => {
            let folder = source.unwrap_or_else(|| std::path::Path::new("."));
            let patch = suggest::patch(&suggestions, folder)
                .map_err(|error| Problem::io("read the sources in", folder, &error))?;
            patch.not_found.iter().for_each(|text| output::warning(&format!("not patched: {text}")));
            output::result_bytes(patch.text.as_bytes())?;
        }
    }
    Ok(Exit::Done)
}

/// One row per handler. Names in a list are separated by spaces; an empty list admits any service.
fn as_csv(suggestions: &[Suggestion]) -> String {
    let mut text = String::new();
    csv::row(&mut text, ["endpoint", "line", "now", "narrower", "attribute"]);
    for suggestion in suggestions {
        let line = suggestion.line.map(|line| line.to_string()).unwrap_or_default();
        let now = suggestion.now.as_ref().map(|now| now.join(" ")).unwrap_or_default();
        let narrower = suggestion.narrower.join(" ");
        csv::row(&mut text, [&*suggestion.endpoint, &line, &now, &narrower, &suggestion.attribute]);
    }
    text
}

fn print(suggestions: &[Suggestion]) -> Outcome<()> {
    if suggestions.is_empty() {
        output::note("every handler has the narrowest list that admits its callers");
        return Ok(());
    }
    let mut table = Table::new(["handler", "may call now", "narrower"]);
    for suggestion in suggestions {
        let now = suggestion.now.as_ref().map_or_else(|| "any service".to_owned(), |now| now.join(", "));
        table.row([Cell::text(&suggestion.endpoint), Cell::text(now), Cell::text(&suggestion.attribute)]);
    }
    table.print(store::now())
}
