//! No command drops a published key silently: a key that the journal does not have stays, retires later, or is
//! removed because the operator asked for it.

use serde_json::{Value, json};
use service_only::clock::Timestamp;
use service_only::keys::KeyState;
use service_only_store::KeyRecord;

use super::{DAY, aged, keys, kid_in, published, report, sandbox};
use crate::sandbox::{Sandbox, claims_of};
use crate::store::{change, sandboxes, url, with_store};

const ISSUER: &str = "bakery-auth";
const VERIFY: [&str; 6] = ["verify", "--jwks", "jwks.json", "--issuer", ISSUER, "-"];

/// A second key, which signs with a file of its own. Returns its name.
fn second_key(sandbox: &Sandbox) -> String {
    sandbox.run(&["keygen", "--out", "old.pem", "--algorithm", "ES256"]).done();
    let set = sandbox.run(&["jwks", "--key", "old.pem", "--algorithm", "ES256"]).done().json();
    set["keys"][0]["kid"].as_str().unwrap().to_owned()
}

/// A token of the second key that the registry has.
fn old_token(sandbox: &Sandbox, service: &str) -> String {
    let store = url(sandbox);
    let key = ["--key", "old.pem", "--algorithm", "ES256", "--issuer", ISSUER, "--store", &store];
    let mint = [&["generate", service, "--lifetime", "30d"][..], &key].concat();
    sandbox.run(&mint).done().line().to_owned()
}

/// The set with the second key and the configured key, as an operator writes it by hand.
fn publish_by_hand(sandbox: &Sandbox) {
    let by_hand =
        ["jwks", "--config", "service-token.toml", "--key", "old.pem", "--algorithm", "ES256", "--no-store"];
    sandbox.write("jwks.json", sandbox.run(&by_hand).done().stdout);
}

fn journal(sandbox: &Sandbox) -> Vec<KeyRecord> {
    let mut keys = Vec::new();
    change(sandbox, async |store| {
        keys = store.keys(ISSUER).await?;
        Ok(())
    });
    keys
}

fn add_to_set(sandbox: &Sandbox, jwk: Value) {
    let mut set: Value = serde_json::from_str(&sandbox.read("jwks.json")).unwrap();
    set["keys"].as_array_mut().unwrap().push(jwk);
    sandbox.write("jwks.json", set.to_string());
}

fn old_jwk(sandbox: &Sandbox) -> Value {
    sandbox.run(&["jwks", "--key", "old.pem", "--algorithm", "ES256"]).done().json()["keys"][0].clone()
}

#[test]
fn first_rotation_keeps_the_other_keys_of_a_published_set_as_retiring() {
    for sandbox in sandboxes() {
        let old = second_key(&sandbox);
        let token = old_token(&sandbox, "orders");
        publish_by_hand(&sandbox);
        let ran = sandbox.run(&["rotate"]).done();
        assert!(ran.stdout.starts_with("adopted "), "{}", ran.stdout);
        assert!(ran.stdout.contains(&format!("\nkept {old}\n")), "{}", ran.stdout);
        assert!(ran.stderr.contains(&format!("rotate --emergency={old}")), "{}", ran.stderr);
        let own = journal(&sandbox).into_iter().find(|key| key.state == KeyState::Active).unwrap().kid;
        let names = std::collections::BTreeSet::from_iter(published(&sandbox));
        assert_eq!(names, [own, old.clone()].into());
        sandbox.feed(&VERIFY, &token).done();
        sandbox.feed(&["verify", "-"], &token).done();

        let kept = journal(&sandbox).into_iter().find(|key| key.kid == old).unwrap();
        let expiry = claims_of(&token)["exp"].as_i64().map(Timestamp::from_unix);
        assert_eq!((kept.state, kept.file, kept.expires_at), (KeyState::Retiring, None, expiry));
        let half: Value = serde_json::from_str(&kept.public_jwk.unwrap()).unwrap();
        assert_eq!(half, old_jwk(&sandbox));
        let again = sandbox.run(&["rotate"]).done();
        assert!(
            !again.stdout.contains("kept") && again.stderr.is_empty(),
            "{}{}",
            again.stdout,
            again.stderr
        );
        assert!(again.stdout.contains("waits: `orders` has a token of this key until"), "{}", again.stdout);
    }
}

