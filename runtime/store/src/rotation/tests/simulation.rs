//! Simulates a fleet that mints, calls, restarts and rotates at random, and checks the invariants after each
//! event.

use std::ops::Range;

use proptest::{collection::vec, prelude::*};

use super::{at, *};

const DAY: u64 = 24 * HOUR;
const HOUR: u64 = 3600;

/// The events of a simulation.
#[derive(Debug, Clone)]
enum Event {
    Pass(Duration),
    Mint { service: usize, life: Duration },
    MintUnknown { service: usize, life: Duration },
    Call { service: usize },
    Report { verifier: usize },
    Rotate,
}

fn event() -> impl Strategy<Value = Event> {
    let span = prop_oneof![seconds(1..HOUR), seconds(HOUR..DAY), seconds(DAY..20 * DAY)];
    let life = || seconds(HOUR..60 * DAY);
    prop_oneof![
        3 => span.prop_map(Event::Pass),
        2 => (0..3_usize, life()).prop_map(|(service, life)| Event::Mint { service, life }),
        1 => (0..3_usize, life()).prop_map(|(service, life)| Event::MintUnknown { service, life }),
        2 => (0..3_usize).prop_map(|service| Event::Call { service }),
        2 => (0..2_usize).prop_map(|verifier| Event::Report { verifier }),
        3 => Just(Event::Rotate),
    ]
}

fn seconds(range: Range<u64>) -> impl Strategy<Value = Duration> {
    range.prop_map(Duration::from_secs)
}

/// The fleet. Each verifier checks for new keys within the longest interval.
struct Fleet {
    journal: Journal,
    settings: RotationSettings,
    now: Timestamp,
    made: usize,
    /// Service, key, expiry.
    tokens: Vec<(usize, String, Timestamp)>,
}

impl Fleet {
    fn new() -> Self {
        let settings = RotationSettings {
            token_life: Duration::from_secs(60 * 24 * 3600),
            ..RotationSettings::default()
        };
        Self { journal: Journal::default(), settings, now: at(0), made: 0, tokens: Vec::new() }
    }

    fn plan(&self) -> Plan {
        Plan::new(&self.journal, &self.settings, self.now)
    }

    fn of(&self, stage: KeyState) -> Vec<String> {
        let keys = self.journal.keys.iter().filter(|key| key.state == stage);
        keys.map(|key| key.kid.clone()).collect()
    }

    fn active(&self) -> Option<String> {
        self.of(KeyState::Active).into_iter().next()
    }

    fn live(&self) -> Vec<String> {
        let keys = self.journal.keys.iter().filter(|key| key.state != KeyState::Retired);
        keys.map(|key| key.kid.clone()).collect()
    }

