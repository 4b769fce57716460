//! Keys from files that change under a running verifier.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use service_only::{
    Algorithm, FileKeys, KeySet, Verifier,
    error::Code,
    issue::{Issuer, PublicJwk, SigningKey},
    keys::{FileKeysBuilder, KeyErrorKind, KeySource},
};
use service_only_testkit::ManualClock;
use tempfile::TempDir;

use crate::revocation::Lines;

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

fn jwks(keys: &[&SigningKey]) -> String {
    let public: Vec<_> = keys.iter().map(|key| key.public_jwk().unwrap()).collect();
    PublicJwk::set(&public)
}

fn folder_with(name: &str, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn open(keys: FileKeysBuilder) -> FileKeys {
    keys.poll_every(Duration::from_millis(10)).open().unwrap()
}

fn has(keys: &FileKeys, key: &SigningKey) -> bool {
    keys.snapshot().unwrap().has(key.kid().as_str())
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        thread::yield_now();
    }
}

#[test]
fn a_rewritten_file_is_loaded_again() {
    let (old, new) = (key(), key());
    let (_folder, path) = folder_with("jwks.json", jwks(&[&old]));
    let keys = open(FileKeys::jwks(&path));
    assert!(has(&keys, &old) && !has(&keys, &new));
    fs::write(&path, jwks(&[&old, &new])).unwrap();
    eventually("the new key", || has(&keys, &new));
    assert!(has(&keys, &old) && keys.last_error().is_none());
}

#[test]
fn a_file_that_is_renamed_into_place_is_loaded_again_even_with_the_same_length_and_time() {
    let (old, new) = (key(), key());
    let (folder, path) = folder_with("jwks.json", jwks(&[&old]));
    let keys = open(FileKeys::jwks(&path));
    let next = folder.path().join("next");
    fs::write(&next, jwks(&[&new])).unwrap();
    let written = fs::metadata(&path).unwrap().modified().unwrap();
    fs::File::options().write(true).open(&next).unwrap().set_modified(written).unwrap();
    assert_eq!(fs::metadata(&next).unwrap().len(), fs::metadata(&path).unwrap().len());
    fs::rename(&next, &path).unwrap();
    eventually("the new key", || has(&keys, &new));
    assert!(!has(&keys, &old), "a key that the file no longer holds is withdrawn");
}

