//! Tests rotations that stop between any two changes and run again: they end like an uninterrupted one.

use super::bench::{ALL, Bench, Left, Run};
use crate::rotation::*;

/// Stops the last of these runs after each number of changes, and runs it again.
fn cut_anywhere(before: &[Run], run: Run) -> Left {
    let prepared = || {
        let bench = Bench::new();
        for run in before {
            assert!(bench.run(*run, None, ALL));
            bench.report();
        }
        bench
    };
    let undisturbed = prepared();
    assert!(undisturbed.run(run, None, ALL));
    let expected = undisturbed.left();
    for cut_after in 0.. {
        let bench = prepared();
        let leaked = bench.site.current().unwrap().kid().to_string();
        let done = bench.run(run, Some(&leaked), cut_after);
        bench.check(run);
        assert!(bench.run(run, Some(&leaked), ALL));
        assert_eq!(bench.left(), expected, "{run:?} cut off after {cut_after} changes");
        if done {
            assert!(cut_after >= 2, "{run:?} is cut nowhere");
            break;
        }
    }
    expected
}

fn names(files: &[&str]) -> Vec<String> {
    files.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn interrupted_rotation_is_completed_by_the_next_run() {
    use KeyState::{Active, Prepared, Retired, Retiring};
    let prepared = cut_anywhere(&[], Run::Due);
    assert_eq!(prepared.stages, [Active, Prepared, Retired]);
    assert_eq!(
        prepared.files,
        names(&["jwks.json", "key-next.pem", "key.pem", "service-token.toml", "tokens.db"])
    );
    let activated = cut_anywhere(&[Run::Due], Run::Due);
    assert_eq!(activated.stages, [Active, Retired, Retiring]);
    assert_eq!(activated.files, names(&["jwks.json", "key.pem", "service-token.toml", "tokens.db"]));
}

#[test]
fn interrupted_emergency_is_completed_once_by_the_next_run() {
    use KeyState::{Active, Retired, Retiring};
    let fresh = cut_anywhere(&[], Run::Emergency(Successor::Fresh));
    // The oldest key stays until a normal run checks it.
    assert_eq!((fresh.stages, fresh.published), (vec![Active, Retired, Retiring], 2));
    let with_prepared = cut_anywhere(&[Run::Due], Run::Emergency(Successor::Fresh));
    assert_eq!((with_prepared.stages, with_prepared.published), (vec![Active, Retired, Retired, Retired], 1));
    let kept = cut_anywhere(&[Run::Due], Run::Emergency(Successor::Prepared));
    assert_eq!((kept.stages, kept.published), (vec![Active, Retired, Retired], 1));
}

#[test]
fn repeated_emergency_without_a_key_id_finds_the_leaked_key_by_its_file() {
    let bench = Bench::new();
    let leaked = bench.site.current().unwrap().kid().to_string();
    let mut cut_after = 0;
    while bench.journal().keys.iter().all(|key| key.state != KeyState::Retired) {
        assert!(!bench.run(Run::Emergency(Successor::Fresh), None, cut_after));
        cut_after += 1;
    }
    assert_eq!(bench.site.current().unwrap().kid().as_str(), leaked, "cut off before the files followed");
    assert!(bench.run(Run::Emergency(Successor::Fresh), None, ALL));
    assert_eq!(bench.left().stages, [KeyState::Active, KeyState::Retired, KeyState::Retiring]);
}