    fn happen(&mut self, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::Pass(span) => self.now = self.now.plus(*span),
            Event::Mint { service, life } => self.mint(*service, *life, true),
            Event::MintUnknown { service, life } => self.mint(*service, *life, false),
            Event::Call { service } => self.call(*service),
            Event::Report { verifier } => {
                let id = format!("verifier-{verifier}");
                self.journal.verifiers.retain(|report| report.id != id);
                let live = self.live();
                let kids: Vec<_> = live.iter().map(String::as_str).collect();
                let report = VerifierReport { last_seen: self.now, ..super::verifier(&id, &kids, 0) };
                self.journal.verifiers.push(report);
            }
            Event::Rotate => self.rotate()?,
        }
        Ok(())
    }

    fn mint(&mut self, service: usize, life: Duration, known: bool) {
        let Some(kid) = self.active() else { return };
        let ends = self.now.plus(life);
        self.tokens.push((service, kid.clone(), ends));
        if !known {
            return;
        }
        let service = format!("service-{service}");
        let holders = &mut self.journal.holders;
        match holders.iter_mut().find(|holder| holder.kid == kid && holder.service == service) {
            Some(holder) => holder.last_expiry = holder.last_expiry.max(ends),
            None => holders.push(KeyHolder { kid, service, last_expiry: ends }),
        }
    }

    /// Calls with the newest valid token. Reporting verifiers record the use, if there are any.
    fn call(&mut self, service: usize) {
        let (live, now) = (self.live(), self.now);
        let good = |token: &&(usize, String, Timestamp)| {
            token.0 == service && token.2 > now && live.contains(&token.1)
        };
        let Some((_, kid, _)) = self.tokens.iter().rev().find(good).cloned() else { return };
        if self.journal.verifiers.is_empty() {
            return;
        }
        let service = format!("service-{service}");
        self.journal.uses.retain(|used| !(used.kid == kid && used.service == service));
        self.journal.uses.push(KeyUse { kid, service, last_seen: now });
    }

    fn rotate(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..16 {
            let plan = self.plan();
            prop_assert_eq!(&plan, &self.plan(), "the same journal, the same plan");
            let Some(step) = plan.due().cloned() else {
                prop_assert!(plan.steps.iter().all(|planned| planned.at > self.now), "{:?}", plan.steps);
                return Ok(());
            };
            self.make(&step)?;
            self.check()?;
            let again = self.plan().due() == Some(&step);
            prop_assert!(!again, "a step that was made is not planned again: {step:?}");
        }
        prop_assert!(false, "a rotation without end: {:?}", self.journal.keys);
        Ok(())
    }

    fn make(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now;
        let stage = |fleet: &mut Self, kid: &str, state: KeyState| {
            let key = fleet.journal.keys.iter_mut().find(|key| key.kid == kid).unwrap();
            key.state = state;
            match state {
                KeyState::Prepared => key.prepared_at = now,
                KeyState::Active => key.active_at = Some(now),
                KeyState::Retiring => key.retiring_at = Some(now),
                KeyState::Retired => key.retired_at = Some(now),
            }
        };
        match step {
            Step::Adopt | Step::Prepare => {
                let kid = format!("key-{}", self.made);
                self.made += 1;
                let state = if *step == Step::Adopt { KeyState::Active } else { KeyState::Prepared };
                self.journal.keys.push(super::key(&kid, state, NOW - now.unix()));
            }
            Step::Activate { kid } => {
                let kid = kid.clone().unwrap();
                let published = self.journal.keys.iter().find(|key| key.kid == kid).unwrap().prepared_at;
                let everywhere = self.journal.verifiers.iter().all(|report| report.kids.contains(&kid));
                prop_assert!(
                    everywhere
                        || now >= published.plus(Duration::from_secs(HOUR))
                        || !self.journal.verifiers.is_empty()
                );
                for former in self.of(KeyState::Active) {
                    stage(self, &former, KeyState::Retiring);
                }
                stage(self, &kid, KeyState::Active);
            }
            Step::Retire { kid } => {
                self.may_retire(kid)?;
                stage(self, kid, KeyState::Retired);
            }
        }
        Ok(())
    }

    /// If a service has a recorded, valid token of a key, the key may retire only under two conditions. The
    /// service has a token of the new key, and verifiers have not seen the old key for long.
    fn may_retire(&self, kid: &str) -> Result<(), TestCaseError> {
        prop_assert!(self.of(KeyState::Retiring).contains(&kid.to_owned()), "only a key that ceased to sign");
        let active = self.active().unwrap();
        for holder in
            self.journal.holders.iter().filter(|holder| holder.kid == kid && holder.last_expiry > self.now)
        {
            let mut others = self.journal.holders.iter();
            let replaced = others.any(|other| {
                other.kid == active && other.service == holder.service && other.last_expiry > self.now
            });
            let used = self.journal.uses.iter().any(|used| {
                used.kid == kid
                    && used.service == holder.service
                    && used.last_seen > self.now.minus(Duration::from_secs(8 * DAY))
            });
            let watched = self
                .journal
                .verifiers
                .iter()
                .any(|report| report.last_seen > self.now.minus(Duration::from_secs(HOUR)));
            prop_assert!(replaced && watched && !used, "{holder:?} still needs it");
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.of(KeyState::Active).len(), 1, "one key signs, at every moment");
        prop_assert!(self.of(KeyState::Prepared).len() <= 1);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_key_signs_and_no_needed_key_retires(events in vec(event(), 1..80)) {
        let mut fleet = Fleet::new();
        fleet.rotate()?;
        for event in &events {
            fleet.happen(event)?;
            fleet.check()?;
        }
    }

    #[test]
    fn daily_rotation_retires_every_key_eventually(lives in vec(seconds(HOUR..40 * DAY), 1..6)) {
        let mut fleet = Fleet::new();
        for day in 0..360_u64 {
            fleet.now = at(0).plus(Duration::from_secs(day * DAY));
            fleet.rotate()?;
            let life = lives[usize::try_from(day).unwrap() % lives.len()];
            fleet.mint(0, life, true);
        }
        prop_assert!(fleet.of(KeyState::Retired).len() >= 3, "{:?}", fleet.journal.keys);
        prop_assert!(fleet.live().len() <= 3);
    }
}