/// As the kubelet does it: a new folder with the files, a new link to it, and that link renamed over
/// `..data`. The file's own path is a link through `..data` and is never touched.
#[cfg(unix)]
fn publish(mount: &Path, version: &str, content: &str) {
    use std::os::unix::fs::symlink;
    let folder = mount.join(version);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("jwks.json"), content).unwrap();
    symlink(version, mount.join("..data_tmp")).unwrap();
    let before = fs::read_link(mount.join("..data")).ok();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    if let Some(before) = before {
        fs::remove_dir_all(mount.join(before)).unwrap();
    } else {
        symlink("..data/jwks.json", mount.join("jwks.json")).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn every_symlink_swap_of_kubernetes_is_noticed() {
    let mount = tempfile::tempdir().unwrap();
    let mut current = key();
    publish(mount.path(), "..2026_01_01", &jwks(&[&current]));
    let keys = open(FileKeys::jwks(mount.path().join("jwks.json")));
    for version in ["..2026_01_02", "..2026_01_03", "..2026_01_04"] {
        let next = key();
        publish(mount.path(), version, &jwks(&[&next]));
        eventually(version, || has(&keys, &next));
        assert!(!has(&keys, &current));
        current = next;
    }
    publish(mount.path(), "..2026_01_05", "{");
    eventually("the error", || keys.last_error().is_some());
    assert!(has(&keys, &current), "a broken secret leaves the last good keys");
    publish(mount.path(), "..2026_01_06", &jwks(&[&current]));
    eventually("the recovery", || keys.last_error().is_none());
}

#[test]
fn invalid_content_keeps_the_last_valid_keys_and_is_reported() {
    let old = key();
    let (_folder, path) = folder_with("jwks.json", jwks(&[&old]));
    let clock = ManualClock::new();
    let keys = open(FileKeys::jwks(&path).clock(clock.clone()));
    let loaded_at = keys.loaded_at();
    assert_eq!(loaded_at, clock.now());
    clock.advance(Duration::from_secs(60));
    let too_large = format!("{{\"keys\":[]{}}}", " ".repeat(KeySet::MAX_JWKS_BYTES));
    for (content, says) in [
        ("{", "not a JWK set"),
        ("", "not a JWK set"),
        (r#"{"keys":[]}"#, "no usable key"),
        (r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#, "it is an HMAC secret"),
        (too_large.as_str(), "larger than"),
    ] {
        fs::write(&path, content).unwrap();
        eventually(says, || keys.last_error().is_some_and(|error| error.to_string().contains(says)));
        let error = keys.last_error().unwrap().to_string();
        assert!(error.contains("jwks.json"), "{error}");
        assert!(has(&keys, &old) && keys.loaded_at() == loaded_at);
    }
    let new = key();
    fs::write(&path, jwks(&[&new])).unwrap();
    eventually("the new key", || has(&keys, &new));
    assert!(keys.last_error().is_none() && keys.loaded_at() == clock.now());
}

#[test]
fn a_file_that_is_deleted_keeps_the_last_good_keys_until_it_is_back() {
    let (old, new) = (key(), key());
    let (_folder, path) = folder_with("jwks.json", jwks(&[&old]));
    let keys = open(FileKeys::jwks(&path));
    fs::remove_file(&path).unwrap();
    eventually("the error", || keys.last_error().is_some());
    assert_eq!(keys.last_error().unwrap().kind(), KeyErrorKind::Unreadable);
    assert!(has(&keys, &old));
    fs::write(&path, jwks(&[&new])).unwrap();
    eventually("the new key", || has(&keys, &new));
    assert!(keys.last_error().is_none());
}

type Builder = fn(&Path) -> FileKeysBuilder;

#[test]
fn a_secret_and_a_public_key_are_loaded_again_under_their_name() {
    let secrets = [[1; 32], [2; 32]].map(|bytes| SigningKey::hmac(Algorithm::HS256, &bytes).unwrap());
    let pairs = [key(), key()];
    let pem = |key: &SigningKey| {
        // The public half in PEM, by way of the structure of RFC 5480 in front of the point.
        let private = pem::parse(key.to_secret_bytes().unwrap().as_slice()).unwrap();
        let point = private.contents().last_chunk::<65>().unwrap();
        let head = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
        pem::encode(&pem::Pem::new("PUBLIC KEY", [head.as_slice(), point].concat())).into_bytes()
    };
    let files: [(Builder, _, [SigningKey; 2]); 2] = [
        (
            |path| FileKeys::hmac(Algorithm::HS256, path),
            [0, 1].map(|index: usize| secrets[index].to_secret_bytes().unwrap().to_vec()),
            secrets,
        ),
        (|path| FileKeys::pem(Algorithm::ES256, path), [pem(&pairs[0]), pem(&pairs[1])], pairs),
    ];
    for (builder, contents, signing) in files {
        let (_folder, path) = folder_with("key", &contents[0]);
        let keys = open(builder(&path).kid("orders-key"));
        assert!(keys.snapshot().unwrap().has("orders-key"));
        let verifier = Verifier::builder().issuer("bakery-auth").keys(keys).build().unwrap();
        let [old, new] = signing.map(|key| {
            let issuer = Issuer::builder().issuer("bakery-auth").key(key.with_kid("orders-key"));
            issuer.build().unwrap().token_for("orders").mint().unwrap()
        });
        let good = |token: &service_only::issue::MintedToken| verifier.verify(token.as_str()).is_ok();
        assert!(good(&old) && !good(&new));
        fs::write(&path, &contents[1]).unwrap();
        eventually("the new key", || good(&new));
        assert_eq!(verifier.verify(old.as_str()).unwrap_err().code(), Code::BadSignature);
    }
}

#[test]
fn a_file_that_cannot_be_loaded_at_the_start_is_an_error() {
    let (folder, path) = folder_with("secret", [7; 31]);
    let missing = FileKeys::jwks(folder.path().join("none")).open().unwrap_err();
    assert_eq!(missing.kind(), KeyErrorKind::Unreadable);
    assert!(missing.to_string().contains("none"), "{missing}");
    let weak = FileKeys::hmac(Algorithm::HS256, &path).open().unwrap_err();
    assert_eq!(weak.kind(), KeyErrorKind::Weak);
    assert!(FileKeys::jwks(folder.path()).open().is_err(), "a folder");
    fs::write(&path, vec![7; FileKeys::MAX_BYTES]).unwrap();
    assert!(FileKeys::hmac(Algorithm::HS256, &path).open().is_ok());
    fs::write(&path, vec![7; FileKeys::MAX_BYTES + 1]).unwrap();
    assert!(FileKeys::hmac(Algorithm::HS256, &path).open().is_err());
    fs::write(&path, jwks(&[&key()])).unwrap();
    assert!(FileKeys::jwks(&path).kid("a").open().is_err(), "the keys of a set have names");
    assert!(FileKeys::jwks(&path).poll_every(Duration::from_millis(9)).open().is_err());
}

#[test]
fn skipped_keys_of_a_file_are_logged_up_to_a_limit() {
    let mut set: Value = serde_json::from_str(&jwks(&[&key()])).unwrap();
    let keys = set["keys"].as_array_mut().unwrap();
    keys.extend(
        (0..10).map(|index| json!({ "kty": "EC", "crv": "secp256k1", "kid": format!("odd{index}") })),
    );
    let (_folder, path) = folder_with("jwks.json", set.to_string());
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        // The first time, a test on another thread may have hidden the line.
        open(FileKeys::jwks(&path));
        tracing::callsite::rebuild_interest_cache();
        lines.clear();
        open(FileKeys::jwks(&path));
    });
    let text = lines.text();
    assert_eq!(text.matches("a key of the set is not used").count(), 8, "{text}");
    assert!(text.contains("odd0") && text.contains("odd7") && !text.contains("odd8"), "{text}");
    assert_eq!(text.matches("further keys of the set are not used").count(), 1, "{text}");
    assert!(text.contains("more=2"), "{text}");
}
