//! Decides when a signing key is prepared, takes over and retires, from the journal alone.
//!
//! The plan is pure: the same journal at the same instant gives the same plan. The plan omits completed
//! steps, so you can rerun a rotation that was killed halfway. The command `service-token rotate` makes
//! one step, reads the journal again, and makes the next step.

mod needs;
mod reporter;
mod settings;
mod warning;

use std::time::Duration;

pub use needs::Need;
pub use reporter::{KeyReporter, KeyReporterBuilder};
pub use settings::{InvalidLifeLeft, InvalidRotationSettings, LifeLeft, RotationSettings};
pub use warning::Warning;

pub use crate::store::{Journal, KeyHolder};
use crate::store::{KeyRecord, VerifierReport};
use service_only::{clock::Timestamp, keys::KeyState};

/// A step in the life of an issuer's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a program that rotates keys has to handle every step")]
pub enum Step {
    /// The key that signs so far is recorded as the active one.
    Adopt,
    /// A new key is created and published, and does not sign yet.
    Prepare,
    /// The prepared key signs from now on; the previous key only verifies.
    Activate {
        /// The key; `None` if it does not exist yet.
        kid: Option<String>,
    },
    /// A key is withdrawn: verifiers refuse its tokens.
    Retire {
        /// The key.
        kid: String,
    },
}

/// A step, its expected time, and what prevents it now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// The step.
    pub step: Step,
    /// The expected time by the current state. Later events may move it forward or delay it.
    pub at: Timestamp,
    /// What the step waits for. A step without needs is due.
    pub needs: Vec<Need>,
    /// Whether the step has been due for longer than [`Plan::OVERDUE_AFTER`].
    pub overdue: bool,
}

impl Planned {
    /// Whether the step is due now.
    pub fn is_due(&self) -> bool {
        self.needs.is_empty()
    }

    fn new(step: Step, now: Timestamp, needs: Vec<Need>) -> Self {
        let at = needs.iter().map(Need::until).max().unwrap_or(now);
        Self { step, at, needs, overdue: false }
    }
}

/// The next steps in the order of time; a step that is due comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Planned>,
    /// What an operator should look at.
    pub warnings: Vec<Warning>,
}

impl Plan {
    /// How long a step may be due before it is overdue. The timer runs every hour, and one run may fail.
    pub const OVERDUE_AFTER: Duration = Duration::from_secs(2 * 3600);

    /// Plans the next steps from the journal at an instant.
    pub fn new(journal: &Journal, settings: &RotationSettings, now: Timestamp) -> Self {
        Planner { journal, settings, now }.plan()
    }

    /// The step to make now.
    pub fn due(&self) -> Option<&Step> {
        self.steps.iter().find(|planned| planned.is_due()).map(|planned| &planned.step)
    }
}

struct Planner<'a> {
    journal: &'a Journal,
    settings: &'a RotationSettings,
    now: Timestamp,
}

