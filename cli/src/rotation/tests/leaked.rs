//! Tests a leaked key: it is revoked first, and retired in whichever stage it was.

use super::bench::{ALL, Bench, Run};
use crate::rotation::*;
use crate::store::now;
use service_only_store::rotation::Warning;

#[test]
fn leaked_key_that_no_longer_signs_is_retired_alone() {
    for stage in [KeyState::Prepared, KeyState::Retiring] {
        let bench = Bench::new();
        assert!(bench.run(Run::Due, None, ALL));
        if stage == KeyState::Retiring {
            bench.report();
            assert!(bench.run(Run::Due, None, ALL));
        }
        let (signing, journal) = (bench.site.current().unwrap(), bench.journal());
        let leaked = kid_in(&journal, stage).unwrap();
        assert!(bench.run(Run::Emergency(Successor::Fresh), Some(leaked), ALL));
        assert!(
            bench.journal().revoked.contains(&leaked.to_owned())
                && !bench.published().contains(&leaked.to_owned())
        );
        assert_eq!(bench.site.current().unwrap().kid(), signing.kid());
        assert_eq!(bench.left().stages.len(), 3);
    }
}

#[test]
fn key_that_leaked_is_revoked_before_anything_else_happens() {
    let bench = Bench::new();
    let leaked = bench.site.current().unwrap().kid().to_string();
    assert!(!bench.run(Run::Emergency(Successor::Fresh), None, 0));
    assert_eq!(bench.journal().revoked, std::slice::from_ref(&leaked));
    let plan = Plan::new(&bench.journal(), &bench.site.settings, now());
    let revoked = Warning::ActiveRevoked { kid: leaked };
    assert!(plan.warnings.contains(&revoked), "{:?}", plan.warnings);
}

#[test]
fn key_that_a_killed_run_published_is_revoked_with_the_leaked_key_and_never_adopted() {
    let mut met = 0;
    for cut_after in 0..8 {
        let bench = Bench::new();
        if bench.run(Run::Due, None, cut_after) {
            break;
        }
        let recorded: Vec<_> = bench.journal().keys.into_iter().map(|key| key.kid).collect();
        let Some(leftover) = bench.published().into_iter().find(|kid| !recorded.contains(kid)) else {
            continue;
        };
        met += 1;
        assert!(bench.run(Run::Emergency(Successor::Fresh), None, ALL));
        assert!(bench.journal().revoked.contains(&leftover) && !bench.published().contains(&leftover));
        bench.left();
    }
    assert!(met > 0, "no run was killed between the set and the journal");
}