#[test]
fn key_that_is_added_to_the_set_after_the_first_rotation_stays_too() {
    let sandbox = sandbox("");
    let old = second_key(&sandbox);
    sandbox.run(&["rotate"]).done();
    add_to_set(&sandbox, old_jwk(&sandbox));
    let plan = sandbox.run(&["rotate", "--plan"]).done();
    assert!(
        plan.stderr.contains(&format!("keys that the journal does not have: `{old}`")),
        "{}",
        plan.stderr
    );
    assert!(keys(&sandbox).iter().all(|key| key.kid != old), "a plan changes nothing");
    assert!(sandbox.run(&["rotate"]).done().stdout.starts_with(&format!("kept {old}\n")));
    assert!(published(&sandbox).contains(&old));
}

#[test]
fn rotation_after_a_lost_store_drops_no_key() {
    let sandbox = sandbox("");
    let old = aged(&sandbox, 80 * DAY);
    let token = sandbox.run(&["generate", "orders"]).done().line().to_owned();
    sandbox.run(&["rotate"]).done();
    let new = kid_in(&sandbox, KeyState::Prepared).unwrap();
    report(&sandbox, "orders-1", vec![old.clone(), new.clone()]);
    sandbox.run(&["rotate"]).done();
    std::fs::remove_file(sandbox.path("tokens.db")).unwrap();
    sandbox.run(&["store", "init"]).done();

    let ran = sandbox.run(&["rotate"]).done();
    assert!(ran.stdout.starts_with(&format!("adopted {new}\nkept {old}\n")), "{}", ran.stdout);
    assert!(ran.stdout.contains("the registry has no token of this key"), "{}", ran.stdout);
    sandbox.feed(&VERIFY, &token).done();
    let fresh = sandbox.run(&["generate", "orders"]).done().line().to_owned();
    sandbox.feed(&VERIFY, &fresh).done();
}

#[test]
fn first_set_that_lacks_the_key_of_a_valid_token_is_refused_and_the_services_are_named() {
    for sandbox in sandboxes() {
        let old = second_key(&sandbox);
        for service in ["orders", "inventory"] {
            old_token(&sandbox, service);
        }
        for arguments in [&["rotate"][..], &["jwks"], &["jwks", "--out", "jwks.json"]] {
            let message = sandbox.run(arguments).refused_with(6);
            assert!(
                message.contains(&format!("`inventory`, `orders` with tokens of the key `{old}`"))
                    && message.contains("--drop-unknown"),
                "{message}"
            );
        }
        assert_eq!(journal(&sandbox), []);
        assert!(!sandbox.path("jwks.json").exists());
        sandbox.run(&["jwks", "--drop-unknown"]).done();
        assert!(sandbox.run(&["rotate", "--drop-unknown"]).done().stdout.starts_with("adopted "));
        assert!(!published(&sandbox).contains(&old));
    }
}

#[test]
fn set_without_the_key_of_revoked_tokens_is_published() {
    let sandbox = with_store("sqlite:tokens.db");
    let old = second_key(&sandbox);
    old_token(&sandbox, "orders");
    sandbox.run(&["rotate"]).refused_with(6);
    sandbox.run(&["revoke", "--key", &old]).done();
    sandbox.run(&["jwks"]).done();
    sandbox.run(&["rotate"]).done();
}

#[test]
fn unknown_key_is_dropped_only_on_request() {
    let sandbox = sandbox("");
    let old = second_key(&sandbox);
    publish_by_hand(&sandbox);
    let ran = sandbox.run(&["rotate", "--drop-unknown"]).done();
    assert!(ran.stdout.contains(&format!("dropped {old}\n")), "{}", ran.stdout);
    assert_eq!(published(&sandbox).len(), 1);
    assert_eq!(keys(&sandbox).len(), 1);
}

#[test]
fn key_that_cannot_be_adopted_stays_and_is_named_by_each_run() {
    let sandbox = sandbox("");
    second_key(&sandbox);
    publish_by_hand(&sandbox);
    let mut unnamed = old_jwk(&sandbox);
    unnamed.as_object_mut().unwrap().remove("kid");
    let foreign = json!({ "kty": "EC", "crv": "P-521", "kid": "wide", "x": "AA", "y": "AA" });
    sandbox.write("jwks.json", json!({ "keys": [unnamed, foreign] }).to_string());
    for _ in 0..2 {
        let ran = sandbox.run(&["rotate"]).done();
        assert!(ran.stderr.contains(": it has no `kid`"), "{}", ran.stderr);
        assert!(ran.stderr.contains("`wide`: a verifier of this project cannot use it"), "{}", ran.stderr);
        let set: Value = serde_json::from_str(&sandbox.read("jwks.json")).unwrap();
        let entries = set["keys"].as_array().unwrap();
        assert!(entries.contains(&unnamed) && entries.contains(&foreign) && entries.len() == 3, "{set}");
    }
    assert_eq!(keys(&sandbox).len(), 1);
    sandbox.run(&["rotate", "--drop-unknown"]).done();
    assert_eq!(published(&sandbox).len(), 1);
}

