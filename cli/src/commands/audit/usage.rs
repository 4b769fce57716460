//! `service-token usage`: who called what, with which token and key.

use clap::Args;
use serde_json::{Value, json};
use service_only_evidence::findings;
use service_only_evidence::survey::{Calls, CodeUsage, Decisions, Durations, Survey};

use super::csv;
use super::files::{self, AuditFiles, ReportFormat};
use crate::exit::Exit;
use crate::output::{self, Cell, Table};
use crate::problem::Outcome;
use crate::store::{self, Instant};

const EXAMPLES: &str = "\
Examples:
  service-token usage audit.jsonl*
  service-token usage --by token orders/audit.jsonl* stock/audit.jsonl*
  service-token usage --format csv audit.jsonl > usage.csv";

/// Show who called what: admitted and refused calls, the first and the last, and how long decisions took
///
/// Reads any number of files in one pass, also those of several services. Callers that were not
/// authenticated are one row, because any client can invent names. The last column is a histogram of
/// the durations: up to 10 µs, 100 µs, 1 ms, 10 ms, 100 ms, and longer.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UsageOptions {
    #[command(flatten)]
    files: AuditFiles,
    /// What a row is about
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
enum By {
    /// A service and an endpoint
    #[default]
    Service,
    /// A token
    Token,
    /// The key that signed the tokens
    Key,
    /// The code of a refusal
    Code,
    /// An hour
    Hour,
}

/// How many hours a report has at most: a year and a week. The last ones are reported.
const MAX_HOURS: i64 = 373 * 24;

const HOUR: i64 = 3_600_000_000;

/// The names of a row and its counts.
struct Row {
    names: Vec<String>,
    calls: Calls,
}

/// The decisions of each hour with records.
fn hours(survey: &Survey) -> Vec<Decisions> {
    let Some((first, last)) = survey.span() else { return Vec::new() };
    let mut hours = survey.decisions(first.max(last - MAX_HOURS * HOUR), last, HOUR);
    hours.retain(|hour| hour.allowed + hour.refused > 0);
    hours
}

pub(crate) fn run(options: &UsageOptions) -> Outcome<Exit> {
    let mut survey = Survey::new();
    let done = options.files.read(&mut survey)?;
    if survey.omitted() > 0 {
        output::warning(&format!(
            "{} records are not in every report, because there are too many different names",
            survey.omitted()
        ));
    }
    let usage = |usage: Value| {
        output::json(&json!({ "read": files::summary(&done), "omitted": survey.omitted(), "usage": usage }))
    };
    match (options.by, options.format) {
        (By::Code, ReportFormat::Json) => usage(json!(survey.refusals()))?,
        (By::Code, format) => {
            let rows = survey.refusals().into_iter();
            let rows = rows.map(|CodeUsage { code, refused, callers, last, .. }| {
                [code, refused.to_string(), callers.to_string(), last]
            });
            write(["code", "refused", "callers", "last"], rows, format)?;
        }
        (By::Hour, ReportFormat::Json) => usage(json!(hours(&survey)))?,
        (By::Hour, format) => {
            let rows = hours(&survey).into_iter();
            let rows = rows.map(|Decisions { start, allowed, refused, .. }| {
                [findings::instant(start), allowed.to_string(), refused.to_string()]
            });
            write(["hour", "allowed", "refused"], rows, format)?;
        }
        _ => report(&survey, options, usage)?,
    }
    Ok(Exit::Done)
}

