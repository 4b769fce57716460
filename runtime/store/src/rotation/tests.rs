//! Tests the plan of many journals, by tables and by a simulation.

mod simulation;

use std::time::Duration;

use super::*;
use crate::store::KeyUse;

const NOW: i64 = 1_767_225_600;
const DAY: i64 = 24 * 3600;
const HOUR: i64 = 3600;

/// The instant so many seconds after [`NOW`].
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(NOW + seconds)
}

fn key(kid: &str, state: KeyState, age: i64) -> KeyRecord {
    let began = at(-age);
    let reached = |stages: &[KeyState]| stages.contains(&state).then_some(began);
    use KeyState::{Active, Retired, Retiring};
    KeyRecord {
        issuer: "bakery-auth".to_owned(),
        kid: kid.to_owned(),
        algorithm: "ES256".to_owned(),
        state,
        file: None,
        public_jwk: None,
        prepared_at: began,
        active_at: reached(&[Active, Retiring, Retired]),
        retiring_at: reached(&[Retiring, Retired]),
        retired_at: reached(&[Retired]),
        expires_at: None,
    }
}

fn journal(keys: &[KeyRecord]) -> Journal {
    Journal { keys: keys.to_vec(), ..Journal::default() }
}

fn holder(kid: &str, service: &str, ends: i64) -> KeyHolder {
    KeyHolder { kid: kid.to_owned(), service: service.to_owned(), last_expiry: at(ends) }
}

fn used(kid: &str, service: &str, ago: i64) -> KeyUse {
    KeyUse { kid: kid.to_owned(), service: service.to_owned(), last_seen: at(-ago) }
}

fn verifier(id: &str, kids: &[&str], ago: i64) -> VerifierReport {
    VerifierReport {
        id: id.to_owned(),
        issuer: "bakery-auth".to_owned(),
        kids: kids.iter().map(|kid| (*kid).to_owned()).collect(),
        refresh_interval: Duration::from_secs(300),
        last_seen: at(-ago),
    }
}

fn plan(journal: &Journal) -> Plan {
    Plan::new(journal, &RotationSettings::default(), at(0))
}

fn activate(kid: &str) -> Step {
    Step::Activate { kid: Some(kid.to_owned()) }
}

fn retire(kid: &str) -> Step {
    Step::Retire { kid: kid.to_owned() }
}

/// The reasons that delay a key's retirement, as text.
fn held(journal: &Journal, kid: &str) -> Vec<String> {
    let plan = plan(journal);
    let planned = plan.steps.iter().find(|planned| planned.step == retire(kid)).unwrap();
    planned.needs.iter().map(ToString::to_string).collect()
}

#[test]
fn a_key_is_prepared_at_half_of_its_life_and_replaced_when_a_sixth_is_left() {
    use KeyState::{Active, Prepared};
    for (age, due) in
        [(0, None), (45 * DAY - 1, None), (45 * DAY, Some(Step::Prepare)), (99 * DAY, Some(Step::Prepare))]
    {
        assert_eq!(plan(&journal(&[key("old", Active, age)])).due(), due.as_ref(), "{age}");
    }
    for (age, due) in [(75 * DAY - 1, None), (75 * DAY, Some(activate("new")))] {
        let keys = [key("old", Active, age), key("new", Prepared, 2 * DAY)];
        assert_eq!(plan(&journal(&keys)).due(), due.as_ref(), "{age}");
    }
    assert_eq!(plan(&Journal::default()).due(), Some(&Step::Adopt));
}

#[test]
fn the_plan_of_a_new_key_contains_all_steps_and_times() {
    let mut journal = journal(&[key("old", KeyState::Active, 0)]);
    journal.holders.push(holder("old", "orders", 80 * DAY));
    let times: Vec<_> = plan(&journal).steps.into_iter().map(|planned| (planned.step, planned.at)).collect();
    assert_eq!(
        times,
        [
            (Step::Prepare, at(45 * DAY)),
            (Step::Activate { kid: None }, at(75 * DAY)),
            (retire("old"), at(80 * DAY + 300)),
        ]
    );
}

