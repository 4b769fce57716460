//! Verifiers that others wrote read an exported log, its checkpoint and a proof: Go's checksum database (`x/mod/sumdb`), and
//! the Python package `aics-tlog`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use service_only::{
    Algorithm, JsonLinesAudit, Verifier,
    issue::{Issuer, SigningKey},
};
use service_only_evidence::{
    read,
    tree::{LogKey, LogPublicKey, Sealing, export, prove},
};

/// A log with some hundreds of records, exported, and the proof of one of them.
fn exported(folder: &Path) -> (LogPublicKey, PathBuf) {
    let (key, _) = LogKey::generate("bakery.example/orders").unwrap();
    let public = key.public().clone();
    let log = folder.join("audit.jsonl");
    let audit = Sealing::with_key(key).to_file(JsonLinesAudit::builder(), &log).unwrap();
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let verifier =
        Verifier::builder().issuer("bakery-auth").keys(key.verifying_key()).audit(audit).build().unwrap();
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
    let token = issuer.token_for("orders").mint().unwrap().as_str().to_owned();
    (0..700).for_each(|_| drop(verifier.verify(&token).unwrap()));
    drop(verifier);
    let mut ids = Vec::new();
    read::files([&log], &mut |_: read::Place<'_>, record: &read::Record<'_>| ids.push(record.id.to_string()))
        .unwrap();
    let proof = prove(&log, None, &public, &ids[600]).unwrap();
    fs::write(folder.join("proof"), proof.text).unwrap();
    fs::write(folder.join("record"), proof.line).unwrap();
    let to = folder.join("export");
    assert_eq!(export(&log, None, &public, &to).unwrap(), 700);
    (public, to)
}

fn is_there(program: &str, arguments: &[&str]) -> bool {
    let ran = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

fn insist(command: &mut Command) -> String {
    let ran = command.output().unwrap();
    assert!(
        ran.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn go_accepts_the_log_and_the_proof() {
    // Debian's package `golang-golang-x-mod-dev` puts the source here.
    let gopath = "/usr/share/gocode";
    if !is_there("go", &["version"]) || !Path::new(gopath).join("src/golang.org/x/mod/sumdb/tlog").exists() {
        eprintln!("skipped: go with golang.org/x/mod is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (key, export) = exported(folder.path());
    let program = folder.path().join("main.go");
    fs::write(&program, include_str!("tlog.go")).unwrap();
    let shown = insist(
        Command::new("go")
            .args(["run", program.to_str().unwrap(), &key.to_string()])
            .args([&export, &folder.path().join("proof"), &folder.path().join("record")])
            .env("GO111MODULE", "off")
            .env("GOPATH", gopath)
            .env("GOCACHE", folder.path().join("cache"))
            .env("GOFLAGS", "-trimpath"),
    );
    assert_eq!(shown, "700 records, record 600 proven\n");
}

#[test]
fn python_accepts_the_log_and_the_proof() {
    let python = std::env::var("SERVICE_ONLY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !is_there(&python, &["-c", "import aics_tlog"]) {
        eprintln!("skipped: the Python package aics-tlog is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (key, export) = exported(folder.path());
    let program = folder.path().join("verify.py");
    fs::write(&program, include_str!("tlog.py")).unwrap();
    let shown = insist(Command::new(python).arg(&program).arg(key.to_string()).args([
        &export,
        &folder.path().join("proof"),
        &folder.path().join("record"),
    ]));
    assert_eq!(shown, "700 records, record 600 proven\n");
}
