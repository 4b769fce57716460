//! The public key set.

use crate::sandbox::Sandbox;

#[test]
fn set_names_each_key_its_algorithm_and_its_use() {
    let sandbox = Sandbox::configured();
    let set = sandbox.run(&["jwks"]).done().json();
    let key = &set["keys"][0];
    assert_eq!((&key["alg"], &key["use"], &key["kty"]), (&"ES256".into(), &"sig".into(), &"EC".into()));
    assert!(key["kid"].is_string() && key.get("d").is_none());
}

#[test]
fn several_keys_make_one_set() {
    let sandbox = Sandbox::new();
    sandbox.run(&["keygen", "--out", "a.pem"]).done();
    sandbox.run(&["keygen", "--algorithm", "EdDSA", "--out", "b.pem"]).done();
    let pairs = ["jwks", "--key", "a.pem", "--algorithm", "ES256", "--key", "b.pem", "--algorithm", "EdDSA"];
    let set = sandbox.run(&[pairs.as_slice(), &["--kid", "one", "--kid", "two"]].concat()).done().json();
    let kids: Vec<_> =
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(kids, ["one", "two"]);
    assert!(sandbox.run(&pairs[..7]).refused().contains("in pairs"));
    assert!(sandbox.run(&[pairs.as_slice(), &["--kid", "one"]].concat()).refused().contains("--kid"));
}

#[test]
fn duplicate_kid_is_refused_with_both_files() {
    let sandbox = Sandbox::new();
    for file in ["a.pem", "b.pem"] {
        sandbox.run(&["keygen", "--out", file]).done();
    }
    let pairs = ["jwks", "--key", "a.pem", "--algorithm", "ES256", "--key", "b.pem", "--algorithm", "ES256"];
    let message = sandbox.run(&[pairs.as_slice(), &["--kid", "same", "--kid", "same"]].concat()).refused();
    assert!(message.contains("`a.pem` and `b.pem` have the same kid `same`"), "{message}");
}

#[test]
fn hmac_secret_is_refused_because_it_has_no_public_part() {
    let sandbox = Sandbox::new();
    sandbox.run(&["keygen", "--algorithm", "HS256", "--out", "secret"]).done();
    let message = sandbox.run(&["jwks", "--key", "secret", "--algorithm", "HS256"]).refused();
    assert!(message.contains("`secret`") && message.contains("no public part"), "{message}");
}
