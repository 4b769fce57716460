//! No token is minted that a verifier would refuse because of its key.

use service_only::keys::KeyState;
use service_only_store::KeyStep;

use super::now;
use crate::sandbox::Sandbox;
use crate::store::{change, mint, sandboxes, states};
use service_only::clock::Timestamp;

const MINT: [&[&str]; 4] = [
    &["generate", "orders"],
    &["generate", "--all", "--out-dir", "tokens"],
    &["k8s-secret", "orders"],
    &["renew", "--out-dir", "tokens", "--within", "60d"],
];

fn active(sandbox: &Sandbox) -> String {
    let mut kid = None;
    change(sandbox, async |store| {
        let keys = store.keys("bakery-auth").await?;
        kid = keys.into_iter().find(|key| key.state == KeyState::Active).map(|key| key.kid);
        Ok(())
    });
    kid.unwrap()
}

/// Each command that mints refuses, and neither the registry nor a file has a new token.
fn refuses(sandbox: &Sandbox, reason: &str) {
    let before = states(&sandbox.run(&["list", "--format", "json"]).done()).len();
    for command in MINT {
        let message = sandbox.run(command).refused_with(7);
        assert!(message.contains(reason), "{command:?}: {message}");
    }
    assert_eq!(states(&sandbox.run(&["list", "--format", "json"]).done()).len(), before);
    let left = std::fs::read_dir(sandbox.path("tokens")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
    sandbox.run(&["generate", "orders", "--no-store"]).done();
}

fn rotated() -> Vec<Sandbox> {
    let all = sandboxes();
    for sandbox in &all {
        sandbox.run(&["rotate"]).done();
        mint(sandbox, &["orders"]);
        for command in [&["generate", "inventory"][..], &["k8s-secret", "orders"]] {
            sandbox.run(command).done();
        }
    }
    all
}

#[test]
fn no_token_is_minted_with_a_revoked_key() {
    for sandbox in rotated() {
        let kid = active(&sandbox);
        sandbox.run(&["revoke", "--key", &kid]).done();
        refuses(&sandbox, &format!("the key `{kid}` is revoked"));
    }
}

#[test]
fn no_token_is_minted_with_a_retired_key() {
    for sandbox in rotated() {
        let kid = active(&sandbox);
        change(&sandbox, async |store| {
            let step = KeyStep { kid: &kid, from: KeyState::Active, to: KeyState::Retired };
            store.step_keys("bakery-auth", &[step], Timestamp::from_unix(now())).await
        });
        refuses(&sandbox, &format!("the key `{kid}` is retired"));
    }
}

#[test]
fn no_token_is_minted_with_a_key_that_the_journal_does_not_have() {
    for sandbox in rotated() {
        sandbox.run(&["keygen", "--force", "--dangerously-abandon-tokens"]).done();
        refuses(&sandbox, "is not in the journal of `bakery-auth`");
    }
}

#[test]
fn no_token_is_minted_with_a_key_that_is_not_published() {
    for sandbox in rotated() {
        let set = sandbox.read("jwks.json");
        sandbox.run(&["keygen", "--out", "other.pem", "--algorithm", "ES256"]).done();
        sandbox.write(
            "jwks.json",
            sandbox.run(&["jwks", "--key", "other.pem", "--algorithm", "ES256"]).done().stdout,
        );
        refuses(&sandbox, "is not in the published set `jwks.json`");
        sandbox.write("jwks.json", set);
        sandbox.run(&["generate", "orders"]).done();
        // Without a set on this machine, the journal decides.
        std::fs::remove_file(sandbox.path("jwks.json")).unwrap();
        sandbox.run(&["generate", "orders"]).done();
    }
}
