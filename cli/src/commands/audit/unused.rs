//! `service-token unused`: grants that no admitted call needed.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use service_only::clock::Timestamp;
use service_only_evidence::survey::Survey;
use service_only_evidence::unused::{Coverage, GrantedToken, Grants, TableCoverage, Window};
use service_only_store::{ListedToken, Store, TokenFilter};

use super::files::{self, AuditFiles, ReportFormat};
use super::findings::{self, Accepted};
use crate::commands::endpoints;
use crate::commands::list;
use crate::config::{Config, Lifetime};
use crate::escape;
use crate::exit::Exit;
use crate::instant::Instant;
use crate::output;
use crate::problem::{Outcome, Problem};
use crate::store::{self, StoreAndConfig, refused};

const EXAMPLES: &str = "\
Exit codes: 0 nothing is unused, 1 something is, 2 usage, or the logs cover too little of the window for
a conclusion about any table, 4 nothing of the tables is unused, and the store cannot be used.

Examples:
  service-token unused --window 90d --endpoints orders.json --endpoints stock.json logs/*/audit.jsonl*
  service-token unused --window 30d --endpoints orders.json audit.jsonl* --accept unused-grant-3fa9c2d1";

/// Find grants that no admitted call needed: callers, endpoints, tokens and scopes; exit code 1 if there are any
///
/// Refused calls do not count as use. The tables come from `--endpoints`, valid tokens from the
/// registry, and the scopes of a service from the configuration. If the records of a program cover too
/// little of the window, the command draws no conclusion about its table and about tokens.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UnusedOptions {
    #[command(flatten)]
    files: AuditFiles,
    /// The time without a call after which a grant is unused, such as `90d`
    #[arg(long, value_name = "DURATION")]
    window: Lifetime,
    /// End of the window
    #[arg(long, value_name = "TIME", default_value = "now")]
    until: Instant,
    /// The table of a program as JSON, as `service-token endpoints` reads it; repeatable
    #[arg(long, value_name = "TABLE")]
    endpoints: Vec<PathBuf>,
    /// The share of the window that the records must cover, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    min_coverage: u8,
    #[command(flatten)]
    accepted: Accepted,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
}

pub(crate) fn run(options: &UnusedOptions) -> Outcome<Exit> {
    let tables = options.endpoints.iter().map(|path| endpoints::read(path)).collect::<Outcome<Vec<_>>>()?;
    let store = options.store.find_if_any()?;
    if tables.is_empty() && store.is_none() {
        return Err(Problem::usage("nothing is known to be granted").help(
            "pass the tables of your programs with `--endpoints TABLE`, the registry with `--store URL`, or both",
        ));
    }
    let (tokens, unavailable) = match &store {
        Some((url, config)) => match tokens(url, config.as_ref()) {
            Ok(tokens) => (tokens, None),
            // The tables still tell which grants of handlers are unused.
            Err(problem) if !tables.is_empty() => (Vec::new(), Some(problem)),
            Err(problem) => return Err(problem),
        },
        None => (Vec::new(), None),
    };
    let mut survey = Survey::new();
    let done = options.files.read(&mut survey)?;
    let window = window(options.until, options.window, options.min_coverage);
    let unused = survey.unused(&Grants { tables, tokens }, window);
    tell(&unused.coverage);
    let is_conclusive = unused.is_conclusive();
    let omitted: Vec<_> = unused.tables.iter().filter(|table| !table.coverage.is_enough).collect();
    for table in omitted.iter().filter(|_| unused.coverage.is_enough) {
        output::note(&uncovered(table));
    }
    let report = json!({
        "read": files::summary(&done), "coverage": unused.coverage, "tables": unused.tables,
    });
    let nothing =
        if omitted.is_empty() { "no grant is unused" } else { "no grant of the other tables is unused" };
    let findings = options.accepted.filter(unused.findings);
    if findings.is_empty() && is_conclusive && unavailable.is_none() {
        output::note(nothing);
    }
    let exit = findings::write(&findings, report, options.format)?;
    if !is_conclusive {
        output::warning("the logs cover too little of the window, so the report draws no conclusion");
        return Ok(Exit::Misuse);
    }
    match unavailable {
        Some(problem) if exit == Exit::Done => {
            Err(problem.and("no grant of the tables is unused, and the tokens of the registry are not known"))
        }
        Some(problem) => {
            output::warning(&format!("the tokens of the registry are not known: {problem}"));
            Ok(exit)
        }
        None => Ok(exit),
    }
}

pub(crate) fn window(Instant(until): Instant, Lifetime(length): Lifetime, min_coverage: u8) -> Window {
    Window {
        end: micros(until),
        length: i64::try_from(length.as_micros()).unwrap_or(i64::MAX),
        min_coverage: f64::from(min_coverage) / 100.0,
    }
}

/// Writes how much of a window the logs cover.
pub(super) fn tell(coverage: &Coverage) {
    output::note(&covered(coverage));
}

/// How much of a window the logs cover, in words.
pub(crate) fn covered(coverage: &Coverage) -> String {
    let Coverage { covered, of, unit, from, to, .. } = coverage;
    format!("records cover {covered} of {of} {unit} from {from} to {to}")
}

/// Why a report has no findings about a table, in words.
pub(crate) fn uncovered(TableCoverage { program, coverage, .. }: &TableCoverage) -> String {
    let Coverage { covered, of, unit, .. } = coverage;
    let program = escape::one_line(program);
    format!(
        "records of `{program}` cover {covered} of {of} {unit}, so nothing is concluded about its table and about tokens; \
         its log may be missing"
    )
}

pub(crate) fn micros(at: Timestamp) -> i64 {
    at.unix().saturating_mul(1_000_000)
}

/// The valid tokens of the registry.
fn tokens(url: &str, config: Option<&Config>) -> Outcome<Vec<GrantedToken>> {
    let filter = list::active(TokenFilter::default(), store::now());
    let listed = store::run(async {
        let store = Store::open(url).await.map_err(|error| refused(&error))?;
        store.tokens(&filter).await.map_err(|error| refused(&error))
    })?;
    Ok(granted(&listed, config))
}

/// Valid tokens, with the scopes that the configuration has for their services.
pub(crate) fn granted(listed: &[ListedToken], config: Option<&Config>) -> Vec<GrantedToken> {
    let scopes = |service: &str| {
        let entry = config.and_then(|config| {
            config.services.iter().find(|(name, _)| name.as_str() == service).map(|(_, entry)| entry)
        });
        entry.map(|entry| entry.scopes.clone()).unwrap_or_default()
    };
    let granted = |ListedToken { token, .. }: &ListedToken| GrantedToken {
        scopes: scopes(&token.service),
        minted: micros(token.minted_at),
        issuer: token.issuer.clone(),
        jti: token.jti.clone(),
        service: token.service.clone(),
    };
    listed.iter().map(granted).collect()
}
