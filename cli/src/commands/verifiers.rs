//! `service-token verifiers`: lists the verifiers that report their keys, with state and age of the report.

use clap::Args;
use serde_json::{Value, json};
use service_only::clock::Timestamp;
use service_only::keys::KeyState;
use service_only_store::rotation::{Journal, RotationSettings};
use service_only_store::{Store, VerifierReport};

use super::keys::{age, journals};
use crate::config::Config;
use crate::exit::Exit;
use crate::members;
use crate::output::{self, Cell, Format, Table, Tally};
use crate::problem::Outcome;
use crate::store::{self, StoreAndConfig, refused};

const EXAMPLES: &str = "\
Examples:
  service-token verifiers
  service-token verifiers --sort state
  service-token verifiers --format json

Exit codes: 0 done, 2 usage, 4 the store cannot be used, 9 an unknown issuer.";

/// List the verifiers that report their keys, with state and age of the report
///
/// A verifier is `running`; `lagging`, if it lacks a key that was published longer ago than its refresh interval;
/// or `silent`, if it has not reported for `verifier_silence` of `[rotation]`. Only a service with a `KeyReporter`
/// reports.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct VerifiersOptions {
    #[command(flatten)]
    store: StoreAndConfig,
    /// Only verifiers of this issuer's tokens
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Sort by this column
    #[arg(long, value_enum, value_name = "COLUMN", default_value_t)]
    sort: SortedBy,
    /// Sort in the opposite direction
    #[arg(long)]
    reverse: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The columns that sort verifiers.
#[derive(Copy, Clone, Debug, Default, clap::ValueEnum)]
enum SortedBy {
    /// By issuer and name
    #[default]
    Verifier,
    /// Silent, lagging, then running
    State,
    /// The oldest report first
    Age,
}

impl SortedBy {
    fn sort(self, verifiers: &mut [Judged]) {
        match self {
            Self::Verifier => {}
            Self::State => verifiers.sort_by_key(|judged| match judged.state {
                "silent" => 0,
                "lagging" => 1,
                _ => 2,
            }),
            Self::Age => verifiers.sort_by_key(|judged| judged.report.last_seen),
        }
    }
}

/// One verifier, and what its report means now.
pub(super) struct Judged {
    pub(super) report: VerifierReport,
    pub(super) state: &'static str,
    /// The published keys that it lacks, although it had the time to fetch them.
    pub(super) lacks: Vec<String>,
}

pub(crate) fn run(options: &VerifiersOptions) -> Outcome<Exit> {
    let (url, config) = options.store.find()?;
    let now = store::now();
    let mut verifiers = store::run(async {
        let store = Store::open(&url).await.map_err(|error| refused(&error))?;
        let mut verifiers = Vec::new();
        for (issuer, journal) in journals(&store, config.as_ref(), options.issuer.as_deref()).await? {
            verifiers.extend(judge(&journal, &settings(config.as_ref(), &issuer), now));
        }
        Ok(verifiers)
    })?;
    options.sort.sort(&mut verifiers);
    if options.reverse {
        verifiers.reverse();
    }
    if verifiers.is_empty() {
        output::note("no verifier has reported; a service reports with a `KeyReporter`");
    }
    match options.format {
        Format::Json => output::json(&verifiers.iter().map(|one| one.json(now)).collect::<Vec<_>>())?,
        Format::Text => print(&verifiers, now)?,
    }
    Ok(Exit::Done)
}

/// The settings of an issuer: those of the configuration, or the defaults.
fn settings(config: Option<&Config>, issuer: &str) -> RotationSettings {
    let own = config.filter(|config| config.issuer == issuer);
    own.map_or_else(RotationSettings::default, |config| config.rotation.settings.clone())
}

/// What the reports of a journal mean now.
pub(super) fn judge(journal: &Journal, settings: &RotationSettings, now: Timestamp) -> Vec<Judged> {
    let silent_before = now.minus(settings.verifier_silence);
    let published = |report: &VerifierReport| {
        let known_before = now.minus(report.refresh_interval);
        let needed = journal.keys.iter().filter(move |key| {
            key.state != KeyState::Retired
                && key.prepared_at < known_before
                && !journal.revoked.contains(&key.kid)
        });
        needed.map(|key| key.kid.clone()).filter(|kid| !report.kids.contains(kid)).collect::<Vec<_>>()
    };
    let judged = journal.verifiers.iter().map(|report| {
        let lacks = published(report);
        let state = match () {
            () if report.last_seen <= silent_before => "silent",
            () if !lacks.is_empty() => "lagging",
            () => "running",
        };
        Judged { report: report.clone(), state, lacks }
    });
    judged.collect()
}

impl Judged {
    fn json(&self, now: Timestamp) -> Value {
        let report = &self.report;
        json!({
            "id": report.id,
            "issuer": report.issuer,
            "state": self.state,
            "keys": report.kids,
            "lacks": self.lacks,
            "refresh_s": report.refresh_interval.as_secs(),
            "last_seen": members::instant(report.last_seen),
            "age_s": now.since(report.last_seen).unwrap_or_default().as_secs(),
        })
    }
}

fn print(verifiers: &[Judged], now: Timestamp) -> Outcome<()> {
    let mut table = Table::new(["verifier", "state", "issuer", "age", "keys", "lacks", "refresh"]);
    let mut tally = Tally::default();
    for Judged { report, state, lacks } in verifiers {
        tally.add(state);
        table.row([
            Cell::word(&report.id),
            Cell::state(*state),
            Cell::word(&report.issuer),
            Cell::word(age(report.last_seen, now)),
            Cell::word(report.kids.len().to_string()),
            Cell::text(lacks.join(", ")),
            Cell::word(humantime::format_duration(report.refresh_interval).to_string()),
        ]);
    }
    table.print(now)?;
    tally.tell("verifier", "verifiers");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use service_only_store::KeyRecord;

    use super::*;

    fn journal(prepared_at: i64, last_seen: i64, kids: &[&str]) -> Journal {
        let mut journal = Journal::default();
        journal.keys.push(KeyRecord {
            issuer: "i".to_owned(),
            kid: "new".to_owned(),
            algorithm: "ES256".to_owned(),
            state: KeyState::Prepared,
            file: None,
            public_jwk: None,
            prepared_at: Timestamp::from_unix(prepared_at),
            active_at: None,
            retiring_at: None,
            retired_at: None,
            expires_at: None,
        });
        journal.verifiers.push(VerifierReport {
            id: "orders-1".to_owned(),
            issuer: "i".to_owned(),
            kids: kids.iter().map(|kid| (*kid).to_owned()).collect(),
            refresh_interval: Duration::from_secs(60),
            last_seen: Timestamp::from_unix(last_seen),
        });
        journal
    }

    #[test]
    fn verifier_lags_only_after_its_refresh_interval_and_while_it_reports() {
        let now = Timestamp::from_unix(100_000);
        let state = |prepared, seen, kids: &[&str]| {
            judge(&journal(prepared, seen, kids), &RotationSettings::default(), now)[0].state
        };
        assert_eq!(state(99_000, 99_990, &["new"]), "running");
        assert_eq!(state(99_000, 99_990, &[]), "lagging");
        assert_eq!(state(99_950, 99_990, &[]), "running", "it may still fetch the key");
        assert_eq!(state(90_000, 96_000, &[]), "silent");
        assert_eq!(state(90_000, 96_000, &["new"]), "silent");
        let mut revoked = journal(99_000, 99_990, &[]);
        revoked.revoked.push("new".to_owned());
        assert_eq!(judge(&revoked, &RotationSettings::default(), now)[0].state, "running");
    }
}
