//! Keys in a real SoftHSM. Its configuration is a variable of the process, so each test starts itself with one.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use service_only::{Algorithm, issue::SigningKey};
use service_only_signer::{KeyDevice as _, Passphrase, Pkcs11Keys};

use crate::{mint, shell};

const PIN: &str = "648219";

fn module() -> Option<PathBuf> {
    let folders = [
        "/usr/lib/softhsm",
        "/usr/lib/x86_64-linux-gnu/softhsm",
        "/usr/lib/aarch64-linux-gnu/softhsm",
        "/usr/local/lib/softhsm",
    ];
    let found =
        folders.iter().map(|folder| Path::new(folder).join("libsofthsm2.so")).find(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: there is no SoftHSM");
    }
    found
}

/// Runs a test in a process whose SoftHSM has two tokens, `fleet` and `other`.
fn with_softhsm(name: &str, test: impl FnOnce(&Path, &Path)) {
    let Some(module) = module() else { return };
    if let Some(folder) = std::env::var_os("SERVICE_ONLY_SOFTHSM") {
        return test(&module, Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("softhsm2.conf");
    std::fs::create_dir(folder.path().join("tokens")).unwrap();
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        folder.path().join("tokens").display()
    );
    std::fs::write(&config, text).unwrap();
    for label in ["fleet", "other"] {
        let command = format!(
            "SOFTHSM2_CONF='{}' softhsm2-util --init-token --free --label {label} --pin {PIN} --so-pin 87654321",
            config.display()
        );
        if shell(folder.path(), &command).is_none() {
            return;
        }
    }
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", &format!("pkcs11::{name}"), "--nocapture"]);
    test.env("SERVICE_ONLY_SOFTHSM", folder.path()).env("SOFTHSM2_CONF", &config);
    let output = test.output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

fn keys(module: &Path) -> Pkcs11Keys {
    Pkcs11Keys::new(module, || Passphrase::new(PIN)).token("fleet")
}

#[test]
fn token_signs_with_each_algorithm() {
    with_softhsm("token_signs_with_each_algorithm", |module, _| {
        let keys = keys(module);
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()) {
            let name = format!("tokens-{algorithm}");
            assert_eq!(keys.find(algorithm, &name).unwrap(), None);
            let public = keys.create(algorithm, Some(2048), &name).unwrap();
            assert_eq!(keys.find(algorithm, &name).unwrap(), Some(public.clone()));
            let key = SigningKey::from_signer(keys.open(algorithm, &name).unwrap()).unwrap();
            assert_eq!(key.kid(), public.kid());
            mint(key).unwrap();
        }
        assert!(keys.create(Algorithm::HS256, None, "secret").unwrap_err().to_string().contains("HS256"));
    });
}

#[test]
fn key_is_created_once_under_a_label_and_destroyed_with_both_halves() {
    with_softhsm("key_is_created_once_under_a_label_and_destroyed_with_both_halves", |module, _| {
        let keys = keys(module);
        let public = keys.create(Algorithm::ES256, None, "tokens").unwrap();
        assert_eq!(keys.create(Algorithm::ES256, None, "tokens").unwrap(), public, "the same key");
        let error = keys.create(Algorithm::RS256, None, "tokens").unwrap_err().to_string();
        assert!(error.contains("token `fleet`") && error.contains("not for RS256"), "{error}");
        assert_eq!(keys.reference("tokens/1 ä"), "pkcs11:token=fleet;object=tokens%2F1%20%C3%A4");
        keys.destroy("tokens").unwrap();
        keys.destroy("tokens").unwrap();
        assert_eq!(keys.find(Algorithm::ES256, "tokens").unwrap(), None);
        let error = mint(SigningKey::from_signer(keys.signer("tokens", public)).unwrap()).unwrap_err();
        assert!(error.contains("no private key has the label `tokens`; check the label"), "{error}");
        assert!(error.contains("libsofthsm2.so") && error.contains("token `fleet`"), "{error}");
    });
}

#[test]
fn half_of_a_key_is_replaced_by_a_whole_one() {
    with_softhsm("half_of_a_key_is_replaced_by_a_whole_one", |module, folder| {
        let keys = keys(module);
        for half in ["privkey", "pubkey"] {
            let first = keys.create(Algorithm::ES256, None, half).unwrap();
            let delete = format!(
                "pkcs11-tool --module {} --token-label fleet --login --pin {PIN} --delete-object --type {half} --label {half}",
                module.display()
            );
            if shell(folder, &delete).is_none() {
                return;
            }
            // Another process has changed the token, so this one opens it again.
            let keys = Pkcs11Keys::new(module, || Passphrase::new(PIN)).token("fleet");
            let second = keys.create(Algorithm::ES256, None, half).unwrap();
            assert_ne!(first, second);
            mint(SigningKey::from_signer(keys.open(Algorithm::ES256, half).unwrap()).unwrap()).unwrap();
        }
    });
}

#[test]
fn private_key_never_leaves_the_token() {
    with_softhsm("private_key_never_leaves_the_token", |module, folder| {
        keys(module).create(Algorithm::ES256, None, "tokens").unwrap();
        let list = format!(
            "pkcs11-tool --module {} --token-label fleet --login --pin {PIN} --list-objects --type privkey",
            module.display()
        );
        let Some(text) = shell(folder, &list) else { return };
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("sensitive, always sensitive, never extractable, local"), "{text}");
    });
}