/// Writes a report whose rows are words.
fn write<const COLUMNS: usize>(
    header: [&'static str; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
    format: ReportFormat,
) -> Outcome<()> {
    if format == ReportFormat::Csv {
        let mut text = String::new();
        csv::row(&mut text, header);
        rows.for_each(|cells| csv::row(&mut text, cells.iter().map(String::as_str)));
        return output::result_bytes(text.as_bytes());
    }
    let mut table = Table::new(header);
    rows.for_each(|cells| table.row(cells.map(Cell::word)));
    table.print(store::now())
}

/// Writes the report with the counts of each row.
fn report(survey: &Survey, options: &UsageOptions, json: impl FnOnce(Value) -> Outcome<()>) -> Outcome<()> {
    let (header, rows) = rows(survey, options.by);
    match options.format {
        ReportFormat::Json => json(match options.by {
            By::Token => json!(survey.token_usage()),
            By::Key => json!(survey.key_usage()),
            By::Service | By::Code | By::Hour => json!(survey.usage()),
        }),
        ReportFormat::Csv => output::result_bytes(as_csv(&header, &rows).as_bytes()),
        ReportFormat::Text => print(options.by, &rows),
    }
}

fn rows(survey: &Survey, by: By) -> (Vec<&'static str>, Vec<Row>) {
    match by {
        By::Service | By::Code | By::Hour => {
            let rows = survey.usage().into_iter();
            let rows = rows.map(|used| Row { names: vec![used.service, used.endpoint], calls: used.calls });
            (vec!["service", "endpoint"], rows.collect())
        }
        By::Token => {
            let rows = survey.token_usage().into_iter();
            let rows = rows.map(|used| Row {
                names: vec![used.service, used.jti, used.kids.join(" ")],
                calls: used.calls,
            });
            (vec!["service", "jti", "kids"], rows.collect())
        }
        By::Key => {
            let rows = survey.key_usage().into_iter();
            let rows =
                rows.map(|used| Row { names: vec![used.kid, used.services.join(" ")], calls: used.calls });
            (vec!["kid", "services"], rows.collect())
        }
    }
}

fn as_csv(header: &[&str], rows: &[Row]) -> String {
    let mut text = String::new();
    let ends = Durations::COARSE.map(|end| format!("up_to_{end}_us"));
    let counts = ["allowed", "refused", "first", "last", "p50_us", "p99_us"];
    let ends = ends.iter().map(String::as_str).chain(["longer"]);
    csv::row(&mut text, header.iter().copied().chain(counts).chain(ends));
    for Row { names, calls } in rows {
        let numbers = [calls.allowed, calls.refused].map(|number| number.to_string());
        let times = [calls.first.clone(), calls.last.clone()];
        let durations = [calls.p50_us, calls.p99_us].into_iter().chain(calls.durations);
        let cells: Vec<String> = names
            .iter()
            .cloned()
            .chain(numbers)
            .chain(times)
            .chain(durations.map(|number| number.to_string()))
            .collect();
        csv::row(&mut text, cells.iter().map(String::as_str));
    }
    text
}

/// The header of a column of names, and what its names are.
type NameColumn = (&'static str, fn(String) -> Cell);

fn print(by: By, rows: &[Row]) -> Outcome<()> {
    let name = |row: &Row, at: usize| row.names.get(at).cloned().unwrap_or_default();
    let counts = |calls: &Calls| {
        [
            Cell::word(calls.allowed.to_string()),
            Cell::word(calls.refused.to_string()),
            instant(&calls.first),
            instant(&calls.last),
            Cell::word(format!("{} µs", calls.p50_us)),
            Cell::word(format!("{} µs", calls.p99_us)),
            Cell::word(blocks(calls.durations)),
        ]
    };
    let names: &[NameColumn] = match by {
        By::Service | By::Code | By::Hour => &[("service", Cell::word), ("endpoint", Cell::text)],
        By::Token => &[("service", Cell::word), ("jti", Cell::id), ("kid", Cell::text)],
        By::Key => &[("kid", Cell::id), ("services", Cell::text)],
    };
    let numbers = ["allowed", "refused", "first", "last", "p50", "p99", "durations"];
    let header = names.iter().map(|(header, _)| *header).chain(numbers);
    let mut table = Table::new(header.collect::<Vec<_>>());
    for row in rows {
        let cells = names.iter().enumerate().map(|(at, (_, cell))| cell(name(row, at)));
        table.row(cells.chain(counts(&row.calls)).collect::<Vec<_>>());
    }
    table.print(store::now())
}

/// A histogram of six characters: up to 10 µs, 100 µs, 1 ms, 10 ms, 100 ms, and longer. Only an empty bucket has the
/// lowest block.
fn blocks(durations: [u64; 6]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = u128::from(durations.iter().copied().max().unwrap_or_default().max(1));
    let height = |count: u64| match u128::from(count) {
        0 => 0,
        count => 1 + usize::try_from(count * 6 / most).unwrap_or_default(),
    };
    durations.iter().filter_map(|count| BLOCKS.get(height(*count))).collect()
}

/// The instant of a record. A text that is not an instant is printed unchanged.
fn instant(text: &str) -> Cell {
    text.parse::<Instant>().map_or_else(|_| Cell::word(text), |Instant(at)| Cell::Instant(Some(at)))
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn only_an_empty_bucket_has_the_lowest_block() {
        assert_eq!(blocks([0, 0, 0, 0, 0, 0]), "▁▁▁▁▁▁");
        assert_eq!(blocks([1, 1_000, 500, 0, 999, 0]), "▂█▅▁▇▁");
        assert_eq!(blocks([u64::MAX, 0, 0, 0, 0, 1]), "█▁▁▁▁▂");
    }
}
