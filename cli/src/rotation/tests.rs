//! Rotations that are cut off between any two changes, and run again: they end as one that was not.

use std::fs;
use std::path::PathBuf;

use service_only::store::VerifierReport;
use service_only::{Algorithm, KeySet};
use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::store;

const DAY: i64 = 24 * 3600;
const ISSUER: &str = "bakery-auth";

/// A folder with a key that is old enough to be replaced, and one that is to go.
struct Bench {
    folder: TempDir,
    site: Site,
}

/// What is left behind, without the names of keys that every run makes anew.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    stages: Vec<KeyStage>,
    published: usize,
    files: Vec<String>,
}

fn load(folder: &TempDir) -> Site {
    let text = format!(
        "issuer = \"{ISSUER}\"\n[key]\nfile = \"key.pem\"\nalgorithm = \"EdDSA\"\n[rotation]\nkey_life = \"90d\"\n"
    );
    let path = folder.path().join("service-token.toml");
    fs::write(&path, text).unwrap();
    Site::of(&Config::load(&path).unwrap()).unwrap()
}

fn with_store<T>(folder: &TempDir, work: impl AsyncFnOnce(&Store) -> Outcome<T>) -> Outcome<T> {
    let url = format!("sqlite:{}", folder.path().join("tokens.db").display());
    store::run(async { work(&Store::connect(&url).await.map_err(|error| refused(&error))?).await })
}

fn record(key: &SigningKey, state: KeyStage, age: i64) -> KeyRecord {
    let at = now() - age;
    KeyRecord {
        issuer: ISSUER.to_owned(),
        kid: key.kid().to_string(),
        algorithm: "EdDSA".to_owned(),
        state,
        file: None,
        public_jwk: Some(site::public_half(key).unwrap().to_string()),
        prepared_at: at,
        active_at: Some(at),
        retiring_at: (state == KeyStage::Retiring).then_some(at),
        retired_at: None,
        expires_at: None,
    }
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let site = load(&folder);
        let [older, old] = [(); 2].map(|()| SigningKey::generate(Algorithm::EdDSA).unwrap());
        let file = new_file::NewFile::secret(&site.file, old.to_secret_bytes());
        new_file::write_all(&[file], new_file::Overwrite::Refuse).unwrap();
        with_store(&folder, async |store| {
            store.add_key(&record(&older, KeyStage::Retiring, 500 * DAY)).await.unwrap();
            store.add_key(&record(&old, KeyStage::Active, 80 * DAY)).await.unwrap();
            Ok(())
        })
        .unwrap();
        let bench = Self { folder, site };
        // As published before.
        let journal = bench.journal();
        bench.site.publish(&journal, None).unwrap();
        bench
    }

    fn journal(&self) -> Journal {
        with_store(&self.folder, async |store| Ok(store.journal(ISSUER).await.unwrap())).unwrap()
    }

    /// Runs until it is done or cut off after so many changes, and says whether it was done.
    fn run(&self, run: Run, leaked: Option<&str>, cut_after: usize) -> bool {
        let mut changes = 0;
        let mut go_on = || {
            changes += 1;
            if changes > cut_after { Err(Problem::usage("cut off")) } else { Ok(()) }
        };
        let outcome = with_store(&self.folder, async |store| {
            let rotation = Rotation::new(store, &self.site, &mut go_on);
            match run {
                Run::Due => rotation.advance().await.map(drop),
                Run::Emergency(successor) => rotation.emergency(leaked, successor).await.map(drop),
            }
        });
        match outcome {
            Ok(()) => true,
            Err(problem) => {
                assert_eq!(problem.reason(), "cut off");
                false
            }
        }
    }

    /// Lets a verifier say that it has all that is published.
    fn report(&self) {
        let report = VerifierReport {
            id: "orders-1".to_owned(),
            issuer: ISSUER.to_owned(),
            kids: self.published(),
            refresh_seconds: 60,
            last_seen: now(),
        };
        with_store(&self.folder, async |store| {
            store.report_verifier(&report).await.unwrap();
            Ok(())
        })
        .unwrap();
    }

    fn published(&self) -> Vec<String> {
        let set = KeySet::from_jwks(&fs::read(&self.site.jwks).unwrap()).unwrap();
        set.keys().iter().map(|key| key.kid().unwrap().to_string()).collect()
    }

    /// At every moment: what signs is published, and one key is in charge.
    fn check(&self, run: Run) {
        let journal = self.journal();
        let signing = self.site.current().unwrap().kid().to_string();
        let active: Vec<_> = journal.keys.iter().filter(|key| key.state == KeyStage::Active).collect();
        assert_eq!(active.len(), 1, "{journal:?}");
        let is_retired =
            |kid: &str| journal.keys.iter().any(|key| key.kid == kid && key.state == KeyStage::Retired);
        if run == Run::Due {
            assert!(self.published().contains(&signing) && !is_retired(&signing));
        }
        let there = self.site.next().unwrap().is_some_and(|key| key.kid().as_str() == active[0].kid);
        assert!(signing == active[0].kid || there, "the active key's private half is here");
    }

    fn left(&self) -> Left {
        let journal = self.journal();
        let mut stages: Vec<_> = journal.keys.iter().map(|key| key.state).collect();
        stages.sort_by_key(|stage| stage.as_str());
        let live = journal.keys.iter().filter(|key| key.state != KeyStage::Retired);
        let mut live: Vec<_> = live.map(|key| key.kid.clone()).collect();
        let mut published = self.published();
        live.sort();
        published.sort();
        assert_eq!(published, live, "all that is not retired is published, and nothing else");
        assert_eq!(self.site.current().unwrap().kid().as_str(), kid_in(&journal, KeyStage::Active).unwrap());
        let next = self.site.next().unwrap().map(|key| key.kid().to_string());
        assert_eq!(next.as_deref(), kid_in(&journal, KeyStage::Prepared));
        let names = fs::read_dir(self.folder.path()).unwrap();
        let mut files: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        Left { stages, published: published.len(), files }
    }
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Run {
    Due,
    Emergency(Successor),
}

