//! New keys: what is written, for whom, and what is never overwritten.

use service_only::Algorithm;

use crate::sandbox::Sandbox;

#[test]
fn every_algorithm_gets_a_key_that_signs_and_verifies() {
    let sandbox = Sandbox::new();
    for algorithm in Algorithm::ALL.map(Algorithm::as_str) {
        let key = format!("{algorithm}.key");
        let mut arguments = vec!["keygen", "--algorithm", algorithm, "--out", &key, "--format", "json"];
        if algorithm.starts_with("RS") || algorithm.starts_with("PS") {
            arguments.extend(["--bits", "2048"]);
        }
        let made = sandbox.run(&arguments).done().json();
        assert_eq!((&made["algorithm"], &made["path"]), (&algorithm.into(), &key.clone().into()));

        let minted = sandbox
            .run(&[
                "generate",
                "orders",
                "--key",
                &key,
                "--algorithm",
                algorithm,
                "--issuer",
                "i",
                "--format",
                "json",
            ])
            .done()
            .json();
        assert_eq!(minted["kid"], made["kid"], "{algorithm}");
        let keys: &[&str] = if algorithm.starts_with("HS") {
            &["--secret-file", &key]
        } else {
            sandbox.write(
                "jwks.json",
                sandbox.run(&["jwks", "--key", &key, "--algorithm", algorithm]).done().stdout,
            );
            &["--jwks", "jwks.json"]
        };
        let arguments = [&["verify", "--issuer", "i", "-"], keys].concat();
        sandbox.feed(&arguments, minted["token"].as_str().unwrap()).done();
    }
}

#[cfg(unix)]
#[test]
fn private_key_is_readable_by_its_owner_and_public_set_by_all_users() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["keygen", "--out", "key.pem", "--public-out", "jwks.json"]).done();
    // A file of this test shows what the umask leaves.
    sandbox.write("probe", "");
    assert_eq!((sandbox.mode("key.pem"), sandbox.mode("jwks.json")), (0o600, 0o644 & sandbox.mode("probe")));
    assert!(sandbox.read("key.pem").starts_with("-----BEGIN PRIVATE KEY-----"));
    let set: serde_json::Value = serde_json::from_str(&sandbox.read("jwks.json")).unwrap();
    assert!(set["keys"][0].get("d").is_none());
    let kid = set["keys"][0]["kid"].as_str().unwrap();
    assert!(ran.stdout.contains(&format!("kid: {kid}\nalgorithm: ES256\npath: key.pem\n")), "{}", ran.stdout);
}

#[test]
fn existing_key_is_kept_without_force_and_nothing_is_written_beside_it() {
    let sandbox = Sandbox::new();
    sandbox.write("key.pem", "precious");
    let message = sandbox.run(&["keygen", "--out", "key.pem", "--public-out", "jwks.json"]).refused();
    assert!(message.contains("`key.pem` exists already") && message.contains("--force"), "{message}");
    assert_eq!((sandbox.read("key.pem").as_str(), sandbox.names().len()), ("precious", 1));

    sandbox.run(&["keygen", "--out", "key.pem", "--force"]).done();
    assert_ne!(sandbox.read("key.pem"), "precious");
}

#[test]
fn existing_public_file_keeps_the_private_one_from_being_written() {
    let sandbox = Sandbox::new();
    sandbox.write("jwks.json", "{}");
    sandbox.run(&["keygen", "--out", "key.pem", "--public-out", "jwks.json"]).refused();
    assert_eq!(sandbox.names(), ["jwks.json"]);
}

#[test]
fn one_file_for_both_halves_is_refused_however_it_is_spelled_and_nothing_is_written() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("keys")).unwrap();
    let absolute = sandbox.path("same.pem");
    for (out, public) in [
        ("same.pem", "same.pem"),
        ("same.pem", "./same.pem"),
        ("same.pem", "keys/../same.pem"),
        ("same.pem", absolute.to_str().unwrap()),
        ("keys/same.pem", "keys//same.pem"),
    ] {
        for more in [&[][..], &["--force"]] {
            let keygen = ["keygen", "--out", out, "--public-out", public];
            let message = sandbox.run(&[&keygen, more].concat()).refused();
            assert!(message.contains("same file") && message.contains(public), "{message}");
        }
    }
    assert_eq!(sandbox.names(), ["keys"]);
    assert!(std::fs::read_dir(sandbox.path("keys")).unwrap().next().is_none());

    sandbox.run(&["keygen", "--out", "same.pem"]).done();
    let key = sandbox.read("same.pem");
    sandbox.run(&["keygen", "--out", "same.pem", "--public-out", "./same.pem", "--force"]).refused();
    assert_eq!(sandbox.read("same.pem"), key);
}

#[cfg(unix)]
#[test]
fn one_file_for_both_halves_is_refused_through_a_linked_directory_too() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("keys")).unwrap();
    std::os::unix::fs::symlink("keys", sandbox.path("link")).unwrap();
    sandbox.run(&["keygen", "--out", "keys/same.pem", "--public-out", "link/same.pem", "--force"]).refused();
    assert!(std::fs::read_dir(sandbox.path("keys")).unwrap().next().is_none());
    sandbox.run(&["keygen", "--out", "keys/key.pem", "--public-out", "link/jwks.json"]).done();
}

#[test]
fn public_file_that_is_the_configured_key_is_refused() {
    let sandbox = Sandbox::configured();
    let key = sandbox.read("signing.pem");
    sandbox.run(&["keygen", "--public-out", "signing.pem", "--force"]).refused();
    assert_eq!(sandbox.read("signing.pem"), key);
}

#[test]
fn hmac_secret_is_text_and_has_no_public_part() {
    let sandbox = Sandbox::new();
    sandbox.run(&["keygen", "--algorithm", "HS256", "--out", "secret"]).done();
    let text = sandbox.read("secret");
    assert!(text.len() >= 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    let message = sandbox
        .run(&["keygen", "--algorithm", "HS256", "--out", "other", "--public-out", "jwks.json"])
        .refused();
    assert!(message.contains("no public part"), "{message}");
    assert_eq!(sandbox.names(), ["secret"]);
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["keygen", "--out", "k", "--bits", "2048"]).refused().contains("--bits"));
    assert!(
        sandbox
            .run(&["keygen", "--algorithm", "RS256", "--bits", "1024", "--out", "k"])
            .refused()
            .contains("1024")
    );
    assert!(sandbox.run(&["keygen", "--algorithm", "none", "--out", "k"]).refused().contains("EdDSA"));
    assert!(sandbox.run(&["keygen"]).refused().contains("--out FILE"));
    assert!(sandbox.run(&["keygen", "--out", "no/such/k"]).refused().contains("no/such"));
    assert!(sandbox.names().is_empty());
}
