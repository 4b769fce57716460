//! The records of a verifier in a sealed log: rotated and compressed by the sink, and after kills.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use service_only::{
    Algorithm, JsonLinesAudit, Verifier,
    issue::{Issuer, SigningKey},
};
use service_only_evidence::tree::{Intact, LogKey, Sealing, Verdict, VerifyOptions, verify};

const CHILD: &str = "SERVICE_ONLY_EVIDENCE_CHILD";

/// How many rotated files the child keeps; all if it is not set.
const KEEP: &str = "SERVICE_ONLY_EVIDENCE_KEEP";

/// How many records the log has when the test ends. The gate uses few; see CONTRIBUTING.md.
const RECORDS: &str = "SERVICE_ONLY_EVIDENCE_RECORDS";

fn key(folder: &Path) -> LogKey {
    let private = folder.join("audit.key");
    if !private.exists() {
        let (_, text) = LogKey::generate("bakery.example/orders").unwrap();
        std::fs::write(&private, text.as_str()).unwrap();
    }
    LogKey::from_file(&private).unwrap()
}

/// A verifier that writes a sealed log, and a token that it accepts.
fn verifier(folder: &Path) -> (Verifier, String) {
    let mut builder = JsonLinesAudit::builder().rotate_at_size(400_000).compress();
    if let Ok(keep) = std::env::var(KEEP) {
        builder = builder.keep(keep.parse().unwrap());
    }
    let audit = Sealing::with_key(key(folder)).to_file(builder, folder.join("audit.jsonl")).unwrap();
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let builder = Verifier::builder().issuer("bakery-auth").keys(key.verifying_key()).audit(audit);
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
    let token = issuer.token_for("orders").mint().unwrap().as_str().to_owned();
    (builder.build().unwrap(), token)
}

fn intact(folder: &Path) -> Intact {
    let options = VerifyOptions { key: Some(key(folder).public().clone()), ..VerifyOptions::default() };
    match verify(&folder.join("audit.jsonl"), &options) {
        Verdict::Intact(intact) => intact,
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_of_a_verifier_are_sealed_over_rotations() {
    let folder = tempfile::tempdir().unwrap();
    for run in 1..=2 {
        let (verifier, token) = verifier(folder.path());
        (0..3_000).for_each(|_| drop(verifier.verify(&token).unwrap()));
        drop(verifier);
        let intact = intact(folder.path());
        assert_eq!(
            (intact.size, intact.compared, intact.unsealed, intact.lost),
            (run * 3_000, run * 3_000, 0, 0)
        );
        assert!(intact.closed);
    }
}

#[test]
fn child_process_of_the_sealed_log() {
    let Ok(folder) = std::env::var(CHILD) else { return };
    let (verifier, token) = verifier(Path::new(&folder));
    loop {
        drop(verifier.verify(&token));
    }
}

/// Random numbers from a seed (Knuth's MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Kills a writing process again and again, until the log has enough records. Verifies the log while it is written, and
/// after each kill.
fn killed_until_it_is_long(seed: u64, keep: Option<&str>) {
    let records: u64 = std::env::var(RECORDS).map_or(20_000, |records| records.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    key(folder.path());
    let mut random = Random(seed);
    let (mut size, mut kills) = (0, 0);
    while size < records || kills < 6 {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "sealed::child_process_of_the_sealed_log", "--nocapture"]);
        child.env(CHILD, folder.path()).stdout(Stdio::null());
        child.envs(keep.map(|keep| (KEEP, keep)));
        let mut child = child.spawn().unwrap();
        // Killed while it starts, writes, rotates, compresses or signs.
        std::thread::sleep(Duration::from_millis(100 + random.below(900)));
        let has_checkpoint = folder.path().join("audit.jsonl.tree/checkpoint").exists();
        // A debug build reads a long log slower than the child writes it.
        if has_checkpoint && size < 100_000 && random.below(4) == 0 {
            let options =
                VerifyOptions { key: Some(key(folder.path()).public().clone()), ..VerifyOptions::default() };
            let running = verify(&folder.path().join("audit.jsonl"), &options);
            assert!(!matches!(running, Verdict::Tampered(_)), "seed {seed}, kill {kills}: {running:?}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        if has_checkpoint {
            let intact = intact(folder.path());
            assert!(intact.size >= size, "the tree became smaller: {} after {size}", intact.size);
            size = intact.size;
        }
    }
    drop(verifier(folder.path()));
    let last = intact(folder.path());
    assert!(last.closed && last.unsealed == 0 && last.size >= records, "{last:?}");
    println!("{} records, {kills} kills, keep {keep:?}: no alarm", last.size);
}

#[test]
fn log_of_a_process_that_is_killed_at_random_moments_is_intact() {
    killed_until_it_is_long(1, None);
}

#[test]
fn log_that_is_killed_and_whose_old_files_are_deleted_is_intact() {
    killed_until_it_is_long(2, Some("2"));
}