#[test]
fn a_key_signs_when_every_verifier_that_reports_has_it_or_after_the_longest_refresh_interval() {
    let both: &[&str] = &["old", "new"];
    let one: &[&str] = &["old"];
    let prepared_for =
        |age| journal(&[key("old", KeyState::Active, 80 * DAY), key("new", KeyState::Prepared, age)]);
    let cases: [(i64, Vec<VerifierReport>, Result<(), &str>); 7] = [
        (60, vec![verifier("a", both, 0), verifier("b", both, 9)], Ok(())),
        (60, vec![verifier("a", both, 0), verifier("b", one, 9)], Err("not loaded yet by b; at the latest")),
        // The verifier is gone; the plan waits only for the interval in which it would have learnt the key.
        (60, vec![verifier("a", both, 0), verifier("b", one, 2 * HOUR)], Ok(())),
        (60, vec![verifier("b", both, 2 * HOUR)], Err("no verifier reports; by")),
        (60, vec![], Err("no verifier reports; by")),
        (HOUR, vec![], Ok(())),
        (HOUR, vec![verifier("b", one, 9)], Ok(())),
    ];
    for (age, verifiers, expected) in cases {
        let journal = Journal { verifiers, ..prepared_for(age) };
        let plan = plan(&journal);
        let takeover = plan.steps.iter().find(|planned| planned.step == activate("new")).unwrap();
        match expected {
            Ok(()) => assert!(takeover.is_due(), "{age} {journal:?}"),
            Err(why) => assert!(takeover.needs[0].to_string().contains(why), "{:?}", takeover.needs),
        }
    }
    let late = Journal { verifiers: vec![verifier("b", one, 9)], ..prepared_for(HOUR) };
    assert!(plan(&late).warnings[0].to_string().contains("these verifiers still lack it: b"));
}

#[test]
fn a_verifier_that_refreshes_seldom_is_waited_for() {
    let mut journal =
        journal(&[key("old", KeyState::Active, 80 * DAY), key("new", KeyState::Prepared, 2 * HOUR)]);
    let refresh_interval = Duration::from_secs(3 * 3600);
    journal.verifiers.push(VerifierReport { refresh_interval, ..verifier("slow", &["old"], 9) });
    assert_eq!(plan(&journal).due(), None);
    journal.verifiers[0].kids.push("new".to_owned());
    assert_eq!(plan(&journal).due(), Some(&activate("new")));
}

#[test]
fn a_key_retires_when_its_last_token_has_expired_and_not_while_a_service_needs_it() {
    let keys = [key("new", KeyState::Active, DAY), key("old", KeyState::Retiring, DAY)];
    let with = |holders: &[KeyHolder], uses: &[KeyUse]| Journal {
        holders: holders.to_vec(),
        uses: uses.to_vec(),
        ..journal(&keys)
    };
    let ended = holder("old", "orders", -400);
    assert_eq!(plan(&with(std::slice::from_ref(&ended), &[])).due(), Some(&retire("old")));
    assert_eq!(held(&with(&[holder("old", "orders", -299)], &[]), "old").len(), 1, "within the leeway");
    let needed = with(&[ended.clone(), holder("old", "sales", 60)], &[used("old", "sales", 30)]);
    assert_eq!(
        held(&needed, "old"),
        ["`sales` has a token of this key until 2026-01-01T00:06:00Z, last seen at 2025-12-31T23:59:30Z"]
    );
    // The key was used before its end, and not since.
    assert_eq!(
        plan(&with(std::slice::from_ref(&ended), &[used("old", "orders", 500)])).due(),
        Some(&retire("old"))
    );
    // The key was used by a service that the registry does not have.
    let unknown = with(&[ended], &[used("old", "stock", 60)]);
    assert_eq!(
        held(&unknown, "old"),
        ["`stock` was seen at 2025-12-31T23:59:00Z with a token of this key that the registry does not know"]
    );
}

