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
    let builder = JsonLinesAudit::builder().rotate_at_size(400_000).compress();
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

#[test]
fn log_of_a_killed_process_is_intact() {
    let folder = tempfile::tempdir().unwrap();
    key(folder.path());
    let mut size = 0;
    for run in 0_u64..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sealed::child_process_of_the_sealed_log", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Killed while it starts, writes, rotates or signs.
        std::thread::sleep(Duration::from_millis(300 + run * 370));
        child.kill().unwrap();
        child.wait().unwrap();
        if folder.path().join("audit.jsonl.tree/checkpoint").exists() {
            let intact = intact(folder.path());
            assert!(intact.size >= size, "the tree became smaller: {} after {size}", intact.size);
            size = intact.size;
        }
    }
    drop(verifier(folder.path()));
    let last = intact(folder.path());
    assert!(last.closed && last.unsealed == 0 && last.size > 0, "{last:?}");
}
