//! `service-token doctor`: checks everything that a fleet of tokens depends on, and names the next step for each problem.
//!
//! A check that cannot be made, because an earlier one failed, is skipped and never counts as good. The command changes
//! nothing without `--fix`, which repairs permissions and removes what killed runs have left.

mod files;
mod keys;
mod registry;

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};
use service_only_store::Store;
use service_only_store::rotation::Journal;

use crate::change::Consent;
use crate::config::{Config, DEFAULT_FILE};
use crate::escape;
use crate::exit::Exit;
use crate::output::{self, Cell, Format, Table, Tally};
use crate::problem::{Outcome, Problem};
use crate::rotation::Site;
use crate::store::{self, StoreAndConfig};
use crate::unlock::UnlockOptions;

const EXAMPLES: &str = "\
Examples:
  service-token doctor
  service-token doctor --fix
  service-token doctor --format json || notify-the-team

Exit codes: 0 everything is ok or fixed, 1 there is a problem, 2 usage.";

/// Check configuration, key, permissions, store, clock, journal, published set, tokens and verifiers
///
/// Prints one line per check: `ok`, `fixed`, `problem` with the next step, or `skipped`. It mints, revokes and
/// rotates nothing.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DoctorOptions {
    /// Repair permissions, finish a killed rotation, and remove its files
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    unlock: UnlockOptions,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How a check ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    Ok,
    Fixed,
    Problem,
    /// It depends on a check that failed, or on something that is not configured.
    Skipped,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Fixed => "fixed",
            Self::Problem => "problem",
            Self::Skipped => "skipped",
        }
    }
}

/// One line of the report.
struct Finding {
    check: &'static str,
    state: State,
    found: String,
    /// What the operator does about a problem.
    next: Option<String>,
}

/// All findings, in the order of the checks.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, check: &'static str, state: State, found: impl Into<String>) {
        self.findings.push(Finding { check, state, found: found.into(), next: None });
    }

    fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(check, State::Ok, found);
    }

    fn fixed(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(check, State::Fixed, found);
    }

    fn skipped(&mut self, check: &'static str, why: impl Into<String>) {
        self.add(check, State::Skipped, why);
    }

    fn problem(&mut self, check: &'static str, found: impl Into<String>, next: impl Into<String>) {
        self.findings.push(Finding {
            check,
            state: State::Problem,
            found: found.into(),
            next: Some(next.into()),
        });
    }

    /// A problem of another part of the program, with its remedy.
    fn failed(&mut self, check: &'static str, problem: &Problem, otherwise: &str) {
        self.problem(check, problem.reason(), problem.remedy().unwrap_or(otherwise));
    }

    /// Whether no finding of this check is a problem.
    fn is_clean(&self, check: &str) -> bool {
        !self.findings.iter().any(|finding| finding.check == check)
    }
}

/// The names of the checks, in their order.
const CHECKS: [&str; 11] = [
    "configuration",
    "permissions",
    "key",
    "store",
    "versions",
    "clock",
    "journal",
    "published set",
    "leftovers",
    "tokens",
    "verifiers",
];

pub(crate) fn run(options: &DoctorOptions) -> Outcome<Exit> {
    let mut report = Report::default();
    let config = configuration(&mut report, options);
    let url = options.store.url(config.as_ref());
    files::permissions(&mut report, options, config.as_ref(), url.as_deref())?;
    if let Some(config) = &config {
        options.unlock.apply(&config.key.unlock);
        files::key(&mut report, config);
    }
    store::run(async {
        let Some(store) = registry::open(&mut report, url.as_deref()).await else { return Ok(()) };
        registry::clock(&mut report, &store).await;
        let Some(config) = &config else { return Ok(()) };
        with_store(&mut report, options, &store, config).await
    })?;
    for check in CHECKS.into_iter().filter(|check| *check != "leftovers") {
        if report.is_clean(check) {
            report.skipped(check, "an earlier check failed");
        }
    }
    if let Some(config) = &config {
        files::staged(&mut report, options, config)?;
    }
    if report.is_clean("leftovers") {
        report.ok("leftovers", "no killed run has left files");
    }
    let place = |finding: &Finding| CHECKS.iter().position(|check| *check == finding.check);
    report.findings.sort_by_key(place);
    report.print(options.format)
}

fn configuration(report: &mut Report, options: &DoctorOptions) -> Option<Config> {
    match options.store.configuration() {
        Ok(Some(config)) => {
            let services = config.services.len();
            let place = config.path.display();
            report.ok("configuration", format!("`{place}` lists {services} services of `{}`", config.issuer));
            Some(config)
        }
        Ok(None) => {
            let found = format!("`{DEFAULT_FILE}` is not in this directory");
            report.problem(
                "configuration",
                found,
                "name it with `--config FILE`, or write one with `service-token init`",
            );
            None
        }
        Err(problem) => {
            report.failed("configuration", &problem, "correct the file");
            None
        }
    }
}

/// The checks that compare the store with the configuration and the files.
async fn with_store(
    report: &mut Report,
    options: &DoctorOptions,
    store: &Store,
    config: &Config,
) -> Outcome<()> {
    let journal = match store.journal(&config.issuer).await {
        Ok(journal) => journal,
        Err(error) => {
            report.failed("journal", &store::refused(&error), "run `service-token store check`");
            Journal::default()
        }
    };
    match Site::of(config) {
        Ok(site) => {
            keys::leftovers(report, options, store, &site, &journal).await?;
            // The fix may have changed the journal and the set.
            let journal = store.journal(&config.issuer).await.unwrap_or(journal);
            keys::journal(report, &site, &journal);
            keys::published(report, &site, &journal);
            keys::tokens(report, config, &journal);
            registry::verifiers(report, &site.settings, &journal);
        }
        // An HMAC secret, or a key with a fixed name.
        Err(problem) => {
            for check in ["journal", "published set", "verifiers"] {
                report.skipped(check, format!("this key does not rotate: {}", problem.reason()));
            }
            keys::tokens(report, config, &journal);
        }
    }
    registry::tokens(report, store, config).await
}

impl Report {
    fn print(&self, format: Format) -> Outcome<Exit> {
        let problems = self.findings.iter().filter(|finding| finding.state == State::Problem).count();
        match format {
            Format::Json => output::json(&json!({
                "problems": problems,
                "findings": self.findings.iter().map(Finding::json).collect::<Vec<_>>(),
            }))?,
            Format::Text => {
                let mut table = Table::new(["check", "state", "found"]);
                let mut tally = Tally::default();
                for finding in &self.findings {
                    tally.add(finding.state.as_str());
                    table.row([
                        Cell::word(finding.check),
                        Cell::state(finding.state.as_str()),
                        Cell::text(finding.in_words()),
                    ]);
                }
                table.print(store::now())?;
                tally.tell("finding", "findings");
            }
        }
        Ok(if problems > 0 { Exit::Found } else { Exit::Done })
    }
}

impl Finding {
    fn in_words(&self) -> String {
        match &self.next {
            Some(next) => escape::one_line(&format!("{}; next: {next}", self.found)),
            None => escape::one_line(&self.found),
        }
    }

    fn json(&self) -> Value {
        json!({ "check": self.check, "state": self.state.as_str(), "found": self.found, "next": self.next })
    }
}

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