#[test]
fn a_key_without_known_tokens_retires_after_the_longest_lifetime() {
    let retiring = |age| journal(&[key("new", KeyState::Active, age), key("old", KeyState::Retiring, age)]);
    assert!(held(&retiring(364 * DAY), "old")[0].contains("the registry has no token of this key"));
    assert_eq!(plan(&retiring(366 * DAY)).due(), Some(&retire("old")));
}

/// A key of a set that was published by hand.
#[test]
fn adopted_key_goes_with_the_last_token_that_the_registry_knows_and_else_after_the_longest_life() {
    let adopted =
        KeyRecord { active_at: None, expires_at: Some(at(60)), ..key("old", KeyState::Retiring, DAY) };
    let known = |ends| Journal {
        holders: vec![holder("old", "orders", ends)],
        ..journal(&[key("new", KeyState::Active, DAY), adopted.clone()])
    };
    assert_eq!(
        held(&known(60), "old"),
        ["`orders` has a token of this key until 2026-01-01T00:06:00Z, never seen in use"]
    );
    assert_eq!(plan(&known(-300)).due(), Some(&retire("old")));
    let unknown = journal(&[key("new", KeyState::Active, DAY), adopted.clone()]);
    assert!(
        held(&unknown, "old")[0].contains("the registry has no token of this key"),
        "{:?}",
        held(&unknown, "old")
    );
    let old = KeyRecord { retiring_at: Some(at(-365 * DAY - 300)), ..adopted };
    assert_eq!(plan(&journal(&[key("new", KeyState::Active, DAY), old])).due(), Some(&retire("old")));
}

#[test]
fn disuse_counts_where_verifiers_report_and_the_service_has_a_new_token() {
    let base = |age| {
        let mut journal = journal(&[key("new", KeyState::Active, age), key("old", KeyState::Retiring, age)]);
        journal.holders = vec![holder("new", "orders", 90 * DAY), holder("old", "orders", 90 * DAY)];
        journal.verifiers = vec![verifier("a", &["old", "new"], 9)];
        journal
    };
    assert_eq!(plan(&base(8 * DAY)).due(), Some(&retire("old")));
    assert_eq!(held(&base(8 * DAY - 1), "old").len(), 1, "not watched for long enough");
    for spoil in [
        |journal: &mut Journal| journal.verifiers.clear(),
        |journal: &mut Journal| journal.uses.push(used("old", "orders", 7 * DAY)),
        |journal: &mut Journal| {
            journal.holders.remove(0);
        },
    ] {
        let mut journal = base(8 * DAY);
        spoil(&mut journal);
        assert_eq!(held(&journal, "old").len(), 1, "{journal:?}");
    }
}

#[test]
fn a_key_that_stopped_signing_is_kept_for_tokens_being_minted() {
    let mut journal = journal(&[key("new", KeyState::Active, 60), key("old", KeyState::Retiring, 60)]);
    journal.holders.push(holder("old", "orders", -DAY));
    assert_eq!(plan(&journal).due(), None);
    assert_eq!(held(&journal, "old"), ["not before 2026-01-01T00:59:00Z"]);
}

#[test]
fn a_revoked_active_key_is_reported() {
    let mut journal = journal(&[key("old", KeyState::Active, 0)]);
    journal.revoked.push("old".to_owned());
    assert_eq!(plan(&journal).warnings, [Warning::ActiveRevoked { kid: "old".to_owned() }]);
    assert!(plan(&journal).warnings[0].to_string().contains("rotate --emergency=old"));
}