const ALL: usize = usize::MAX;

/// Cuts the last of these runs off after each number of changes, and runs it again.
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
fn rotation_that_is_cut_off_anywhere_is_finished_by_the_next() {
    use KeyStage::{Active, Prepared, Retired, Retiring};
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
fn emergency_that_is_cut_off_anywhere_is_finished_by_the_next_and_made_once() {
    use KeyStage::{Active, Retired, Retiring};
    let fresh = cut_anywhere(&[], Run::Emergency(Successor::Fresh));
    // The oldest stays until a usual run looks at it.
    assert_eq!((fresh.stages, fresh.published), (vec![Active, Retired, Retiring], 2));
    let with_prepared = cut_anywhere(&[Run::Due], Run::Emergency(Successor::Fresh));
    assert_eq!((with_prepared.stages, with_prepared.published), (vec![Active, Retired, Retired, Retired], 1));
    let kept = cut_anywhere(&[Run::Due], Run::Emergency(Successor::Prepared));
    assert_eq!((kept.stages, kept.published), (vec![Active, Retired, Retired], 1));
}

#[test]
fn emergency_that_is_repeated_without_a_name_knows_the_leaked_key_by_its_file() {
    let bench = Bench::new();
    let leaked = bench.site.current().unwrap().kid().to_string();
    let mut cut_after = 0;
    while bench.journal().keys.iter().all(|key| key.state != KeyStage::Retired) {
        assert!(!bench.run(Run::Emergency(Successor::Fresh), None, cut_after));
        cut_after += 1;
    }
    assert_eq!(bench.site.current().unwrap().kid().as_str(), leaked, "cut off before the files followed");
    assert!(bench.run(Run::Emergency(Successor::Fresh), None, ALL));
    assert_eq!(bench.left().stages, [KeyStage::Active, KeyStage::Retired, KeyStage::Retiring]);
}

#[test]
fn key_that_leaked_and_signs_no_more_is_retired_alone() {
    for stage in [KeyStage::Prepared, KeyStage::Retiring] {
        let bench = Bench::new();
        assert!(bench.run(Run::Due, None, ALL));
        if stage == KeyStage::Retiring {
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
    assert!(plan.warnings[0].contains(&leaked), "{:?}", plan.warnings);
}

#[test]
fn second_rotation_of_the_same_files_is_refused_until_the_first_is_done() {
    let bench = Bench::new();
    let lock = bench.site.lock().unwrap();
    let Err(problem) = bench.site.lock() else { panic!("two at once") };
    assert!(
        problem.to_string().contains("another rotation of") && problem.to_string().contains("wait for it")
    );
    drop(lock);
    bench.site.lock().unwrap();
}

#[test]
fn rotation_elsewhere_that_was_faster_leaves_nothing_half_done_here() {
    let bench = Bench::new();
    let other = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let faster = record(&other, KeyStage::Prepared, 0);
    let (url, mut changes) = (bench.folder.path().join("tokens.db"), 0);
    let mut go_on = || {
        changes += 1;
        // Just before it is written down.
        let key_is_made = fs::exists(&bench.site.next).unwrap();
        if key_is_made && faster_is_missing(&url) {
            add_elsewhere(url.clone(), faster.clone());
        }
        Ok(())
    };
    let outcome = with_store(&bench.folder, async |store| {
        Rotation::new(store, &bench.site, &mut go_on).advance().await.map(drop)
    });
    let problem = outcome.unwrap_err().to_string();
    assert!(problem.contains("another one that is prepared already"), "{problem}");
    assert!(!bench.site.next.exists());
    let kids = bench.published();
    assert!(kids.contains(&other.kid().to_string()) && kids.len() == 2, "theirs is published, ours is gone");
    bench.report();
    let outcome = with_store(&bench.folder, async |store| {
        Rotation::new(store, &bench.site, &mut || Ok(())).advance().await.map(drop)
    });
    let problem = outcome.unwrap_err().to_string();
    assert!(problem.contains("rotate where it was prepared"), "{problem}");
}

fn faster_is_missing(url: &std::path::Path) -> bool {
    on_another_thread(url.to_owned(), async |store| {
        store.keys(ISSUER).await.unwrap().iter().all(|key| key.state != KeyStage::Prepared)
    })
}

fn add_elsewhere(url: PathBuf, key: KeyRecord) {
    on_another_thread(url, async move |store| store.add_key(&key).await.unwrap());
}

fn on_another_thread<T: Send + 'static>(
    path: PathBuf,
    work: impl AsyncFnOnce(Store) -> T + Send + 'static,
) -> T {
    let thread = std::thread::spawn(move || {
        let url = format!("sqlite:{}", path.display());
        store::run(async { Ok(work(Store::connect(&url).await.unwrap()).await) }).unwrap()
    });
    thread.join().unwrap()
}

#[test]
fn secret_and_named_key_are_not_rotated() {
    let refusal = |algorithm, kid| check_rotatable(algorithm, kid).unwrap_err().to_string();
    assert!(refusal(Algorithm::HS256, None).contains("cannot be published"));
    assert!(refusal(Algorithm::ES256, Some("2026-01")).contains("leave `kid` out"));
}