#[test]
fn another_key_with_the_name_of_a_known_one_stays() {
    let sandbox = sandbox("");
    second_key(&sandbox);
    sandbox.run(&["rotate"]).done();
    let mut twin = old_jwk(&sandbox);
    twin["kid"] = kid_in(&sandbox, KeyState::Active).unwrap().into();
    add_to_set(&sandbox, twin.clone());
    let ran = sandbox.run(&["rotate"]).done();
    assert!(ran.stderr.contains("another key has this `kid`"), "{}", ran.stderr);
    assert!(sandbox.run(&["jwks"]).done().json()["keys"].as_array().unwrap().contains(&twin));
}

#[test]
fn secret_in_a_published_set_stops_the_rotation_and_an_emergency_removes_it() {
    let secrets = [
        json!({ "kty": "oct", "kid": "shared", "k": "c2VjcmV0" }),
        json!({ "kty": "EC", "crv": "P-256", "kid": "shared", "x": "AA", "y": "AA", "d": "AA" }),
    ];
    for secret in secrets {
        let sandbox = sandbox("");
        sandbox.run(&["rotate"]).done();
        add_to_set(&sandbox, secret.clone());
        let before = sandbox.read("jwks.json");
        for arguments in [&["rotate"][..], &["rotate", "--plan"], &["jwks"]] {
            let message = sandbox.run(arguments).refused();
            assert!(
                message.contains("rotate --emergency=shared") && !message.contains("c2VjcmV0"),
                "{message}"
            );
        }
        assert_eq!(sandbox.read("jwks.json"), before);
        let ran = sandbox.run(&["rotate", "--emergency=shared"]).done();
        assert!(ran.stdout.starts_with("revoked shared\n"), "{}", ran.stdout);
        assert!(!sandbox.read("jwks.json").contains("shared"));
        sandbox.run(&["rotate"]).done();
    }
}

#[test]
fn file_that_is_no_key_set_is_replaced_only_on_request_or_after_a_leak() {
    for content in ["nonsense", "[]", "{}", "{\"keys\":{}}"] {
        let sandbox = sandbox("");
        sandbox.write("jwks.json", content);
        for arguments in [&["rotate"][..], &["jwks"], &["jwks", "--out", "jwks.json"]] {
            let message = sandbox.run(arguments).refused();
            assert!(message.contains("`jwks.json` is not a JWK set") && message.contains("--drop-unknown"));
        }
        assert_eq!(sandbox.read("jwks.json"), content);
        let option = if content == "[]" { "--emergency" } else { "--drop-unknown" };
        let ran = sandbox.run(&["rotate", option]).done();
        assert!(ran.stderr.contains("it is replaced"), "{}", ran.stderr);
        assert_eq!(published(&sandbox).len(), 1);
    }
    // An empty file, as `> jwks.json` leaves it, has no key to lose.
    let sandbox = sandbox("");
    sandbox.write("jwks.json", "");
    sandbox.run(&["rotate"]).done();
    assert_eq!(published(&sandbox).len(), 1);
}

#[test]
fn published_key_that_leaked_is_revoked_by_its_name_before_the_journal_has_it() {
    let sandbox = sandbox("");
    let old = second_key(&sandbox);
    sandbox.run(&["rotate"]).done();
    add_to_set(&sandbox, old_jwk(&sandbox));
    let ran = sandbox.run(&["rotate", &format!("--emergency={old}")]).done();
    assert!(ran.stdout.starts_with(&format!("revoked {old}\nretired {old}\n")), "{}", ran.stdout);
    assert!(!published(&sandbox).contains(&old));
    add_to_set(&sandbox, old_jwk(&sandbox));
    sandbox.run(&["rotate"]).done();
    assert!(!published(&sandbox).contains(&old), "a retired key does not come back");
}

#[test]
fn jwks_prints_the_set_that_rotate_publishes() {
    for sandbox in sandboxes() {
        let old = second_key(&sandbox);
        old_token(&sandbox, "orders");
        publish_by_hand(&sandbox);
        let names = |set: &Value| -> Vec<String> {
            let mut names: Vec<_> = set["keys"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| key["kid"].as_str().unwrap().to_owned())
                .collect();
            names.sort();
            names
        };
        let before = sandbox.run(&["jwks"]).done();
        assert!(before.stderr.contains(&format!("kept a published key: `{old}`")), "{}", before.stderr);
        sandbox.run(&["rotate"]).done();
        let after = sandbox.run(&["jwks"]).done();
        assert_eq!(names(&before.json()), names(&after.json()));
        assert_eq!(after.stdout, sandbox.read("jwks.json"));
        assert_eq!(after.stderr, "", "the journal has both");
        // As the command line says it: the shell empties the file first.
        sandbox.write("jwks.json", "");
        assert_eq!(sandbox.run(&["jwks"]).done().stdout, after.stdout);
    }
}