#[test]
fn step_that_was_due_for_more_than_two_hours_is_overdue() {
    use KeyState::{Active, Prepared, Retiring};
    let retired_at = 365 * DAY + 300;
    for (keys, step, due_at) in [
        (vec![key("old", Active, 0)], Step::Prepare, 45 * DAY),
        (vec![key("old", Active, 0), key("new", Prepared, 0)], activate("new"), 75 * DAY),
        (vec![key("new", Active, -365 * DAY), key("old", Retiring, 0)], retire("old"), retired_at),
    ] {
        for (late, overdue) in [(0, false), (2 * HOUR - 1, false), (2 * HOUR, true)] {
            let plan = Plan::new(&journal(&keys), &RotationSettings::default(), at(due_at + late));
            let planned = plan.steps.iter().find(|planned| planned.step == step).unwrap();
            assert_eq!((planned.is_due(), planned.overdue), (true, overdue), "{step:?} {late}");
            let warning = Warning::Overdue { step: step.clone() };
            assert_eq!(plan.warnings.contains(&warning), overdue, "{:?}", plan.warnings);
        }
    }
    assert!(!plan(&Journal::default()).steps[0].overdue, "a store without keys has missed nothing");
}

#[test]
fn active_key_that_is_older_than_its_life_is_told() {
    for (age, told) in [(90 * DAY, false), (90 * DAY + 1, true)] {
        let plan = plan(&journal(&[key("old", KeyState::Active, age)]));
        let warning = Warning::PastLife { kid: "old".to_owned(), ended: at(90 * DAY - age) };
        assert_eq!(plan.warnings.contains(&warning), told, "{age}: {:?}", plan.warnings);
    }
}

#[test]
fn warnings_are_counted_for_prometheus_by_kind() {
    let mut journal = journal(&[key("old", KeyState::Active, 91 * DAY)]);
    journal.revoked.push("old".to_owned());
    let text = plan(&journal).exposition("bakery-auth");
    for (kind, count) in [
        ("active_key_revoked", 1),
        ("key_past_life", 1),
        ("run_unfinished", 0),
        ("step_overdue", 1),
        ("unknown_keys", 0),
        ("unknown_to_verifiers", 0),
        ("unmanaged_keys", 0),
    ] {
        let line =
            format!("service_only_rotation_warnings{{issuer=\"bakery-auth\",kind=\"{kind}\"}} {count}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[test]
fn settings_that_do_not_fit_together_are_refused() {
    let share = |text: &str| text.parse::<LifeLeft>();
    for text in ["", "1", "0/2", "2/2", "3/2", "-1/2", "1/x", "50%"] {
        assert!(share(text).is_err(), "{text}");
    }
    let mut settings = RotationSettings::default();
    assert_eq!(settings.check(), Ok(()));
    settings.prepare = share("1/7").unwrap();
    let error = settings.check().unwrap_err().to_string();
    assert!(error.contains("`prepare` (1/7) is less than `activate` (1/6)"), "{error}");
    settings.key_life = Duration::from_secs(1);
    assert!(settings.check().unwrap_err().to_string().contains("two seconds"));
}

#[test]
fn extreme_times_are_planned_without_overflow() {
    for extreme in [i64::MIN, -1, 0, i64::MAX].map(Timestamp::from_unix) {
        let mut record = key("old", KeyState::Active, 0);
        (record.active_at, record.prepared_at) = (Some(extreme), extreme);
        let mut prepared = key("new", KeyState::Prepared, 0);
        prepared.prepared_at = extreme;
        let mut retiring = key("older", KeyState::Retiring, 0);
        retiring.retiring_at = Some(extreme);
        let mut journal = journal(&[record.clone(), prepared, retiring]);
        journal.holders.push(KeyHolder {
            kid: "older".to_owned(),
            service: "orders".to_owned(),
            last_expiry: extreme,
        });
        journal.uses.push(KeyUse {
            kid: "older".to_owned(),
            service: "orders".to_owned(),
            last_seen: extreme,
        });
        journal.verifiers.push(VerifierReport {
            refresh_interval: Duration::MAX,
            last_seen: extreme,
            ..verifier("a", &[], 0)
        });
        for now in [i64::MIN, NOW, i64::MAX].map(Timestamp::from_unix) {
            let settings = RotationSettings { key_life: Duration::MAX, ..RotationSettings::default() };
            let _ = Plan::new(&journal, &settings, now);
            record.expires_at = Some(extreme);
            journal.keys[0] = record.clone();
            let _ = Plan::new(&journal, &RotationSettings::default(), now);
        }
    }
}