#[test]
fn key_that_another_tool_created_is_used() {
    with_softhsm("key_that_another_tool_created_is_used", |module, folder| {
        for (kind, algorithm) in [
            ("EC:prime256v1", Algorithm::ES256),
            ("EC:secp384r1", Algorithm::ES384),
            ("rsa:2048", Algorithm::PS384),
        ] {
            let name = format!("theirs-{algorithm}");
            let create = format!(
                "pkcs11-tool --module {} --token-label fleet --login --pin {PIN} --keypairgen --key-type {kind} --label {name}",
                module.display()
            );
            if shell(folder, &create).is_none() {
                return;
            }
            let key = SigningKey::from_signer(keys(module).open(algorithm, &name).unwrap()).unwrap();
            mint(key).unwrap();
        }
    });
}

#[test]
fn wrong_pin_is_sent_once_and_named_without_the_pin() {
    with_softhsm("wrong_pin_is_sent_once_and_named_without_the_pin", |module, _| {
        let public = keys(module).create(Algorithm::ES256, None, "tokens").unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let wrong = Pkcs11Keys::new(module, move || {
            count.fetch_add(1, Ordering::Relaxed);
            Passphrase::new("111222")
        })
        .token("other");
        let error = mint(SigningKey::from_signer(wrong.signer("tokens", public)).unwrap()).unwrap_err();
        assert!(error.contains("token `other`") && error.contains("the PIN is wrong"), "{error}");
        assert!(!error.contains("111222") && !format!("{wrong:?}").contains("111222"), "{error}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn public_key_is_read_without_the_pin() {
    with_softhsm("public_key_is_read_without_the_pin", |module, _| {
        let public = keys(module).create(Algorithm::ES256, None, "tokens").unwrap();
        let silent = Pkcs11Keys::new(module, || panic!("the PIN was asked for")).token("fleet");
        assert_eq!(silent.find(Algorithm::ES256, "tokens").unwrap(), Some(public));
        let error = silent.find(Algorithm::RS256, "tokens").unwrap_err().to_string();
        assert!(error.contains("not for RS256"), "{error}");
    });
}

#[test]
fn token_that_is_not_found_is_named_with_those_that_are() {
    with_softhsm("token_that_is_not_found_is_named_with_those_that_are", |module, _| {
        let all = || Pkcs11Keys::new(module, || Passphrase::new(PIN));
        let error = all().find(Algorithm::ES256, "tokens").unwrap_err().to_string();
        assert!(error.contains("the only token: not one token but several"), "{error}");
        assert!(error.contains("`fleet` (serial number") && error.contains("`other`"), "{error}");
        let serial = error.split_once("`fleet` (serial number ").unwrap().1.split(',').next().unwrap();
        assert_eq!(all().serial(serial).find(Algorithm::ES256, "tokens").unwrap(), None);
        let error = all().token("fleets").find(Algorithm::ES256, "tokens").unwrap_err().to_string();
        assert!(error.contains("token `fleets`: not found; the module has"), "{error}");
        let error = Pkcs11Keys::new("/nowhere/x.so", || Passphrase::new(PIN)).find(Algorithm::ES256, "a");
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("`/nowhere/x.so`, the only token: the module cannot be loaded")
        );
    });
}

#[test]
fn two_keys_with_one_label_are_refused() {
    with_softhsm("two_keys_with_one_label_are_refused", |module, folder| {
        for _ in 0..2 {
            let create = format!(
                "pkcs11-tool --module {} --token-label fleet --login --pin {PIN} --keypairgen --key-type EC:prime256v1 --label twice",
                module.display()
            );
            if shell(folder, &create).is_none() {
                return;
            }
        }
        let error = keys(module).open(Algorithm::ES256, "twice").err().unwrap().to_string();
        assert!(error.contains("2 public keys have the label `twice`; give each its own label"), "{error}");
    });
}
