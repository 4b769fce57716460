//! The checks of a rotation: the journal of the store, the files that it describes, and the published set.

use service_only::keys::KeyState;
use service_only_store::Store;
use service_only_store::rotation::{Journal, Plan, Warning};

use super::{DoctorOptions, Report};
use crate::config::Config;
use crate::output;
use crate::problem::Outcome;
use crate::published::{self, ExistingSet, Unknown};
use crate::rotation::{Rotation, Site};
use crate::store::now;

const ROTATE: &str = "run `service-token rotate`";

/// What a killed rotation has left. `--fix` finishes the run.
pub(super) async fn leftovers(
    report: &mut Report,
    options: &DoctorOptions,
    store: &Store,
    site: &Site,
    journal: &Journal,
) -> Outcome<()> {
    let Some(what) = site.unfinished(journal) else { return Ok(()) };
    if !options.fix {
        report.problem(
            "leftovers",
            format!("a rotation did not finish: {what}"),
            "`service-token rotate` or `service-token doctor --fix` finishes it",
        );
        return Ok(());
    }
    options.consent.ask(&format!("A rotation did not finish: {what}. It will be finished."))?;
    let finished = async {
        let _lock = site.lock()?;
        Rotation::new(store, site, &mut || Ok(())).finish().await
    };
    match finished.await {
        Ok(_) => report.fixed("leftovers", format!("finished a rotation: {what}")),
        Err(problem) => report.failed("leftovers", &problem, ROTATE),
    }
    Ok(())
}

pub(super) fn journal(report: &mut Report, site: &Site, journal: &Journal) {
    if !report.is_clean("journal") {
        return;
    }
    let Some(active) = journal.keys.iter().find(|key| key.state == KeyState::Active) else {
        if journal.keys.is_empty() {
            report.skipped(
                "journal",
                "no key has been rotated yet; the first `service-token rotate` registers the key",
            );
        } else {
            report.problem(
                "journal",
                "no key is active",
                "run `service-token rotate` on the machine with the key",
            );
        }
        return;
    };
    let now = now();
    let plan = Plan::new(journal, &site.settings, now);
    for warning in &plan.warnings {
        match warning {
            Warning::ActiveRevoked { kid } => report.problem(
                "journal",
                format!("the active key `{kid}` is revoked, so nothing can be minted"),
                format!("run `service-token rotate --emergency={kid}`"),
            ),
            Warning::Overdue { .. } | Warning::PastLife { .. } => report.problem(
                "journal",
                warning.to_string(),
                "check the timer that runs `service-token rotate`, and run it",
            ),
            // The check of the verifiers has these.
            _ => {}
        }
    }
    // A key that cannot be read is a separate finding.
    if let Ok(own) = site.current()
        && own.kid().as_str() != active.kid
    {
        report.problem(
            "journal",
            format!("`{}` is the key `{}`, but `{}` is the active key", site.file.display(), own.kid(), active.kid),
            "copy the active key here, or mint and rotate on the machine that has it; after a leak, run `service-token rotate --emergency`",
        );
    }
    if report.is_clean("journal") {
        let step = plan.steps.first().map(|planned| output::relative(planned.at, now));
        let step = step.map(|at| format!("; the next step is {at}")).unwrap_or_default();
        report.ok("journal", format!("`{}` is the active key{step}", active.kid));
    }
}

pub(super) fn published(report: &mut Report, site: &Site, journal: &Journal) {
    let place = site.jwks.display();
    let set = match ExistingSet::read(&site.jwks, Unknown::Keep) {
        Ok(set) => set,
        Err(problem) => return report.failed("published set", &problem, "repair the set"),
    };
    let keys = set.kids().count();
    if keys == 0 && (site.jwks.exists() || !journal.keys.is_empty()) {
        let found = format!("`{place}` has no key, so verifiers that read it refuse each token");
        let next = format!("run `service-token jwks --out {place}`");
        return report.problem("published set", found, if journal.keys.is_empty() { &next } else { ROTATE });
    }
    if keys == 0 {
        return report.skipped(
            "published set",
            format!(
                "`{place}` has no key; `service-token rotate` or `service-token jwks --out {place}` writes it"
            ),
        );
    }
    match site.strange_keys(journal) {
        Ok(strange) => {
            for warning in strange {
                report.problem("published set", warning.to_string(), strange_remedy(&warning));
            }
        }
        Err(problem) => report.failed("published set", &problem, ROTATE),
    }
    // A key that cannot be read is a separate finding.
    if journal.keys.is_empty()
        && let Ok(own) = site.current()
        && !set.kids().any(|kid| kid == own.kid().as_str())
    {
        report.problem(
            "published set",
            format!("`{place}` lacks the key `{}`, which signs here", own.kid()),
            format!("run `service-token jwks --out {place}`, or restore the key that the set has"),
        );
    }
    if report.is_clean("published set") {
        report.ok("published set", format!("`{place}` has {keys} keys"));
    }
}

/// Before the first rotation, the published set decides which tokens verifiers accept, or the configured key if there
/// is no set. A secret is in no set.
pub(super) fn tokens(report: &mut Report, config: &Config, journal: &Journal) {
    if !journal.keys.is_empty() {
        return;
    }
    let path =
        Some(&config.rotation.jwks).filter(|path| !config.key.algorithm.is_symmetric() && path.exists());
    let known: Option<Vec<String>> = match path {
        Some(path) => {
            ExistingSet::read(path, Unknown::Keep).ok().map(|set| set.kids().map(str::to_owned).collect())
        }
        None => config.key.load().ok().map(|own| vec![own.kid().to_string()]),
    };
    // A set or a key that cannot be read is a separate finding.
    let Some(known) = known else { return };
    let place = path.unwrap_or(&config.key.path).display();
    if let Some(tokens) =
        published::lacking(&journal.holders, now(), |kid| known.iter().any(|known| known == kid))
    {
        report.problem(
            "tokens",
            format!("`{place}` lacks keys, so verifiers refuse {tokens}"),
            "restore the keys from a backup, or mint new tokens with `service-token generate --all --out-dir DIR`",
        );
    }
}

fn strange_remedy(warning: &Warning) -> &'static str {
    match warning {
        Warning::UnknownKeys { .. } => {
            "if you know the keys, run `service-token rotate`; otherwise `service-token rotate --emergency=KID`"
        }
        _ => "remove them with `service-token rotate --drop-unknown`, if no token needs them",
    }
}