#[test]
fn jwks_that_writes_a_file_keeps_the_other_keys_of_the_file() {
    let sandbox = Sandbox::configured();
    let old = second_key(&sandbox);
    sandbox.write("public.json", json!({ "keys": [old_jwk(&sandbox)] }).to_string());
    let ran = sandbox.run(&["jwks", "--out", "public.json"]).done();
    assert_eq!(ran.stdout, "public.json\n");
    assert!(ran.stderr.contains(&old), "{}", ran.stderr);
    assert_eq!(sandbox.read("public.json").matches("\"kid\"").count(), 2);
    sandbox.run(&["jwks", "--out", "public.json", "--drop-unknown"]).done();
    assert!(!sandbox.read("public.json").contains(&old));
    for taken in ["signing.pem", "service-token.toml"] {
        assert!(sandbox.run(&["jwks", "--out", taken, "--drop-unknown"]).refused().contains("the same file"));
    }
}

#[test]
fn new_key_is_added_to_a_published_set_and_replaces_no_other() {
    let sandbox = Sandbox::configured();
    let token = sandbox.run(&["generate", "orders", "--no-store"]).done().line().to_owned();
    sandbox.run(&["jwks", "--out", "jwks.json"]).done();
    let ran = sandbox.run(&["keygen", "--force", "--public-out", "jwks.json"]).done();
    assert!(ran.stderr.contains("kept a published key"), "{}", ran.stderr);
    assert_eq!(published(&sandbox).len(), 2);
    sandbox.feed(&VERIFY, &token).done();
}

#[test]
fn development_key_never_replaces_a_published_set() {
    let sandbox = Sandbox::configured();
    sandbox.run(&["jwks", "--out", "jwks.json"]).done();
    let before = sandbox.read("jwks.json");
    let message = sandbox.run(&["dev", "orders", "--dir", "."]).refused_with(6);
    assert!(message.contains("not for development") && message.contains("--dir"), "{message}");
    assert_eq!(sandbox.read("jwks.json"), before);
    sandbox.run(&["dev", "orders"]).done();
    sandbox.run(&["dev", "orders"]).done();
}

#[test]
fn key_with_valid_tokens_is_replaced_only_on_request() {
    const INTENT: &str = "--dangerously-abandon-tokens";
    for algorithm in ["ES256", "HS256"] {
        for sandbox in sandboxes() {
            let config = sandbox.read("service-token.toml").replace("ES256", algorithm);
            sandbox.write("service-token.toml", config);
            sandbox.run(&["keygen", "--force"]).done();
            sandbox.run(&["generate", "orders"]).done();
            let key = sandbox.read("signing.pem");
            for command in [&["keygen"][..], &["keygen", "--out", "signing.pem", "--algorithm", algorithm]] {
                let message = sandbox.run(&[command, &["--force"]].concat()).refused_with(6);
                assert!(
                    message.contains("verifiers would refuse `orders`") && message.contains(INTENT),
                    "{message}"
                );
                sandbox.run(&[command, &["--force", "--dry-run"]].concat()).refused_with(6);
            }
            assert_eq!(sandbox.read("signing.pem"), key);
            // Another file has another key.
            sandbox.run(&["keygen", "--out", "other.pem"]).done();
            sandbox.run(&["keygen", "--out", "other.pem", "--force"]).done();
            sandbox.run(&["keygen", "--force", INTENT]).done();
            assert_ne!(sandbox.read("signing.pem"), key);
        }
    }
}

#[test]
fn active_key_of_the_journal_is_replaced_only_on_request() {
    for sandbox in sandboxes() {
        sandbox.run(&["rotate"]).done();
        let message = sandbox.run(&["keygen", "--force"]).refused_with(6);
        assert!(message.contains("as the active one"), "{message}");
        sandbox.run(&["generate", "orders"]).done();
        let message = sandbox.run(&["keygen", "--force"]).refused_with(6);
        assert!(message.contains("verifiers would refuse `orders`"), "{message}");
        sandbox.run(&["generate", "orders"]).done();
        sandbox.run(&["keygen", "--force", "--dangerously-abandon-tokens"]).done();
    }
}
