//! Tests rotations that stop between any two changes and run again: they end like an uninterrupted one.

use std::sync::atomic::Ordering;

use super::bench::{ALL, Bench, ISSUER, Left, Place, Run, with_store};
use crate::rotation::*;

/// Stops the last of these runs after each number of changes, and runs it again.
fn cut_anywhere(place: Place, before: &[Run], run: Run) -> Left {
    let prepared = || {
        let bench = Bench::at(place);
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
    for place in [Place::File, Place::Device] {
        let prepared = cut_anywhere(place, &[], Run::Due);
        assert_eq!(prepared.stages, [Active, Prepared, Retired]);
        assert_eq!(
            prepared.files,
            names(&["jwks.json", "key-next.pem", "key.pem", "service-token.toml", "tokens.db"])
        );
        let activated = cut_anywhere(place, &[Run::Due], Run::Due);
        assert_eq!(activated.stages, [Active, Retired, Retiring]);
        assert_eq!(activated.files, names(&["jwks.json", "key.pem", "service-token.toml", "tokens.db"]));
    }
}

#[test]
fn interrupted_emergency_is_completed_once_by_the_next_run() {
    use KeyState::{Active, Retired, Retiring};
    for place in [Place::File, Place::Device] {
        let fresh = cut_anywhere(place, &[], Run::Emergency(Successor::Fresh));
        // The oldest key stays until a normal run checks it.
        assert_eq!((fresh.stages, fresh.published), (vec![Active, Retired, Retiring], 2));
        let with_prepared = cut_anywhere(place, &[Run::Due], Run::Emergency(Successor::Fresh));
        assert_eq!(
            (with_prepared.stages, with_prepared.published),
            (vec![Active, Retired, Retired, Retired], 1)
        );
        let kept = cut_anywhere(place, &[Run::Due], Run::Emergency(Successor::Prepared));
        assert_eq!((kept.stages, kept.published), (vec![Active, Retired, Retired], 1));
    }
}

#[test]
fn device_that_is_cut_off_after_any_call_gets_no_second_key() {
    use KeyState::{Active, Prepared, Retired, Retiring};
    for (before, stages, created) in
        [(&[][..], [Active, Prepared, Retired], 2), (&[Run::Due], [Active, Retired, Retiring], 2)]
    {
        for calls in 0.. {
            let bench = Bench::at(Place::Device);
            for run in before {
                assert!(bench.run(*run, None, ALL));
                bench.report();
            }
            *bench.device.calls_left.lock().unwrap() = Some(calls);
            let done = bench.run(Run::Due, None, ALL);
            bench.check(Run::Due);
            *bench.device.calls_left.lock().unwrap() = None;
            assert!(bench.run(Run::Due, None, ALL));
            assert_eq!(bench.left().stages, stages, "cut off after {calls} calls");
            assert_eq!(bench.device.created.load(Ordering::Relaxed), created, "cut off after {calls} calls");
            if done && calls > 0 {
                break;
            }
        }
    }
}

#[test]
fn run_that_is_killed_anywhere_creates_no_second_key_in_a_device() {
    for cut_after in 0.. {
        let bench = Bench::at(Place::Device);
        let done = bench.run(Run::Due, None, cut_after);
        assert!(bench.run(Run::Due, None, ALL));
        assert_eq!(bench.device.created.load(Ordering::Relaxed), 2, "cut off after {cut_after} changes");
        bench.left();
        if done {
            break;
        }
    }
}

#[test]
fn journal_names_a_key_of_a_device_by_its_reference() {
    let bench = Bench::at(Place::Device);
    assert!(bench.run(Run::Due, None, ALL));
    let journal = bench.journal();
    let prepared = journal.keys.iter().find(|key| key.state == KeyState::Prepared).unwrap();
    let file = with_store(&bench.folder, async |store| {
        let keys = store.keys(ISSUER).await.unwrap();
        Ok(keys.into_iter().find(|key| key.kid == prepared.kid).unwrap().file)
    });
    let names = bench.device.names();
    assert!(names.iter().any(|name| file.as_ref().unwrap().as_deref() == Some(&format!("fake:{name}"))));
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