impl Planner<'_> {
    fn plan(&self) -> Plan {
        let mut plan = self.steps();
        // A step that was due long ago, by the same journal, has been missed by several runs.
        let earlier = Planner { now: self.now.minus(Plan::OVERDUE_AFTER), ..*self }.steps();
        for planned in plan.steps.iter_mut().filter(|planned| planned.is_due()) {
            planned.overdue = planned.step != Step::Adopt
                && earlier.steps.iter().any(|before| before.step == planned.step && before.is_due());
        }
        let overdue = plan.steps.iter().filter(|planned| planned.overdue);
        plan.warnings.extend(overdue.map(|planned| Warning::Overdue { step: planned.step.clone() }));
        if let Some(active) = self.only(KeyState::Active) {
            let (kid, ended) = (active.kid.clone(), self.settings.end_of(active));
            if ended < self.now {
                plan.warnings.push(Warning::PastLife { kid: kid.clone(), ended });
            }
            if self.journal.revoked.contains(&kid) {
                plan.warnings.push(Warning::ActiveRevoked { kid });
            }
        }
        plan.steps.sort_by_key(|planned| (!planned.is_due(), planned.at));
        plan
    }

    /// The steps, with the warnings that come with one of them.
    fn steps(&self) -> Plan {
        let mut plan = Plan { steps: self.retirements(), warnings: Vec::new() };
        match (self.only(KeyState::Active), self.only(KeyState::Prepared)) {
            (None, None) => plan.steps.push(Planned::new(Step::Adopt, self.now, Vec::new())),
            (active, Some(prepared)) => {
                let takeover = self.activation(active, prepared, &mut plan.warnings);
                plan.steps.extend(active.map(|active| self.later_retirement(active, takeover.at)));
                plan.steps.push(takeover);
            }
            (Some(active), None) => plan.steps.extend(self.next_key(active)),
        }
        plan
    }

    /// The only key in this stage: the store allows at most one prepared and at most one active key.
    fn only(&self, stage: KeyState) -> Option<&KeyRecord> {
        self.journal.keys.iter().find(|key| key.state == stage)
    }

    /// Plans the steps for a key that has no successor yet.
    fn next_key(&self, active: &KeyRecord) -> [Planned; 3] {
        let ends = self.settings.end_of(active);
        let prepare =
            self.not_before(Step::Prepare, self.settings.prepare.before(active, ends, self.settings));
        let takeover = self.settings.activate.before(active, ends, self.settings);
        let takeover = takeover.max(prepare.at.plus(self.settings.refresh()));
        let activate =
            Planned::new(Step::Activate { kid: None }, self.now, vec![Need::Time { until: takeover }]);
        let retire = self.later_retirement(active, takeover);
        [prepare, activate, retire]
    }

    fn activation(
        &self,
        active: Option<&KeyRecord>,
        prepared: &KeyRecord,
        warnings: &mut Vec<Warning>,
    ) -> Planned {
        let mut needs = Vec::new();
        if let Some(active) = active {
            let from = self.settings.activate.before(active, self.settings.end_of(active), self.settings);
            needs.extend(self.time(from));
        }
        let reporting = || self.reporting();
        let longest = reporting()
            .map(|verifier| verifier.refresh_interval)
            .fold(self.settings.refresh(), Duration::max);
        let latest = prepared.prepared_at.plus(longest);
        let lacking: Vec<_> = reporting()
            .filter(|verifier| !verifier.kids.contains(&prepared.kid))
            .map(|verifier| verifier.id.clone())
            .collect();
        // If no verifier reports, nothing proves that all verifiers have the key.
        let known_by_all = lacking.is_empty() && reporting().next().is_some();
        if !known_by_all && self.now < latest {
            needs.push(Need::Verifiers { lacking, until: latest });
        } else if !lacking.is_empty() {
            warnings.push(Warning::UnknownToVerifiers { kid: prepared.kid.clone(), verifiers: lacking });
        }
        Planned::new(Step::Activate { kid: Some(prepared.kid.clone()) }, self.now, needs)
    }

    fn retirements(&self) -> Vec<Planned> {
        let retiring = self.journal.keys.iter().filter(|key| key.state == KeyState::Retiring);
        retiring
            .map(|key| Planned::new(Step::Retire { kid: key.kid.clone() }, self.now, self.needs_of(key)))
            .collect()
    }

    /// When an active key will retire: not before its successor signs and its last token has expired.
    fn later_retirement(&self, active: &KeyRecord, takeover: Timestamp) -> Planned {
        let holders = self.journal.holders.iter().filter(|holder| holder.kid == active.kid);
        let last = holders.map(|holder| holder.last_expiry).max();
        let tokens_end = last.unwrap_or_else(|| takeover.plus(self.settings.token_life));
        let until = tokens_end.plus(self.settings.leeway).max(takeover.plus(self.settings.refresh()));
        Planned::new(Step::Retire { kid: active.kid.clone() }, self.now, vec![Need::Time { until }])
    }

    fn not_before(&self, step: Step, from: Timestamp) -> Planned {
        Planned::new(step, self.now, self.time(from).into_iter().collect())
    }

    fn time(&self, from: Timestamp) -> Option<Need> {
        (self.now < from).then_some(Need::Time { until: from })
    }

    /// The verifiers that are running. A verifier that has been silent for long has stopped, or fetches keys
    /// without reports.
    fn reporting(&self) -> impl Iterator<Item = &VerifierReport> {
        let since = self.now.minus(self.settings.verifier_silence);
        self.journal.verifiers.iter().filter(move |verifier| verifier.last_seen > since)
    }
}

#[cfg(test)]
mod tests;
