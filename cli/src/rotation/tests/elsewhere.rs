//! Tests two concurrent rotations, in one place and in two places.

use std::fs;
use std::path::PathBuf;

use service_only::Algorithm;

use super::bench::{Bench, ISSUER, record, with_store};
use crate::rotation::*;
use crate::store;

#[test]
fn second_rotation_of_the_same_files_is_refused_until_the_first_is_done() {
    let bench = Bench::new();
    let lock = bench.site.lock().unwrap();
    let Err(problem) = bench.site.lock() else { panic!("two at once") };
    assert!(
        problem.to_string().contains("another rotation of")
            && problem.to_string().contains("wait until it ends")
    );
    drop(lock);
    bench.site.lock().unwrap();
}

#[test]
fn concurrent_rotation_on_another_machine_leaves_no_partial_change() {
    let bench = Bench::new();
    let other = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let faster = record(&other, KeyState::Prepared, 0);
    let (url, mut changes) = (bench.folder.path().join("tokens.db"), 0);
    let mut go_on = || {
        changes += 1;
        // This runs just before the new key is recorded.
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
    assert!(problem.contains("run `rotate` on the machine that prepared the key"), "{problem}");
}

fn faster_is_missing(url: &std::path::Path) -> bool {
    on_another_thread(url.to_owned(), async |store| {
        store.keys(ISSUER).await.unwrap().iter().all(|key| key.state != KeyState::Prepared)
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
